"""Who may register at all: everybody, who has an invite, or who is on the list.  I/O: none.

Names and places on the ring are cheap to whoever may register [paper §II.B], so an operator chooses:

* `open`: everybody, with a limit of new devices per source address and day;
* `invite`: a new name, and a new device, takes an invite of the operator's, good for some uses and some days;
* `closed`: only names that the operator admitted, first come, first served among those who may have the name.

A shared enrolment code (`--code-file`) may be asked for in each of them. Where not everybody may register the limit by
address would only be in the way; instead a name brings one new device a day, so that who was let in with one name does
not fill the ring with nodes of his own.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from enum import Enum
from typing import Final

from overlay.errors import LocalError

DEFAULT_ENROLMENTS_PER_DAY: Final = 4
NEW_DEVICES_PER_NAME_AND_DAY: Final = 1
INVITE_WORDS: Final = 4
INVITE_WORD_CHARS: Final = 5
MAX_INVITE_USES: Final = 10_000
MAX_INVITE_DAYS: Final = 365
ID_CHARS: Final = 8
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that are taken for one another."""
_DIGEST_DOMAIN: Final = b"secp2psip invite 1\0"


class Admission(Enum):
    """The operator's choice; the value is its name on the command line."""

    OPEN = "open"
    INVITE = "invite"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite:
    """A code that lets somebody in, as the books have it: the code itself is not in them."""

    id: str
    """Eight letters that name it in lists; they tell nothing of the code."""
    digest: bytes
    """32 bytes."""
    uses_left: int
    """How many registrations it still lets in."""
    made_at: int
    """Seconds since 1970."""
    expires_at: int
    """Seconds since 1970."""
    aor: str = ""
    """The only name that it is for; empty: any."""

    def __post_init__(self) -> None:
        if not 0 <= self.uses_left <= MAX_INVITE_USES:
            raise LocalError(f"an invite is good for 1 to {MAX_INVITE_USES} uses")


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The operator's rules."""

    admission: Admission = Admission.OPEN
    enrolments_per_day: int = DEFAULT_ENROLMENTS_PER_DAY
    """New node keys per source address and day; 0: no limit. Not counted where not everybody may register."""
    code: str = ""
    """What a REGISTER must carry as enrolment code; empty: none is asked for."""

    def __post_init__(self) -> None:
        if self.enrolments_per_day < 0:
            raise LocalError("enrolments per day cannot be negative")
        if self.code and self.admission is Admission.INVITE:
            raise LocalError("a registration carries one code: ask for invites or for an enrolment code, not for both")

    @property
    def is_open(self) -> bool:
        """Whether anybody may register."""
        return self.admission is Admission.OPEN and not self.code

    def __repr__(self) -> str:
        shown = f"admission={self.admission.value}, enrolments_per_day={self.enrolments_per_day}"
        return f"Policy({shown}, code={'set' if self.code else 'none'})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """What the books say of somebody who wants in."""

    aor: str
    is_new_name: bool
    is_new_device: bool
    new_devices_of_source: int
    """Node keys that the source address brought for the first time within the last day."""
    new_devices_of_name: int
    """Node keys that the name brought for the first time within the last day."""
    admitted: bool
    """Whether the operator put the name on the list."""
    invite: Invite | None
    """What the code in the request stands for."""


def why_not(applicant: Applicant, policy: Policy, *, now: float) -> str | None:
    """Return why somebody is not let in, in a sentence for him, or None."""
    if policy.admission is Admission.CLOSED and applicant.is_new_name and not applicant.admitted:
        return f"this overlay is closed, and {applicant.aor} is not on its list of names"
    if needs_invite(applicant, policy):
        flaw = _flaw_in_invite(applicant, now)
        if flaw is not None:
            return flaw
    if policy.is_open:
        limit = policy.enrolments_per_day
        if limit and applicant.is_new_device and applicant.new_devices_of_source >= limit:
            return f"{limit} new devices a day and address at most: try again tomorrow"
    elif applicant.is_new_device and applicant.new_devices_of_name >= NEW_DEVICES_PER_NAME_AND_DAY:
        return f"{NEW_DEVICES_PER_NAME_AND_DAY} new device a day and name at most: try again tomorrow"
    return None


def needs_invite(applicant: Applicant, policy: Policy) -> bool:
    """Whether this takes a use of an invite: who comes again with what he registered with does not need one."""
    return policy.admission is Admission.INVITE and (applicant.is_new_name or applicant.is_new_device)


def make_code() -> str:
    """Return a fresh invite code, some 99 bits that can be read out: four words of five letters."""
    words = ("".join(secrets.choice(_LETTERS) for _ in range(INVITE_WORD_CHARS)) for _ in range(INVITE_WORDS))
    return "-".join(words)


def invite_digest(code: str) -> bytes:
    """Return what the books keep of a code (32 bytes); a code of that many bits needs no slow hash."""
    return hashlib.sha256(_DIGEST_DOMAIN + code.strip().lower().encode()).digest()


def invite_id() -> str:
    """Return a fresh name for an invite."""
    return "".join(secrets.choice(_LETTERS) for _ in range(ID_CHARS))


def _flaw_in_invite(applicant: Applicant, now: float) -> str | None:
    invite = applicant.invite
    if invite is None:
        return "this overlay asks for an invite, and this is none: ask whoever runs the bootstrap server"
    if invite.expires_at <= now:
        return "the invite has expired"
    if invite.uses_left < 1:
        return "the invite is used up"
    if invite.aor and invite.aor != applicant.aor:
        return "the invite is for another name"
    return None
