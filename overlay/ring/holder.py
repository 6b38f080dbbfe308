"""What this node does for others as a holder of pieces: store, fetch, release.  I/O: its store.

Arguments come from a peer that a session identified, and have no checked type: anything unsound raises RemoteError,
which is counted and not answered. A store is answered with what became of it, a fetch with as many pieces as fit
[paper §II.B].
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from overlay.errors import RemoteError
from overlay.ring.ids import id_to_bytes
from overlay.ring.rpc import packed_size
from overlay.trust.identity import is_aor
from overlay.trust.records import MAX_RECORD_BYTES, Release
from overlay.trust.seals import Seals
from overlay.trust.signed import kind_of
from overlay.trust.tombstone import Tombstone

if TYPE_CHECKING:
    from collections.abc import Callable

    from overlay.ring.holding import Kept
    from overlay.ring.ids import Peer, RingId
    from overlay.ring.listed import OverlayKeys
    from overlay.ring.storage import RecordStore

MAX_PAGE_BYTES: Final = 1100
"""Pieces and record in one answer to a fetch."""
MAX_ENCODED_BYTES: Final = 400
"""An encoded piece or release; whatever is longer is none."""
MAX_LOOKUP_RECORD_BYTES: Final = 700
"""An encoded lookup record with the longest chain of successions, or a tombstone in its place."""
MAX_SHARE_LIST_BYTES: Final = 600
"""An encoded share list of MAX_PIECES digests."""


class Holder:
    """Answers requests out of one store."""

    __slots__ = ("_clock", "_keys", "_me", "store")

    def __init__(self, store: RecordStore, *, me: RingId, keys: OverlayKeys, clock: Callable[[], float]) -> None:
        """Take the store, our id, the keys whose signatures count, and the wall clock for expiry."""
        self.store = store
        self._me = me
        self._keys = keys
        self._clock = clock

    def on_store(self, sender: Peer, piece: object, record: object, share_list: object) -> list[Any]:
        """Keep a piece, a record or both; answer [whether it is held now, why].

        A tombstone or seals may come in the record's place. A share list stands for the piece that comes with it,
        and is nothing by itself.
        """
        piece_bytes = _optional(piece)
        if isinstance(record, bytes) and kind_of(record) == Seals.KIND:
            return self._on_seals(piece_bytes, _optional(record, MAX_RECORD_BYTES))
        record_bytes = _optional(record, MAX_LOOKUP_RECORD_BYTES)
        list_bytes = _optional(share_list, MAX_SHARE_LIST_BYTES)
        now = self._clock()
        if piece_bytes is not None:
            grave = record_bytes if record_bytes is not None and kind_of(record_bytes) == Tombstone.KIND else None
            kept = self.store.put_piece(
                piece_bytes,
                None if grave else record_bytes,
                share_list=list_bytes,
                keys=self._keys,
                sender=sender.id,
                now=now,
            )
            if grave is not None and kept.held:
                kept = self.store.put_tombstone(grave, keys=self._keys, now=now)
        elif record_bytes is not None and kind_of(record_bytes) == Tombstone.KIND:
            kept = self.store.put_tombstone(record_bytes, keys=self._keys, now=now)
        elif record_bytes is not None:
            kept = self.store.put_record(record_bytes, now)
        else:
            raise RemoteError("store of nothing")
        return _outcome(kept)

    def _on_seals(self, piece: bytes | None, seals: bytes | None) -> list[Any]:
        """Keep seals, which come by themselves: there is no room for a piece beside them."""
        if piece is not None or seals is None:
            raise RemoteError("seals with a piece")
        return _outcome(self.store.put_seals(seals, self._clock()))

    def on_fetch(self, sender: Peer, aor: object, first_index: object) -> list[Any]:  # noqa: ARG002 - anybody may read
        """Answer [pieces from an index on, the record with the first page, whether there is more]."""
        if not is_aor(aor) or type(first_index) is not int:
            raise RemoteError("fetch of what is no name")
        holding = self.store.get(str(aor), self._clock())
        shown = holding.shown
        record = shown.encode() if shown is not None and first_index == 0 else None
        room = MAX_PAGE_BYTES - packed_size(record)
        pieces: list[bytes] = []
        both = sorted((*holding.former, *holding.pieces), key=lambda piece: piece.index)
        # while a key is changed an index may have two pieces, which go together: a page is asked for by index
        for index, group in groupby(both, key=lambda piece: piece.index):
            if index < first_index:
                continue
            encoded = [piece.encode() for piece in group]
            room -= sum(map(packed_size, encoded))
            if room < 0:
                return [pieces, record, True]
            pieces += encoded
        return [pieces, record, False]

    def on_release(self, sender: Peer, release: object) -> list[Any]:  # noqa: ARG002 - its owner signed it
        """Drop pieces of which their owner says that they lie elsewhere; answer [whether it was obeyed, why]."""
        data = _optional(release)
        if data is None:
            raise RemoteError("release of nothing")
        decoded = Release.decode(data)
        if decoded.node_id != id_to_bytes(self._me):
            raise RemoteError("release for another node")
        return _outcome(self.store.release(decoded, self._clock()))


def _optional(value: object, most: int = MAX_ENCODED_BYTES) -> bytes | None:
    if value is not None and (not isinstance(value, bytes) or len(value) > most):
        raise RemoteError("neither a record nor nothing")
    return value


def _outcome(kept: Kept) -> list[Any]:
    return [kept.held, kept.value]
