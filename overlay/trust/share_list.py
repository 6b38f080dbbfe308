"""Share lists: the overlay key's word on which shares one dealing of a user's key has.  I/O: none.

The dealing key signs pieces, and the acceptance rule holds when it leaks. But that rule counts what nodes say, and an
honest node says what it was given to keep. So what a node keeps takes the word of another key as well: the overlay key,
which certifies the dealing key, signs one digest for each share. A share list hides nothing and proves nothing about
the user's key; it only settles which shares there are [docs/adr/0011].
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final, Self

import msgpack

from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import PUBLIC_BYTES, THUMBPRINT_BYTES, PrivateBundle, is_aor, verify
from overlay.trust.pieces import MAX_PIECE_LIFETIME_S
from overlay.trust.shamir import MAX_PIECES, check_threshold
from overlay.trust.signed import (
    MAX_GENERATION,
    UNSIGNED,
    Signed,
    check_bytes,
    check_int,
    check_live,
    check_overlay,
    check_times,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from overlay.trust.pieces import KeyPiece

DIGEST_BYTES: Final = 16
"""A second share of the same digest costs 2**128 tries."""
_DIGEST_DOMAIN: Final = b"secp2psip share 1\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareList(Signed):
    """What the overlay key says of one dealing: whose it is, how it was split, and a digest of each share."""

    KIND: ClassVar[int] = 6
    NAME: ClassVar[str] = "share list"

    overlay: str
    """Name of the overlay."""
    aor: str
    """User name in its one spelling."""
    generation: int
    """Generation of the key bundle, 1 or more."""
    thumbprint: bytes
    """16 bytes that name the bundle."""
    k: int
    """Pieces that rebuild the key."""
    n: int
    """Pieces that were dealt."""
    digests: bytes
    """n digests of DIGEST_BYTES, that of piece 1 first."""
    issued_at: int
    """Seconds since 1970."""
    expires_at: int
    """Seconds since 1970; no piece is kept for longer."""

    def __post_init__(self) -> None:
        check_overlay(self.overlay)
        if not is_aor(self.aor):
            raise LocalError("aor is a user name in its one spelling")
        check_int("generation", self.generation, 1, MAX_GENERATION)
        check_bytes("thumbprint", self.thumbprint, THUMBPRINT_BYTES)
        check_int("k", self.k, 2, MAX_PIECES)
        check_int("n", self.n, 2, MAX_PIECES)
        check_threshold(self.k, self.n)
        check_bytes("digests", self.digests, self.n * DIGEST_BYTES)
        check_times(self.issued_at, self.expires_at)
        self.check_signature_field()

    @classmethod
    def issue(cls, overlay_private: PrivateBundle, *, overlay: str, pieces: Sequence[KeyPiece]) -> Self:
        """Sign the list of one dealing with the overlay key; it lives as long as the pieces.

        LocalError unless these are all pieces of one dealing, in order.
        """
        if not pieces or [piece.index for piece in pieces] != list(range(1, pieces[0].n + 1)):
            raise LocalError("a share list is of all pieces in order")
        if len({_dealing_of(piece) for piece in pieces}) != 1:
            raise LocalError("a share list is of one dealing")
        first = pieces[0]
        blank = cls(
            overlay=overlay,
            aor=first.aor,
            generation=first.generation,
            thumbprint=first.thumbprint,
            k=first.k,
            n=first.n,
            digests=b"".join(_digest(piece) for piece in pieces),
            issued_at=first.issued_at,
            expires_at=first.expires_at,
            signature=UNSIGNED,
        )
        return replace(blank, signature=overlay_private.sign(cls.domain(), blank.signed_bytes()))

    def verify(self, overlay_public: bytes, *, overlay: str, now: float) -> None:
        """RemoteError unless the overlay key (32 bytes, Ed25519) signed this for that overlay and it counts now."""
        if len(overlay_public) != PUBLIC_BYTES:
            raise LocalError(f"an overlay key has {PUBLIC_BYTES} bytes")
        if self.overlay != overlay:
            raise RemoteError("share list of another overlay")
        check_live(
            "share list",
            issued_at=self.issued_at,
            expires_at=self.expires_at,
            max_lifetime_s=MAX_PIECE_LIFETIME_S,
            now=now,
        )
        if not verify(overlay_public, self.domain(), self.signed_bytes(), self.signature):
            raise RemoteError("share list not signed by the overlay key")

    def names(self, piece: KeyPiece) -> bool:
        """Tell whether this piece's share is the one that the list has at its index; its signature is not looked at."""
        if _dealing_of(piece)[:5] != (self.aor, self.generation, self.thumbprint, self.k, self.n):
            return False
        start = (piece.index - 1) * DIGEST_BYTES
        return self.digests[start : start + DIGEST_BYTES] == _digest(piece)

    def covers(self, piece: KeyPiece) -> bool:
        """Tell whether the list names this piece and lives as long as it."""
        return self.names(piece) and piece.expires_at <= self.expires_at

    def says_the_same(self, other: ShareList) -> bool:
        """Tell whether two lists differ in their lifetimes only."""
        return self._content() == other._content()

    def _content(self) -> tuple[object, ...]:
        return self.overlay, self.aor, self.generation, self.thumbprint, self.k, self.n, self.digests


def _dealing_of(piece: KeyPiece) -> tuple[object, ...]:
    """Return what all pieces of one dealing share."""
    return (
        piece.aor,
        piece.generation,
        piece.thumbprint,
        piece.k,
        piece.n,
        piece.issued_at,
        piece.expires_at,
    )


def _digest(piece: KeyPiece) -> bytes:
    """Return the digest of a share, bound to whose it is, in which generation and at which index."""
    said = msgpack.packb([piece.aor, piece.generation, piece.index, piece.share])
    return hashlib.sha256(_DIGEST_DOMAIN + said).digest()[:DIGEST_BYTES]
