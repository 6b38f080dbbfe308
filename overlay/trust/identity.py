"""Names and keys: what an AOR is, how a key signs, and the user's key bundle that Shamir's scheme splits.  I/O: none.

A user owns two keys, one to sign and one to agree on secrets; their 64 public bytes together are the secret that lies
in pieces on the ring [paper §II.B]. Nodes and the bootstrap's dealer own a signing key alone. Signatures are Ed25519
[RFC 8032], key agreement is X25519 [RFC 7748].
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self
from urllib.parse import unquote_to_bytes

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from overlay.errors import LocalError, RemoteError
from overlay.trust.points import is_small_order_ed25519, is_small_order_x25519

PUBLIC_BYTES: Final = 32
PRIVATE_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
BUNDLE_BYTES: Final = 2 * PUBLIC_BYTES
PRIVATE_BUNDLE_BYTES: Final = 2 * PRIVATE_BYTES
THUMBPRINT_BYTES: Final = 16
MAX_AOR_CHARS: Final = 32
MAX_ENCODED_AOR_CHARS: Final = 3 * MAX_AOR_CHARS
"""Every character may come percent-encoded."""

MAX_REMEMBERED_SIGNATURES: Final = 4096
"""Verdicts on signatures that are remembered: of records, hence of 2 KB at most each, key and signature included."""
MAX_REMEMBERED_BYTES: Final = 2048
"""A longer message is judged anew each time."""

_AOR: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,31}")
_BUNDLE_DOMAIN: Final = b"secp2psip bundle\0"


def parse_aor(text: str) -> str:
    """Return the one spelling of a user name: percent-decoded, lower-cased, 1 to 32 of [a-z0-9._-].

    `text` is the user part of a SIP URI [RFC 3261 §19.1.1], without scheme and host. RemoteError when it is no name.
    """
    if not text.isascii() or len(text) > MAX_ENCODED_AOR_CHARS:
        raise RemoteError("a user name is 1 to 32 of a-z, 0-9, dot, dash and underscore")
    # latin-1 keeps bytes above 127 what they are; lower() then cannot turn one of them into a plain letter
    aor = unquote_to_bytes(text).decode("latin-1").lower()
    if not is_aor(aor):
        raise RemoteError("a user name is 1 to 32 of a-z, 0-9, dot, dash and underscore")
    return aor


def is_aor(value: object) -> bool:
    """Tell whether a value is a user name in its one spelling already."""
    return type(value) is str and _AOR.fullmatch(value) is not None


def verify(public: bytes, domain: bytes, message: bytes, signature: bytes, *, once: bool = False) -> bool:
    """Tell whether `signature` (64 bytes) over domain || 0x00 || message is by `public` (32 bytes) [RFC 8032 §5.1.7].

    Never raises: a key or a signature of another length, or a key of small order, verifies nothing. The verdict depends
    on these bytes alone, so the same piece or record, which comes back with every call, is judged once (160 us). What
    comes `once`, a handshake, pushes none of them out.
    """
    verdict = _verdict if len(message) <= MAX_REMEMBERED_BYTES and not once else _judge
    return verdict(public, domain + b"\0" + message, signature)


def _judge(public: bytes, signed: bytes, signature: bytes) -> bool:
    if len(public) != PUBLIC_BYTES or len(signature) != SIGNATURE_BYTES or is_small_order_ed25519(public):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


_verdict = lru_cache(maxsize=MAX_REMEMBERED_SIGNATURES)(_judge)


class SigningKey:
    """An Ed25519 key that signs: a node's, or the bootstrap's dealing key. Its repr shows the public half only."""

    __slots__ = ("private", "public")

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self.private: Ed25519PrivateKey = private
        self.public: bytes = private.public_key().public_bytes_raw()
        """32 bytes."""

    @classmethod
    def generate(cls) -> Self:
        """Make a fresh key from the operating system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a key from its 32 private bytes; RemoteError on another length."""
        if len(data) != PRIVATE_BYTES:
            raise RemoteError(f"a signing key has {PRIVATE_BYTES} bytes")
        return cls(Ed25519PrivateKey.from_private_bytes(data))

    def to_bytes(self) -> bytes:
        """Return the 32 private bytes, for a key store only."""
        return self.private.private_bytes_raw()

    def sign(self, domain: bytes, message: bytes) -> bytes:
        """Sign domain || 0x00 || message: 64 bytes. The domain keeps signatures of one purpose out of any other."""
        return self.private.sign(domain + b"\0" + message)

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public.hex()[:16]}..)"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyBundle:
    """The public half of a user: the 64 bytes that are split into key pieces [paper §II.B]."""

    ed25519: bytes
    """32 bytes: verifies what the user signs."""
    x25519: bytes
    """32 bytes: encrypts to the user."""

    def __post_init__(self) -> None:
        for key in (self.ed25519, self.x25519):
            if type(key) is not bytes or len(key) != PUBLIC_BYTES:
                raise LocalError(f"a public key has {PUBLIC_BYTES} bytes")
        # under a key of small order anybody can sign, or everybody agrees on the same secret
        if is_small_order_ed25519(self.ed25519) or is_small_order_x25519(self.x25519):
            raise LocalError("a public key of small order proves nothing")

    def encode(self) -> bytes:
        """Return the 64 bytes: Ed25519 key, then X25519 key."""
        return self.ed25519 + self.x25519

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a bundle from its 64 bytes; RemoteError on another length or a key of small order."""
        if type(data) is not bytes or len(data) != BUNDLE_BYTES:
            raise RemoteError(f"a key bundle has {BUNDLE_BYTES} bytes")
        try:
            return cls(ed25519=data[:PUBLIC_BYTES], x25519=data[PUBLIC_BYTES:])
        except LocalError as error:
            raise RemoteError(error.reason) from None

    def thumbprint(self) -> bytes:
        """Return 16 bytes that name this bundle: the start of SHA-256 over a domain and the 64 bytes."""
        return hashlib.sha256(_BUNDLE_DOMAIN + self.encode()).digest()[:THUMBPRINT_BYTES]

    def verify(self, domain: bytes, message: bytes, signature: bytes) -> bool:
        """Tell whether the owner of this bundle signed `message` under `domain`; never raises."""
        return verify(self.ed25519, domain, message, signature)


