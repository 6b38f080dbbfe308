"""One store as each of two rings sees it: what came by the one is not carried into the other.  I/O: the store's.

A node in both rings keeps for both and shows everything to whoever asks. But what it does unasked with what it holds,
to hand it on and to rebuild it, it does only in the ring where it came from: an owner who is in one ring could neither
release nor renew copies in the other, and a key that he changed or revoked would live on there.

What came before a restart is nobody's until its owner stores something again; other holders look after it meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from overlay.ring.storage import RecordStore
from overlay.trust.pieces import KeyPiece
from overlay.trust.records import LookupRecord

if TYPE_CHECKING:
    from overlay.ring.holding import Kept


class StoreOfRing(RecordStore):
    """The same store, with a memory of the names that came by one ring."""

    __slots__ = ("_came",)

    def __init__(self, store: RecordStore) -> None:
        """Share everything with `store`, which its maker closes."""
        # not the base's own: there is one database, with one set of rows and counters
        for name in RecordStore.__slots__:
            setattr(self, name, getattr(store, name))
        self._came: set[str] = set()

    def put_piece(self, piece_bytes: bytes, *more: Any, **how: Any) -> Kept:
        """Keep a piece as the store does, and remember whose it is."""
        kept = super().put_piece(piece_bytes, *more, **how)
        if kept.held:
            self._came.add(KeyPiece.decode(piece_bytes).aor)
        return kept

    def put_record(self, record_bytes: bytes, now: float) -> Kept:
        """Keep a record as the store does, and remember whose it is."""
        kept = super().put_record(record_bytes, now)
        if kept.held:
            self._came.add(LookupRecord.decode(record_bytes).aor)
        return kept

    def held(self, now: float) -> list[tuple[str, int]]:
        """Return user and index of each piece of those who came by this ring."""
        held = [(aor, index) for aor, index in super().held(now) if aor in self._came]
        self._came = {aor for aor, _ in held}
        return held
