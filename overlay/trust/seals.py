"""Seals: the dealing key's signatures over all pieces of a user, in the user's hand, beside each piece.  I/O: none.

A lost share can be computed from others; its signature cannot. A user has all n pieces, so he leaves their signatures
with every holder. Whoever computes a share puts its seal to it and has the very piece that the bootstrap dealt: a false
seal gives a piece that nobody keeps [docs/adr/0018].
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final, Self

from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import SIGNATURE_BYTES, KeyBundle, PrivateBundle, is_aor
from overlay.trust.shamir import MAX_PIECES
from overlay.trust.signed import MAX_GENERATION, UNSIGNED, Signed, check_bundle, check_int, check_times

if TYPE_CHECKING:
    from collections.abc import Sequence

    from overlay.trust.pieces import KeyPiece

MAX_SEALS: Final = 11
"""Seals in one record; a user of more pieces has two records, and one of 22 pieces fills both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seals(Signed):
    """The signatures of up to MAX_SEALS pieces of one dealing, from index `first` on."""

    KIND: ClassVar[int] = 9
    NAME: ClassVar[str] = "seals"

    aor: str
    """User name in its one spelling."""
    generation: int
    """Generation of the key bundle, 1 or more."""
    bundle: bytes
    """64 bytes: the user's key bundle, so that the record proves itself."""
    first: int
    """Index of the first piece: 1 or 12."""
    signatures: bytes
    """64 bytes for each piece, that of `first` first."""
    issued_at: int
    """Seconds since 1970, as in the pieces."""
    expires_at: int
    """Seconds since 1970, as in the pieces."""

    def __post_init__(self) -> None:
        if not is_aor(self.aor):
            raise LocalError("aor is a user name in its one spelling")
        check_int("generation", self.generation, 1, MAX_GENERATION)
        check_bundle("bundle", self.bundle)
        check_int("first", self.first, 1, MAX_PIECES)
        if self.first % MAX_SEALS != 1:
            raise LocalError(f"seals begin at piece 1 or {MAX_SEALS + 1}")
        if type(self.signatures) is not bytes or not 0 < len(self.signatures) <= MAX_SEALS * SIGNATURE_BYTES:
            raise LocalError(f"1 to {MAX_SEALS} seals are bytes")
        if len(self.signatures) % SIGNATURE_BYTES:
            raise LocalError(f"a seal has {SIGNATURE_BYTES} bytes")
        check_times(self.issued_at, self.expires_at)
        self.check_signature_field()

    @classmethod
    def issue(cls, private: PrivateBundle, pieces: Sequence[KeyPiece]) -> tuple[Self, ...]:
        """Sign the seals of all pieces of one dealing, in order, with the user's key: one record or two.

        LocalError unless these are all pieces of one dealing of this key, in order.
        """
        if not pieces or [piece.index for piece in pieces] != list(range(1, pieces[0].n + 1)):
            raise LocalError("seals are of all pieces in order")
        dealings = {(p.aor, p.generation, p.thumbprint, p.issued_at, p.expires_at) for p in pieces}
        if len(dealings) != 1 or pieces[0].thumbprint != private.public.thumbprint():
            raise LocalError("seals are of one dealing of the signer's key")
        records = []
        for start in range(0, len(pieces), MAX_SEALS):
            some = pieces[start : start + MAX_SEALS]
            blank = cls(
                aor=some[0].aor,
                generation=some[0].generation,
                bundle=private.public.encode(),
                first=some[0].index,
                signatures=b"".join(piece.signature for piece in some),
                issued_at=some[0].issued_at,
                expires_at=some[0].expires_at,
                signature=UNSIGNED,
            )
            records.append(replace(blank, signature=private.sign(cls.domain(), blank.signed_bytes())))
        return tuple(records)

    def verify(self) -> None:
        """RemoteError unless the bundle inside signed this; whether it is the user's, the pieces beside it tell."""
        if not KeyBundle.decode(self.bundle).verify(self.domain(), self.signed_bytes(), self.signature):
            raise RemoteError("seals not signed by their own key")

    def is_of(self, piece: KeyPiece) -> bool:
        """Tell whether these are seals of the user, generation and key of a piece."""
        mine = (self.aor, self.generation, KeyBundle.decode(self.bundle).thumbprint())
        return mine == (piece.aor, piece.generation, piece.thumbprint)

    def of_index(self, index: int) -> bytes | None:
        """Return the 64 bytes for a piece, None where they are not in this record."""
        start = (index - self.first) * SIGNATURE_BYTES
        return self.signatures[start : start + SIGNATURE_BYTES] or None if start >= 0 else None
