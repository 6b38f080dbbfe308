"""What the two call machines say to the shell around them.  Pure: values, no I/O.

The shell feeds a machine through its methods, drains `next_event()` after each, and arms one timer at
`next_deadline()`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from adapter.findings import Found
from overlay.ring.ids import Peer
from overlay.trust.acceptance import Liar


class Failure(Enum):
    """Why a lookup brought no key, in the words of `adapter.findings`."""

    UNKNOWN = auto()
    """Nobody holds that name."""
    REVOKED = auto()
    """His key is on the ring, and revoked."""
    AWAY = auto()
    """The key is there, a live lookup record is not."""
    UNVERIFIABLE = auto()
    """There are pieces, and no key that enough of them agree on."""
    CHANGED = auto()
    """His key is another than the pinned one, which does not lead to it."""
    UNREACHABLE = auto()
    """The ring does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendLine:
    """Deliver one SECP2PSIP line, then report to `delivered` of the machine whether it was acknowledged."""

    peer: Peer
    """The node to deliver to."""
    line: bytes
    """The line, CRLF included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUp:
    """Find a user's key, then report to `looked_up` or `lookup_failed`."""

    aor: str
    """Whom."""
    ticket: bytes = b""
    """To be handed back with the answer; tells one lookup from another."""
    record_needed: bool = True
    """Whether the lookup record is wanted too; a caller's key alone is enough to verify what he signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskHigherSequence:
    """Ask every holder for a lookup record newer than the one that led nowhere; report to `searched`."""

    aor: str
    """Whose."""
    min_sequence: int
    """The lowest sequence that would help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a call attempt ended, in the terms of the caller's phone [RFC 3261 §21]."""

    status: int
    """302, 403, 404, 438, 480, 487, 503 or 603."""
    reason: str
    """One sentence for a person, lower case, no period."""
    contacts: tuple[str, ...] = ()
    """SIP URIs for the Contact of a 302, best first; empty for any other status."""
    token: bytes = b""
    """The 16 bytes that announce the call, as in the contacts' URI parameter."""
    fingerprint: bytes = b""
    """SHA-256 of the callee's TLS certificate, or empty."""
    retry_after_s: int | None = None
    """For Retry-After, in seconds."""
    receipt: Mapping[str, Any] = field(default_factory=dict)
    """What the call rests on, fit for JSON: who, when, which node gave which piece, liars, basis, times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A call attempt is over; nothing follows."""

    outcome: Outcome
    """How it ended."""
    proved: Found | None = None
    """The callee whose key signed the REDIRECT; None without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """A verified caller was told where the phone is: an INVITE with this token may arrive there."""

    caller: str
    """AOR of the caller, verified."""
    callee: str
    """AOR of our user."""
    token: bytes
    """16 bytes; the URI parameter of the coming INVITE carries them."""
    fingerprint: bytes
    """SHA-256 of the certificate that the caller's phone must show over TLS; empty: the call comes in the clear."""
    expires_at: float
    """When the announcement ends, in seconds since the epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An INVITE was not answered with a REDIRECT; one line for the log."""

    source: Peer
    """The node that brought it."""
    code: str
    """The code of the ERROR that was sent, or of the one that was not worth sending."""
    why: str
    """One clause, without anything secret."""
    caller: str = ""
    """Who it claims to be from, not verified; empty if it could not be read."""
    callee: str = ""
    """Whom it was for; empty if it could not be read."""
    liars: tuple[Liar, ...] = ()
    """Who lied about the caller's key, where that is why."""
