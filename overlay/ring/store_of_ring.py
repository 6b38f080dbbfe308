"""One store as each of two rings sees it: what came by the one is not carried into the other.  I/O: the store's.

A node in both rings keeps for both and shows everything to whoever asks. But what it does unasked with what it holds,
to hand it on and to rebuild it, it does only in the ring where it came from: an owner who is in one ring could neither
release nor renew copies in the other, and a key that he changed or revoked would live on there.

Which ring that was is kept with the pieces: if restarts forgot it, one night of them would leave a user who is away
with holders none of whom rebuilds anything.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from overlay.ring.storage import RecordStore
from overlay.trust.pieces import KeyPiece
from overlay.trust.records import LookupRecord

if TYPE_CHECKING:
    from overlay.ring.holding import Kept

_FOUR, _SIX = 4, 6


class StoreOfRing(RecordStore):
    """The same store, with a memory of the names that came by one ring."""

    __slots__ = ("_came", "_family")

    def __init__(self, store: RecordStore, host: str) -> None:
        """Share everything with `store`, which its maker closes; `host` is this node's IP literal in that ring."""
        # not the base's own: there is one database, with one set of rows and counters
        for name in RecordStore.__slots__:
            setattr(self, name, getattr(store, name))
        self._family = _SIX if ":" in host else _FOUR
        self._came: set[str] = set(self._rows("SELECT aor FROM came_by WHERE family = ?", self._family))

    def put_piece(self, piece_bytes: bytes, *more: Any, **how: Any) -> Kept:
        """Keep a piece as the store does, and remember whose it is."""
        kept = super().put_piece(piece_bytes, *more, **how)
        if kept.held:
            self._remember(KeyPiece.decode(piece_bytes).aor)
        return kept

    def put_record(self, record_bytes: bytes, now: float) -> Kept:
        """Keep a record as the store does, and remember whose it is."""
        kept = super().put_record(record_bytes, now)
        if kept.held:
            self._remember(LookupRecord.decode(record_bytes).aor)
        return kept

    def held(self, now: float) -> list[tuple[str, int]]:
        """Return user and index of each piece of those who came by this ring."""
        return [(aor, index) for aor, index in super().held(now) if aor in self._came]

    def sweep(self, now: float) -> int:
        """Drop what has expired, and the memory of those of whom nothing is left; return how many pieces that were."""
        dropped = super().sweep(now)
        self._came.difference_update(
            self._rows(
                "DELETE FROM came_by WHERE family = ? AND aor NOT IN (SELECT aor FROM pieces) RETURNING aor",
                self._family,
            )
        )
        return dropped

    def _remember(self, aor: str) -> None:
        if aor not in self._came:
            self._came.add(aor)
            self._rows("INSERT OR IGNORE INTO came_by (aor, family) VALUES (?, ?)", aor, self._family)

    def _rows(self, statement: str, *values: str | int) -> list[str]:
        try:
            return [aor for (aor,) in self._db.execute(statement, values).fetchall()]
        except sqlite3.Error:
            self.counters["store failed"] += 1
            return []
