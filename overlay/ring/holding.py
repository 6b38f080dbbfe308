"""What a node holds of a user, and what became of something that it was asked to hold.  I/O: none."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from overlay.ring.ids import RingId
    from overlay.trust.pieces import KeyPiece
    from overlay.trust.records import LookupRecord, ShareList
    from overlay.trust.tombstone import Tombstone


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
    OTHER_GENERATION = "a newer generation is held"
    REVOKED = "the key is revoked"
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
    former: tuple[KeyPiece, ...] = ()
    """Pieces of the generation before, kept until the owner is seen to go on with the new one."""
    former_record: LookupRecord | None = None
    """The record beside those."""
    tombstone: Tombstone | None = None
    """What says that the key of these pieces is revoked; there is no record then."""

    @property
    def shown(self) -> LookupRecord | Tombstone | None:
        """What a reader is given beside the pieces.

        While a new generation comes in, the record goes with the generation whose key can be had here.
        """
        if self.tombstone is not None:
            return self.tombstone
        if (
            self.former_record is not None
            and self.pieces
            and len(self.pieces) < min(self.pieces[0].k, len(self.former))
        ):
            return self.former_record
        return self.record

    @property
    def is_empty(self) -> bool:
        """Whether the node holds nothing of the user."""
        return not self.pieces and self.record is None and self.tombstone is None


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
    same share with a later end is a renewal, which only the dealing key can sign. A newer generation follows an older
    one, if the overlay key lists it (`listed`); the older never comes back while the newer lives.
    """
    for piece in held.values():
        if piece.generation != offered.generation:
            return Kept.OTHER_GENERATION if piece.generation > offered.generation else Kept.KEPT
        if (piece.k, piece.n, piece.thumbprint) != (offered.k, offered.n, offered.thumbprint):
            return Kept.CONFLICT
    mine = held.get(offered.index)
    if mine is None:
        return Kept.KEPT
    if mine.share != offered.share:
        return Kept.CONFLICT
    renews = offered.expires_at > mine.expires_at
    return Kept.KEPT if renews else Kept.SAME if offered == mine else Kept.OLDER
