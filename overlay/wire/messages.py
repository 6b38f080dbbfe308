"""The six messages, all to be had from here, and ERROR itself.  I/O: none.

Sources: SECP2PSIP REGISTER and REGISTERED [paper §II.B], INVITE and REDIRECT [paper §II.C]; two are ours.
Each message is a frozen value whose fields are checked when it is made; `encode` and `decode` are its JSON payload.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from overlay.errors import LocalError
from overlay.trust.signed import MAX_TIME_S, check_int
from overlay.wire.call_messages import (
    FINGERPRINT_BYTES,
    HASH_BYTES,
    INVITE_ID_BYTES,
    MAX_CONTACTS,
    MAX_COOKIE_BYTES,
    MAX_MESSAGE_LIFETIME_S,
    TOKEN_BYTES,
    Invite,
    Redirect,
)
from overlay.wire.enrolment_messages import MAX_NODES, NONCE_BYTES, Challenge, Register, Registered
from overlay.wire.fields import (
    BYTES,
    PLAIN,
    Contact,
    Member,
    Message,
    NodeAt,
    Party,
    check_bytes_or_none,
    check_bytes_up_to,
    check_text,
)

__all__ = [
    "ERROR_CODES",
    "FINGERPRINT_BYTES",
    "HASH_BYTES",
    "INVITE_ID_BYTES",
    "MAX_CONTACTS",
    "MAX_COOKIE_BYTES",
    "MAX_MESSAGE_LIFETIME_S",
    "MAX_NODES",
    "MAX_REASON_CHARS",
    "NONCE_BYTES",
    "TOKEN_BYTES",
    "Challenge",
    "Contact",
    "Error",
    "Invite",
    "Message",
    "NodeAt",
    "Party",
    "Redirect",
    "Register",
    "Registered",
]

MAX_REASON_CHARS: Final = 200
ERROR_CODES: Final = (
    "again",
    "unknown",
    "unverified",
    "unavailable",
    "refused",
    "taken",
    "bad",
    "busy",
    "internal",
    "policy",
    "revoked",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Error(Message):
    """Why something did not go on. Unsigned it is a hint and no more."""

    METHOD: ClassVar[str] = "ERROR"
    MEMBERS: ClassVar[tuple[Member, ...]] = (
        Member("code", "code", PLAIN),
        Member("reason", "reason", PLAIN),
        Member("about", "about", BYTES),
        Member("cookie", "cookie", BYTES),
        Member("time", "time", PLAIN),
    )

    code: str
    """One of ERROR_CODES."""
    reason: str
    """One sentence for a person, printable ASCII, up to 200 characters."""
    about: bytes = b""
    """16 bytes: the INVITE's id, or `line_digest` of the REGISTER or of an INVITE that could not be read; or empty."""
    cookie: bytes = b""
    """With `again`: to be repeated inside the signed part, up to 32 bytes."""
    time: int = 0
    """The sender's clock, seconds since 1970, or 0."""

    def __post_init__(self) -> None:
        if self.code not in ERROR_CODES:
            raise LocalError("unknown error code")
        check_text("reason", self.reason, MAX_REASON_CHARS)
        check_bytes_or_none("about", self.about, INVITE_ID_BYTES)
        check_bytes_up_to("cookie", self.cookie, MAX_COOKIE_BYTES)
        check_int("time", self.time, 0, MAX_TIME_S)
