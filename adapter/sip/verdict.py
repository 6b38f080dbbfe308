"""What the SIP server asks its service, and what the service may answer.  I/O: none.

Verdicts are checked when they are made, so that a wrong one is found where it is wrong and not on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from adapter.calls.contacts import FINGERPRINT_PARAMETER
from adapter.sip.refusal import Headers, explain, reason_of
from adapter.sip.uri import parse_uri
from overlay.errors import LocalError, RemoteError
from overlay.wire.messages import FINGERPRINT_BYTES

MAX_REDIRECT_CONTACTS: Final = 2
"""As many as a REDIRECT of the overlay carries."""
MAX_RETRY_AFTER_S: Final = 86_400
OK: Final = 200
MOVED: Final = 302
_FIRST_Q: Final = 1.0
_Q_STEP: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterVerdict:
    """What the service says to a REGISTER."""

    status: int = OK
    """200, or 400 to 699."""
    reason: str = ""
    """Reason phrase, which phones show; the usual one when empty."""
    retry_after: int | None = None
    """Seconds, 0 to 86,400."""
    warning: str | None = None
    """A sentence for whoever reads the phone's log."""

    def __post_init__(self) -> None:
        _check(self.status, OK, self.retry_after)


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteVerdict:
    """What the service says to an INVITE."""

    status: int = MOVED
    """302, or 400 to 699."""
    contacts: tuple[str, ...] = ()
    """SIP URIs to call instead, best first, one or two; only with 302."""
    fingerprint: bytes = b""
    """SHA-256 of the certificate that the phone at the only contact shows, 32 bytes; empty: it speaks plain SIP."""
    reason: str = ""
    """Reason phrase, which phones show; the usual one when empty."""
    retry_after: int | None = None
    """Seconds, 0 to 86,400."""
    warning: str | None = None
    """A sentence for whoever reads the phone's log."""

    def __post_init__(self) -> None:
        _check(self.status, MOVED, self.retry_after)
        if (
            not (1 if self.status == MOVED else 0)
            <= len(self.contacts)
            <= (MAX_REDIRECT_CONTACTS if self.status == MOVED else 0)
        ):
            raise LocalError("one or two contacts come with 302 and only with it")
        if self.fingerprint and (len(self.contacts) != 1 or len(self.fingerprint) != FINGERPRINT_BYTES):
            raise LocalError("a certificate of 32 bytes is that of one contact")
        try:
            for contact in self.contacts:
                parse_uri(contact)
        except RemoteError as error:
            raise LocalError(f"a contact is no SIP URI: {error.reason}") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingInvite:
    """An INVITE that is worth a lookup."""

    caller: str
    """The user whose registered phone sent it."""
    callee: str
    """The user that it names; whether there is one is what the lookup tells."""
    call_id: str
    from_tag: str
    source: tuple[str, int]
    """The phone's IP literal and port."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterAsked:
    """A REGISTER that is right in form waits for its answer."""

    ticket: int
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InviteAsked:
    """An INVITE has its 100 and waits for its answer."""

    ticket: int
    call: IncomingInvite


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    """The caller gave up; the INVITE with this ticket is answered already."""

    ticket: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """The caller's phone has the answer to its INVITE."""

    call: IncomingInvite


Verdict = RegisterVerdict | InviteVerdict
ServerEvent = RegisterAsked | InviteAsked | Cancelled | Acknowledged


def headers_of(verdict: Verdict) -> Headers:
    """Spell the headers of a verdict; several contacts are ranked by q in the order given."""
    extra = explain(warning=verdict.warning, retry_after=verdict.retry_after)
    if not isinstance(verdict, InviteVerdict):
        return extra
    contacts = verdict.contacts
    if len(contacts) == 1:
        named = f";{FINGERPRINT_PARAMETER}={verdict.fingerprint.hex()}" if verdict.fingerprint else ""
        return ("Contact", f"<{contacts[0]}>{named}"), *extra
    ranked = ((f"<{uri}>;q={_FIRST_Q - place * _Q_STEP}") for place, uri in enumerate(contacts))
    return *(("Contact", value) for value in ranked), *extra


def phrase_of(verdict: Verdict) -> str:
    """Return the reason phrase of a verdict."""
    return verdict.reason or reason_of(verdict.status)


def _check(status: int, success: int, retry_after: int | None) -> None:
    if status != success and not 400 <= status < 700:  # noqa: PLR2004 - the classes of SIP statuses
        raise LocalError(f"a verdict is {success} or a refusal from 400 to 699")
    if retry_after is not None and not 0 <= retry_after <= MAX_RETRY_AFTER_S:
        raise LocalError("Retry-After lies between 0 and 86,400 seconds")
