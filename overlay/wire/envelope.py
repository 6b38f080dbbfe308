"""Sealing and opening: which message is signed by whom and encrypted to whom.  I/O: none.

    CHALLENGE   JWS by the overlay key
    REGISTER    JWS by the user's key, inside a JWE to the overlay key
    REGISTERED  JWS by the overlay key, inside a JWE to the user's key
    INVITE      JWS by the caller's key, inside a JWE to the callee's key       [paper §II.C]
    REDIRECT    JWS by the callee's key, inside a JWE to the caller's key       [paper §II.C]
    ERROR       JWS with the signer's thumbprint as kid; or bare base64url of the JSON: a hint that proves nothing

An INVITE must be opened before its issuer is known, so `unseal` gives an Unverified: what it claims, and two methods
that give the message itself against the issuer's key. Sources: [RFC 7515], [RFC 7516], [RFC 8037].
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import KeyBundle, PrivateBundle
from overlay.wire import jose
from overlay.wire.codec import MAX_DATAGRAM_LINE_BYTES, VERSION, decode_line, encode_line
from overlay.wire.messages import Challenge, Error, Invite, Message, Redirect, Register, Registered
from overlay.wire.payload import decode_base64, encode_base64

if TYPE_CHECKING:
    from overlay.wire.fields import Party


@dataclass(frozen=True, slots=True, kw_only=True)
class Sealed:
    """A message ready to be sent."""

    line: bytes
    """The line with its CRLF, at most 1,200 bytes."""
    hash: bytes
    """32 bytes: SHA-256 of the inner compact JWS, which binds a REDIRECT to its INVITE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unverified:
    """An INVITE or REDIRECT that was decrypted and well-formed; every field is its sender's claim and no more."""

    method: str
    """INVITE or REDIRECT."""
    issuer: Party
    """Who claims to have sent it."""
    audience: Party
    """Whom it is for: names the key that opened it, that much is checked."""
    issued_at: int
    """Seconds since 1970, by the sender's clock."""
    expires_at: int
    """Seconds since 1970, by the sender's clock."""
    hash: bytes
    """32 bytes: SHA-256 of the inner compact JWS."""
    id: bytes
    """INVITE: its 16 bytes. REDIRECT: empty."""
    cookie: bytes
    """INVITE: the cookie inside, or empty. To be checked before the issuer is looked up."""
    invite_hash: bytes
    """REDIRECT: the hash of the INVITE that it answers. INVITE: empty."""
    _jws: jose.Jws
    _message: Invite | Redirect

    def verify_invite(self, signer: KeyBundle) -> Invite:
        """Return the INVITE; RemoteError unless it is one and `signer` is its issuer's bundle and signed it."""
        message = self._verified(signer)
        if not isinstance(message, Invite):
            raise RemoteError("this is no INVITE")
        return message

    def verify_redirect(self, signer: KeyBundle) -> Redirect:
        """Return the REDIRECT; RemoteError unless it is one and `signer` is its issuer's bundle and signed it."""
        message = self._verified(signer)
        if not isinstance(message, Redirect):
            raise RemoteError("this is no REDIRECT")
        return message

    def _verified(self, signer: KeyBundle) -> Invite | Redirect:
        if signer.thumbprint() != self.issuer.thumbprint:
            raise RemoteError(f"{self.method} by another key than the issuer's")
        self._jws.verify(signer)
        return self._message


def seal_challenge(challenge: Challenge, signer: PrivateBundle) -> bytes:
    """Sign a CHALLENGE with the overlay key that stands in it."""
    if challenge.bundle != signer.public.encode():
        raise LocalError("a challenge is signed by the bundle inside")
    return encode_line(challenge.METHOD, jose.sign(challenge.METHOD, challenge.encode(), signer))


def open_challenge(line: bytes) -> Challenge:
    """Read a CHALLENGE and check it against the bundle inside; whether that is the right one, a pin must say."""
    signed = jose.parse_jws(_token(line, Challenge.METHOD), Challenge.METHOD)
    challenge = Challenge.decode(signed.payload)
    signed.verify(KeyBundle.decode(challenge.bundle))
    return challenge


def seal_register(register: Register, signer: PrivateBundle, recipient: KeyBundle) -> bytes:
    """Sign a REGISTER with the user's key that stands in it and encrypt it to the overlay key."""
    if register.bundle != signer.public.encode():
        raise LocalError("a registration is signed by the bundle inside")
    return _seal(register, signer, recipient).line


def open_register(line: bytes, recipient: PrivateBundle) -> Register:
    """Decrypt a REGISTER and check the user's signature; the node's is checked by Register.verify_node."""
    signed = _open(line, Register.METHOD, recipient)
    register = Register.decode(signed.payload)
    signed.verify(KeyBundle.decode(register.bundle))
    return register


def seal_registered(registered: Registered, signer: PrivateBundle, recipient: KeyBundle) -> bytes:
    """Sign a REGISTERED with the overlay key and encrypt it to the user."""
    return _seal(registered, signer, recipient).line


