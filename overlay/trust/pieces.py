"""Key pieces: a share of a user's key bundle, signed by the bootstrap, as it lies on the ring.  I/O: none.

PubKeyPiece in the paper's words [paper §II.B]. The polynomial is not drawn from dice but derived from a seed that the
bootstrap keeps, so that dealing the same key again (a renewal after 30 days, a lost answer) gives the same shares: two
polynomials within one generation would make honest holders look like liars.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Final

import msgpack
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import THUMBPRINT_BYTES, KeyBundle, SigningKey, is_aor, verify
from overlay.trust.shamir import MAX_PIECES, SHARE_BYTES, check_threshold, decode_share, split
from overlay.trust.signed import (
    MAX_GENERATION,
    UNSIGNED,
    Signed,
    check_bytes,
    check_int,
    check_live,
    check_times,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

MAX_PIECE_LIFETIME_S: Final = 31 * 86_400
"""Pieces live 30 days; one day more allows for clocks that are off."""
MIN_SEED_BYTES: Final = 32
_COEFFICIENT_BYTES: Final = 96
"""768 bits reduced into 521: the bias is below 2**-240."""
_SEED_SALT: Final = b"secp2psip dealing seed 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPiece(Signed):
    """One of the n pieces of a user's key bundle, as the bootstrap dealt it [paper §II.B]."""

    KIND: ClassVar[int] = 1
    NAME: ClassVar[str] = "key piece"

    aor: str
    """User name in its one spelling."""
    generation: int
    """Generation of the key bundle, 1 or more; pieces of two generations are never mixed."""
    index: int
    """1 to n."""
    k: int
    """Pieces that rebuild the key."""
    n: int
    """Pieces that were dealt."""
    thumbprint: bytes
    """16 bytes that name the bundle."""
    share: bytes
    """66 bytes: the polynomial's value at `index`."""
    issued_at: int
    """Seconds since 1970."""
    expires_at: int
    """Seconds since 1970."""

    def __post_init__(self) -> None:
        if not is_aor(self.aor):
            raise LocalError("aor is a user name in its one spelling")
        check_int("generation", self.generation, 1, MAX_GENERATION)
        check_int("k", self.k, 2, MAX_PIECES)
        check_int("n", self.n, 2, MAX_PIECES)
        check_threshold(self.k, self.n)
        check_int("index", self.index, 1, self.n)
        check_bytes("thumbprint", self.thumbprint, THUMBPRINT_BYTES)
        check_bytes("share", self.share, SHARE_BYTES)
        try:
            decode_share(self.share)
        except RemoteError as error:
            raise LocalError(error.reason) from None
        check_times(self.issued_at, self.expires_at)
        self.check_signature_field()

    def verify(self, dealing_public: bytes, *, now: float) -> None:
        """RemoteError unless the dealing key (32 bytes) signed this piece and it counts now."""
        check_live(
            "piece",
            issued_at=self.issued_at,
            expires_at=self.expires_at,
            max_lifetime_s=MAX_PIECE_LIFETIME_S,
            now=now,
        )
        if not verify(dealing_public, self.domain(), self.signed_bytes(), self.signature):
            raise RemoteError("piece not signed by the dealing key")


def deal(
    bundle: KeyBundle,
    *,
    aor: str,
    generation: int,
    k: int,
    n: int,
    dealing: SigningKey,
    seed: bytes,
    issued_at: int,
    expires_at: int,
) -> tuple[KeyPiece, ...]:
    """Split a bundle into n signed pieces, piece i at [i-1]; the same arguments give the same shares for ever.

    `seed` is the bootstrap's secret of at least 32 bytes. LocalError on a bad threshold, seed or lifetime.
    """
    if len(seed) < MIN_SEED_BYTES:
        raise LocalError(f"a dealing seed has at least {MIN_SEED_BYTES} bytes")
    if expires_at - issued_at > MAX_PIECE_LIFETIME_S:
        raise LocalError("a piece lives 31 days at most")
    shares = split(bundle.encode(), k=k, n=n, draw=_drawer(seed, [aor, generation, bundle.encode(), k, n]))
    pieces = []
    for index, share in enumerate(shares, start=1):
        blank = KeyPiece(
            aor=aor,
            generation=generation,
            index=index,
            k=k,
            n=n,
            thumbprint=bundle.thumbprint(),
            share=share,
            issued_at=issued_at,
            expires_at=expires_at,
            signature=UNSIGNED,
        )
        pieces.append(replace(blank, signature=dealing.sign(KeyPiece.domain(), blank.signed_bytes())))
    return tuple(pieces)


def draw_indices(n: int, count: int, rng: random.Random) -> tuple[int, ...]:
    """Draw `count` distinct indices of 1..n, every choice equally likely: the random pieces of [paper §II.C]."""
    if not 0 <= count <= n:
        raise LocalError(f"{count} of {n} pieces cannot be drawn")
    return tuple(rng.sample(range(1, n + 1), count))


def _drawer(seed: bytes, dealing: list[object]) -> Callable[[int], int]:
    """Return a draw whose results depend on the seed and on everything that makes a dealing another one."""
    count = 0

    def draw(bound: int) -> int:
        nonlocal count
        count += 1
        info = msgpack.packb([*dealing, count])
        material = HKDF(algorithm=SHA512(), length=_COEFFICIENT_BYTES, salt=_SEED_SALT, info=info).derive(seed)
        return int.from_bytes(material, "big") % bound

    return draw
