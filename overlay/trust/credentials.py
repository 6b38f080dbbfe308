"""What the bootstrap's overlay key signs: who may be a node, and which key deals pieces.  I/O: none.

A node's ring id comes from its key and a salt that only the bootstrap can make, so that nobody picks a place on the
ring by trying keys offline. The dealing key is not the overlay key: the acceptance rule holds when it leaks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import PUBLIC_BYTES, PrivateBundle, verify
from overlay.trust.shamir import MAX_PIECES, check_threshold
from overlay.trust.signed import (
    MAX_TIME_S,
    UNSIGNED,
    Signed,
    check_bytes,
    check_int,
    check_live,
    check_overlay,
)

NODE_ID_BYTES: Final = 20
SALT_BYTES: Final = 32
MAX_CREDENTIAL_LIFETIME_S: Final = 31 * 86_400
"""Credentials live 30 days; one day more allows for clocks that are off."""
MAX_CERTIFICATE_LIFETIME_S: Final = 3660 * 86_400
"""A dealing certificate lives as long as its bootstrap server, ten years at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCredential(Signed):
    """The bootstrap's word that a node key belongs to this overlay, and the salt that fixes its place on the ring."""

    KIND: ClassVar[int] = 3
    NAME: ClassVar[str] = "node credential"

    overlay: str
    """Name of the overlay."""
    node_public: bytes
    """32 bytes, the node's Ed25519 key."""
    salt: bytes
    """32 bytes, HMAC(bootstrap's secret, node_public): the same key always gets the same place."""
    expires_at: int
    """Seconds since 1970."""

    def __post_init__(self) -> None:
        check_overlay(self.overlay)
        check_bytes("node_public", self.node_public, PUBLIC_BYTES)
        check_bytes("salt", self.salt, SALT_BYTES)
        check_int("expires_at", self.expires_at, 1, MAX_TIME_S)
        self.check_signature_field()

    @property
    def node_id(self) -> bytes:
        """The node's ring id, 20 bytes: the start of SHA-256(salt || node_public)."""
        return hashlib.sha256(self.salt + self.node_public).digest()[:NODE_ID_BYTES]

    @classmethod
    def issue(
        cls, overlay_private: PrivateBundle, *, overlay: str, node_public: bytes, salt: bytes, expires_at: int
    ) -> Self:
        """Sign a credential with the overlay key."""
        blank = cls(overlay=overlay, node_public=node_public, salt=salt, expires_at=expires_at, signature=UNSIGNED)
        return replace(blank, signature=overlay_private.sign(cls.domain(), blank.signed_bytes()))

    def verify(self, overlay_public: bytes, *, overlay: str, now: float) -> None:
        """RemoteError unless the overlay key (32 bytes, Ed25519) signed this for that overlay and it counts now."""
        _verify(self, overlay_public, overlay, MAX_CREDENTIAL_LIFETIME_S, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class DealingCertificate(Signed):
    """The overlay key's word on which key signs pieces, and with which threshold they are dealt."""

    KIND: ClassVar[int] = 4
    NAME: ClassVar[str] = "dealing certificate"

    overlay: str
    """Name of the overlay."""
    dealing_public: bytes
    """32 bytes, the Ed25519 key that signs pieces."""
    k: int
    """Pieces that rebuild a key."""
    n: int
    """Pieces that are dealt."""
    expires_at: int
    """Seconds since 1970."""

    def __post_init__(self) -> None:
        check_overlay(self.overlay)
        check_bytes("dealing_public", self.dealing_public, PUBLIC_BYTES)
        check_int("k", self.k, 2, MAX_PIECES)
        check_int("n", self.n, 2, MAX_PIECES)
        check_threshold(self.k, self.n)
        check_int("expires_at", self.expires_at, 1, MAX_TIME_S)
        self.check_signature_field()

    @classmethod
    def issue(
        cls, overlay_private: PrivateBundle, *, overlay: str, dealing_public: bytes, k: int, n: int, expires_at: int
    ) -> Self:
        """Sign a certificate with the overlay key; LocalError on a threshold that breaks the rule."""
        blank = cls(overlay=overlay, dealing_public=dealing_public, k=k, n=n, expires_at=expires_at, signature=UNSIGNED)
        return replace(blank, signature=overlay_private.sign(cls.domain(), blank.signed_bytes()))

    def verify(self, overlay_public: bytes, *, overlay: str, now: float) -> None:
        """RemoteError unless the overlay key (32 bytes, Ed25519) signed this for that overlay and it counts now."""
        _verify(self, overlay_public, overlay, MAX_CERTIFICATE_LIFETIME_S, now)


def _verify(
    record: NodeCredential | DealingCertificate, overlay_public: bytes, overlay: str, max_lifetime_s: int, now: float
) -> None:
    if len(overlay_public) != PUBLIC_BYTES:
        raise LocalError(f"an overlay key has {PUBLIC_BYTES} bytes")
    if record.overlay != overlay:
        raise RemoteError(f"{record.NAME} of another overlay")
    check_live(record.NAME, issued_at=None, expires_at=record.expires_at, max_lifetime_s=max_lifetime_s, now=now)
    if not verify(overlay_public, record.domain(), record.signed_bytes(), record.signature):
        raise RemoteError(f"{record.NAME} not signed by the overlay key")