def open_registered(line: bytes, recipient: PrivateBundle, signer: KeyBundle) -> Registered:
    """Decrypt a REGISTERED and check that the overlay key signed it."""
    signed = _open(line, Registered.METHOD, recipient)
    registered = Registered.decode(signed.payload)
    signed.verify(signer)
    return registered


def seal_invite(invite: Invite, signer: PrivateBundle, recipient: KeyBundle) -> Sealed:
    """Sign an INVITE with the caller's key and encrypt it to the callee."""
    _check_parties(invite, signer, recipient)
    return _seal(invite, signer, recipient)


def seal_redirect(redirect: Redirect, signer: PrivateBundle, recipient: KeyBundle) -> Sealed:
    """Sign a REDIRECT with the callee's key and encrypt it to the caller; the last contact goes when it is too long."""
    _check_parties(redirect, signer, recipient)
    while len(redirect.contacts) > 1 and _line_bytes(redirect) > MAX_DATAGRAM_LINE_BYTES:
        redirect = replace(redirect, contacts=redirect.contacts[:-1])
    return _seal(redirect, signer, recipient)


def unseal(line: bytes, recipient: PrivateBundle) -> Unverified:
    """Decrypt an INVITE or REDIRECT; RemoteError on any flaw, or when it names another key than `recipient`."""
    method = decode_line(line).method
    if method not in {Invite.METHOD, Redirect.METHOD}:
        raise RemoteError(f"{method} is neither INVITE nor REDIRECT")
    signed = _open(line, method, recipient)
    message = Invite.decode(signed.payload) if method == Invite.METHOD else Redirect.decode(signed.payload)
    if message.audience.thumbprint != recipient.public.thumbprint():
        raise RemoteError(f"{method} for another key")
    return Unverified(
        method=method,
        issuer=message.issuer,
        audience=message.audience,
        issued_at=message.issued_at,
        expires_at=message.expires_at,
        hash=signed.hash,
        id=message.id if isinstance(message, Invite) else b"",
        cookie=message.cookie if isinstance(message, Invite) else b"",
        invite_hash=message.invite_hash if isinstance(message, Redirect) else b"",
        _jws=signed,
        _message=message,
    )


def seal_error(error: Error, signer: PrivateBundle | None) -> bytes:
    """Write an ERROR, signed where there is a key."""
    if signer is None:
        return encode_line(error.METHOD, encode_base64(error.encode()))
    token = jose.sign(error.METHOD, error.encode(), signer, key_id=signer.public.thumbprint())
    return encode_line(error.METHOD, token)


def open_error(line: bytes) -> Error:
    """Read an ERROR without checking who wrote it: a hint, on which nothing that matters may rest."""
    token = _token(line, Error.METHOD)
    if "." not in token:
        return Error.decode(decode_base64(token))
    return Error.decode(_signed_error(token).payload)


def verify_error(line: bytes, signer: KeyBundle) -> Error:
    """Read an ERROR; RemoteError unless `signer` signed it."""
    signed = _signed_error(_token(line, Error.METHOD))
    error = Error.decode(signed.payload)
    if signed.key_id != signer.thumbprint():
        raise RemoteError("ERROR by another key")
    signed.verify(signer)
    return error


def _signed_error(token: str) -> jose.Jws:
    return jose.parse_jws(token, Error.METHOD, names_key=True)


def _token(line: bytes, method: str) -> str:
    decoded = decode_line(line)
    if decoded.method != method:
        raise RemoteError(f"{decoded.method} where {method} was due")
    return decoded.token


def _seal(message: Message, signer: PrivateBundle, recipient: KeyBundle) -> Sealed:
    compact = jose.sign(message.METHOD, message.encode(), signer)
    signed = jose.parse_jws(compact, message.METHOD)
    return Sealed(line=encode_line(message.METHOD, jose.encrypt(compact.encode("ascii"), recipient)), hash=signed.hash)


def _open(line: bytes, method: str, recipient: PrivateBundle) -> jose.Jws:
    try:
        compact = jose.decrypt(_token(line, method), recipient).decode("ascii")
    except UnicodeDecodeError:
        raise RemoteError("a token that holds no signed token") from None
    return jose.parse_jws(compact, method)


def _check_parties(message: Invite | Redirect, signer: PrivateBundle, recipient: KeyBundle) -> None:
    if message.issuer.thumbprint != signer.public.thumbprint() or message.audience.thumbprint != recipient.thumbprint():
        raise LocalError("issuer and audience name the keys that sign and open")


def _line_bytes(message: Message) -> int:
    """Return how long the line of a sealed message will be: everything but the payload has a fixed size."""
    compact = jose.signed_size(message.METHOD, len(message.encode()))
    return len(VERSION) + len(message.METHOD) + len("  \r\n") + jose.encrypted_size(compact)
