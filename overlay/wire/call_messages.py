"""The two messages of a call: INVITE and REDIRECT.  I/O: none.

Source: [paper §II.C]. Both sides are named with their keys inside the signed part, and a REDIRECT names the INVITE that
it answers, so that neither can be passed on, repeated or exchanged for another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from overlay.errors import LocalError, RemoteError
from overlay.trust.signed import check_bytes, check_times
from overlay.wire.fields import (
    BYTES,
    PARTY,
    PLAIN,
    TEXTS,
    Contact,
    Member,
    Message,
    Party,
    check_bytes_or_none,
    check_bytes_up_to,
)

INVITE_ID_BYTES: Final = 16
TOKEN_BYTES: Final = 16
HASH_BYTES: Final = 32
FINGERPRINT_BYTES: Final = 32
MAX_COOKIE_BYTES: Final = 32
MAX_CONTACTS: Final = 2
MAX_MESSAGE_LIFETIME_S: Final = 90
"""An INVITE or REDIRECT may claim to be good for that long: the receiver remembers ids for as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invite(Message):
    """A caller's request to be told where the callee's phone is [paper §II.C]."""

    METHOD: ClassVar[str] = "INVITE"
    MEMBERS: ClassVar[tuple[Member, ...]] = (
        Member("iss", "issuer", PARTY),
        Member("aud", "audience", PARTY),
        Member("jti", "id", BYTES),
        Member("iat", "issued_at", PLAIN),
        Member("exp", "expires_at", PLAIN),
        Member("cookie", "cookie", BYTES),
        Member("fp", "fingerprint", BYTES),
    )

    issuer: Party
    """The caller."""
    audience: Party
    """The callee: nobody can encrypt the same signed part to another."""
    id: bytes
    """16 random bytes."""
    issued_at: int
    """The caller's clock, seconds since 1970."""
    expires_at: int
    """At most MAX_MESSAGE_LIFETIME_S later."""
    cookie: bytes = b""
    """What an ERROR `again` gave, up to 32 bytes: stands for freshness between clocks that disagree."""
    fingerprint: bytes = b""
    """SHA-256 of the caller's TLS certificate, 32 bytes, or empty."""

    def __post_init__(self) -> None:
        _check_call(self.issuer, self.audience, self.issued_at, self.expires_at)
        check_bytes("id", self.id, INVITE_ID_BYTES)
        check_bytes_up_to("cookie", self.cookie, MAX_COOKIE_BYTES)
        check_bytes_or_none("fingerprint", self.fingerprint, FINGERPRINT_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect(Message):
    """The callee's answer: where the phone is, for this INVITE only [paper §II.C]."""

    METHOD: ClassVar[str] = "REDIRECT"
    MEMBERS: ClassVar[tuple[Member, ...]] = (
        Member("iss", "issuer", PARTY),
        Member("aud", "audience", PARTY),
        Member("inv", "invite_hash", BYTES),
        Member("iat", "issued_at", PLAIN),
        Member("exp", "expires_at", PLAIN),
        Member("to", "contacts", TEXTS),
        Member("token", "token", BYTES),
        Member("fp", "fingerprint", BYTES),
    )

    issuer: Party
    """The callee, whose aor is the user part of every contact."""
    audience: Party
    """The caller."""
    invite_hash: bytes
    """32 bytes: SHA-256 of the INVITE's inner compact JWS."""
    issued_at: int
    """The callee's clock, seconds since 1970."""
    expires_at: int
    """At most MAX_MESSAGE_LIFETIME_S later."""
    contacts: tuple[str, ...]
    """One or two `host:port;transport`, best first."""
    token: bytes
    """16 random bytes that announce the call to the callee's phone."""
    fingerprint: bytes = b""
    """SHA-256 of the callee's TLS certificate, 32 bytes, or empty."""

    def __post_init__(self) -> None:
        _check_call(self.issuer, self.audience, self.issued_at, self.expires_at)
        check_bytes("invite_hash", self.invite_hash, HASH_BYTES)
        if type(self.contacts) is not tuple or not 1 <= len(self.contacts) <= MAX_CONTACTS:
            raise LocalError(f"a redirect has 1 to {MAX_CONTACTS} contacts")
        for contact in self.contacts:
            _check_contact(contact)
        check_bytes("token", self.token, TOKEN_BYTES)
        check_bytes_or_none("fingerprint", self.fingerprint, FINGERPRINT_BYTES)

    def parsed_contacts(self) -> tuple[Contact, ...]:
        """Return the contacts taken apart."""
        return tuple(Contact.parse(contact) for contact in self.contacts)


def _check_call(issuer: object, audience: object, issued_at: int, expires_at: int) -> None:
    if type(issuer) is not Party or type(audience) is not Party:
        raise LocalError("issuer and audience are parties")
    check_times(issued_at, expires_at)
    if expires_at - issued_at > MAX_MESSAGE_LIFETIME_S:
        raise LocalError(f"a message is good for {MAX_MESSAGE_LIFETIME_S} seconds at most")


def _check_contact(contact: object) -> None:
    if type(contact) is not str:
        raise LocalError("a contact is text")
    try:
        Contact.parse(contact)
    except RemoteError as error:
        raise LocalError(error.reason) from None
