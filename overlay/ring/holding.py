"""What a node holds of a user, and what became of something that it was asked to hold.  I/O: none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from overlay.ring.ids import RingId
    from overlay.trust.pieces import KeyPiece
    from overlay.trust.records import LookupRecord, ShareList


class Kept(Enum):
    """Outcome of a put or a release; the value is a reason in words."""

    KEPT = "kept"
    SAME = "held already"
    OLDER = "something newer is held"
    MALFORMED = "malformed"
    FORGED = "signature or lifetime does not hold"
    EXPIRED = "expired"
    UNLISTED = "no share list of the overlay key names it"
    CONFLICT = "it contradicts what is held"
    OTHER_GENERATION = "another generation is alive"
    REPLAYED = "a release of this number was obeyed before"
    NO_PIECE = "no piece of that key is held"
    FULL = "store is full"
    FAILED = "store failed"

    @property
    def held(self) -> bool:
        """Whether the store now holds what was offered, or something newer of the same kind."""
        return self in {Kept.KEPT, Kept.SAME, Kept.OLDER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Every piece of one user on one node, and the lookup record beside them."""

    pieces: tuple[KeyPiece, ...] = ()
    """Ascending by index."""
    record: LookupRecord | None = None

    @property
    def is_empty(self) -> bool:
        """Whether the node holds nothing of the user."""
        return not self.pieces and self.record is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Two things with good signatures that cannot both be right: a key of the server leaked, or the server lies."""

    held: KeyPiece | ShareList
    """What came first and stays, or the share list that has another share than the piece offered."""
    offered: KeyPiece | ShareList
    """What contradicts it; a share list only where the overlay key signed two."""
    sender: RingId
    """The node that offered it."""
    seen_at: int
    """Seconds since 1970."""


def judge(offered: KeyPiece, held: dict[int, KeyPiece]) -> Kept:
    """Decide on a piece with a good signature beside the live pieces held of the same user.

    The first share of an index stays: whoever has the dealing key can sign another one and still replaces nothing. The
    same share with a later end is a renewal, which only the dealing key can sign.
    """
    for piece in held.values():
        if piece.generation != offered.generation:
            return Kept.OTHER_GENERATION
        if (piece.k, piece.n, piece.thumbprint) != (offered.k, offered.n, offered.thumbprint):
            return Kept.CONFLICT
    mine = held.get(offered.index)
    if mine is None:
        return Kept.KEPT
    if mine.share != offered.share:
        return Kept.CONFLICT
    if offered.expires_at <= mine.expires_at:
        return Kept.SAME if offered == mine else Kept.OLDER
    return Kept.KEPT