class PrivateBundle:
    """Both private keys of a user, or of the bootstrap server. Its repr shows the thumbprint only."""

    __slots__ = ("_signer", "exchange", "public", "signing")

    def __init__(self, signing: Ed25519PrivateKey, exchange: X25519PrivateKey) -> None:
        self.signing: Ed25519PrivateKey = signing
        self.exchange: X25519PrivateKey = exchange
        self._signer = SigningKey(signing)
        self.public: KeyBundle = KeyBundle(ed25519=self._signer.public, x25519=exchange.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> Self:
        """Make two fresh keys from the operating system's randomness."""
        return cls(Ed25519PrivateKey.generate(), X25519PrivateKey.generate())

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the two keys from 64 private bytes (Ed25519, then X25519); RemoteError on another length."""
        if len(data) != PRIVATE_BUNDLE_BYTES:
            raise RemoteError(f"a private key bundle has {PRIVATE_BUNDLE_BYTES} bytes")
        return cls(
            Ed25519PrivateKey.from_private_bytes(data[:PRIVATE_BYTES]),
            X25519PrivateKey.from_private_bytes(data[PRIVATE_BYTES:]),
        )

    def to_bytes(self) -> bytes:
        """Return the 64 private bytes, for a key store only."""
        return self.signing.private_bytes_raw() + self.exchange.private_bytes_raw()

    def sign(self, domain: bytes, message: bytes) -> bytes:
        """Sign domain || 0x00 || message with the Ed25519 key: 64 bytes."""
        return self._signer.sign(domain, message)

    def __repr__(self) -> str:
        return f"PrivateBundle(thumbprint={self.public.thumbprint().hex()})"
