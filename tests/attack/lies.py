"""What lying holders answer: each attack of the holder level, told by nodes that know each other and all pieces."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from overlay.ring.holding import Holding
from overlay.trust.pieces import KeyPiece
from overlay.trust.polynomial import PRIME, evaluate, interpolate
from overlay.trust.shamir import decode_share, encode_share
from overlay.trust.signed import UNSIGNED
from tests.support import evil

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection

    from overlay.trust.identity import PrivateBundle
    from overlay.trust.records import LookupRecord
    from tests.support.members import TestOverlay

    Lie = Callable[[str, Holding], Holding]

LEAKED = frozenset({"leaked, own dealing", "leaked, solving", "leaked, mix"})
"""Attacks with the dealing key in the liars' hands."""
ATTACKS = (
    "drop",
    "garbage",
    "chosen key, each alone",
    "chosen key, colluding",
    "stale record",
    "equivocation",
    "mix",
    *sorted(LEAKED),
)


@dataclass
class Victim:
    """A user, as the attackers know him: everything, because every piece is public."""

    keys: PrivateBundle
    pieces: tuple[KeyPiece, ...]
    old_record: LookupRecord
    """Signed by him, alive, and of an address that he has left."""
    impostor: PrivateBundle
    """Whose key the attackers want to be taken for his."""
    false_record: LookupRecord
    """Signed by the impostor, with the highest sequence there can be."""
    own_dealing: tuple[KeyPiece, ...] = ()
    """Pieces of the impostor's key in the victim's name, signed with the leaked key."""
    signed: dict[KeyPiece, KeyPiece] = field(default_factory=dict)


@dataclass
class Gang:
    """The lying holders of one call."""

    overlay: TestOverlay
    victims: dict[str, Victim]
    rng: random.Random
    theirs: dict[str, frozenset[int]]
    """Which indices lie with liars, by name."""
    _curves: dict[str, list[int]] = field(default_factory=dict)

    def lie(self, attack: str) -> Lie:
        """Return what one of them answers."""
        tongues: dict[str, Lie] = {
            "drop": evil.silent,
            "garbage": self._garbage,
            "chosen key, each alone": self._alone,
            "chosen key, colluding": self._colluding,
            "stale record": lambda aor, truth: Holding(pieces=truth.pieces, record=self.victims[aor].old_record),
            "equivocation": lambda aor, truth: truth if self.rng.random() < 0.5 else self._colluding(aor, truth),
            "leaked, own dealing": self._own_dealing,
            "leaked, solving": self._solving,
        }
        if attack not in tongues:
            attack = self.rng.choice([kind for kind in tongues if attack == "leaked, mix" or kind not in LEAKED])
        return tongues[attack]

    def _garbage(self, _aor: str, truth: Holding) -> Holding:
        return Holding(
            pieces=tuple(replace(piece, share=encode_share(self.rng.randrange(PRIME))) for piece in truth.pieces),
            record=truth.record,
        )

    def _alone(self, aor: str, truth: Holding) -> Holding:
        """Solve for the wanted key, on a guess at which honest pieces the reader draws beside this one."""
        victim = self.victims[aor]

        def moved(piece: KeyPiece) -> KeyPiece:
            others = self.rng.sample([i for i in range(1, piece.n + 1) if i != piece.index], piece.k - 1)
            return replace(piece, share=_share(self._curve(victim, others), piece.index))

        return Holding(pieces=tuple(map(moved, truth.pieces)), record=victim.false_record)

    def _colluding(self, aor: str, truth: Holding) -> Holding:
        """Serve points of one polynomial, through the wanted key and as many honest points as it can pass."""
        curve = self._common(aor)
        pieces = tuple(replace(piece, share=_share(curve, piece.index)) for piece in truth.pieces)
        return Holding(pieces=pieces, record=self.victims[aor].false_record)

    def _own_dealing(self, aor: str, _truth: Holding) -> Holding:
        """Claim every index of a whole dealing of the wanted key, well signed."""
        victim = self.victims[aor]
        if not victim.own_dealing:
            first = victim.pieces[0]
            victim.own_dealing = self.overlay.pieces(victim.impostor, aor, k=first.k, n=first.n)
        return Holding(pieces=victim.own_dealing, record=victim.false_record)

    def _solving(self, aor: str, _truth: Holding) -> Holding:
        """Claim every index, well signed in the owner's name, on a polynomial that meets the true one in k-1 places."""
        curve, victim = self._common(aor), self.victims[aor]
        pieces = tuple(
            self._sign(victim, replace(piece, share=_share(curve, piece.index), signature=UNSIGNED))
            for piece in victim.pieces
        )
        return Holding(pieces=pieces, record=victim.false_record)

    def _common(self, aor: str) -> list[int]:
        """Return the polynomial that all of them serve: it meets the true one at k-1 honest holders' places."""
        if aor not in self._curves:
            victim = self.victims[aor]
            everybody: Collection[int] = range(1, victim.pieces[0].n + 1)
            honest = [index for index in everybody if index not in self.theirs[aor]]
            met = self.rng.sample(honest, min(victim.pieces[0].k - 1, len(honest)))
            self._curves[aor] = self._curve(victim, met)
        return self._curves[aor]

    def _curve(self, victim: Victim, met: list[int]) -> list[int]:
        """Return a polynomial through the wanted key that meets the true one at those indices, and else by chance."""
        points = {index: decode_share(victim.pieces[index - 1].share) for index in met}
        free = [index for index in range(1, victim.pieces[0].n + 1) if index not in met]
        for index in free[: victim.pieces[0].k - 1 - len(met)]:
            points[index] = self.rng.randrange(PRIME)
        return interpolate({0: int.from_bytes(victim.impostor.public.encode(), "big"), **points})

    def _sign(self, victim: Victim, blank: KeyPiece) -> KeyPiece:
        if blank not in victim.signed:
            signature = self.overlay.dealing.sign(KeyPiece.domain(), blank.signed_bytes())
            victim.signed[blank] = replace(blank, signature=signature)
        return victim.signed[blank]


def _share(curve: list[int], index: int) -> bytes:
    return encode_share(evaluate(curve, index))
