"""What this node asks of holders: store, fetch, release; itself is asked without the network.  I/O: udp.

Only an answer that says "held" counts as stored; silence and nonsense count as no. What is fetched is decoded and of
the right user, and no more: who verifies needs to see what a liar said.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from overlay.errors import RemoteError
from overlay.ring.holding import Holding
from overlay.ring.retransmission import PATIENT
from overlay.ring.rpc import packed_size
from overlay.trust.pieces import KeyPiece
from overlay.trust.records import LookupRecord
from overlay.trust.signed import kind_of
from overlay.trust.tombstone import Tombstone

if TYPE_CHECKING:
    from overlay.ring.holder import Holder
    from overlay.ring.ids import Peer
    from overlay.ring.protocol import HardProtocol
    from overlay.trust.records import Release, ShareList
    from overlay.trust.seals import Seals

MAX_PAGES: Final = 32
"""Answers that one fetch asks a holder for: a piece each at least, so more than a user has pieces."""
FETCH_LIMIT_S: Final = 3.0
"""No page is asked for later than so long after the first: a holder that gives a piece at a time, each as late as may
be, would keep whoever asks waiting ten times as long as one that is silent."""
MAX_STORE_BYTES: Final = 1300
"""Piece, record and share list in one request; a request has at most 1,400 bytes."""


class HolderCalls:
    """Requests to holders, this node among them."""

    __slots__ = ("_holder", "_rpc")

    def __init__(self, rpc: HardProtocol, holder: Holder) -> None:
        self._rpc = rpc
        self._holder = holder

    async def store_at(
        self,
        peer: Peer,
        piece: KeyPiece | None,
        record: LookupRecord | Tombstone | Seals | None,
        *,
        share_list: ShareList | None = None,
    ) -> bool:
        """Ask a node to keep something; True only when it says that it holds it now.

        A piece is kept only where a share list names it: this one, or one that the node has. A tombstone goes in the
        place of the record.
        """
        offered = [None if it is None else it.encode() for it in (piece, record, share_list)]
        if piece is not None and record is not None and packed_size(offered) > MAX_STORE_BYTES:
            # the record goes by itself: it is kept beside the piece that has just been taken
            taken = await self.store_at(peer, piece, None, share_list=share_list)
            return taken and await self.store_at(peer, None, record)
        if peer.id == self._rpc.me.id:
            return _is_yes(self._holder.on_store(peer, *offered))
        answered, value = await self._rpc.ask(peer, "store", *offered, patience=PATIENT)
        return answered and _is_yes(value)

    async def release_at(self, peer: Peer, release: Release) -> bool:
        """Ask a node to drop what its owner released; True only when it says that it did."""
        encoded = release.encode()
        if peer.id == self._rpc.me.id:
            return _is_yes(self._holder.on_release(peer, encoded))
        answered, value = await self._rpc.ask(peer, "release", encoded, patience=PATIENT)
        return answered and _is_yes(value)

    async def fetch_at(self, peer: Peer, aor: str) -> Holding | None:
        """Return all that a node holds of a user, as far as it could be read; None when it is silent."""
        pieces: dict[tuple[int, int], KeyPiece] = {}
        record: LookupRecord | Tombstone | None = None
        first_index, loop = 0, asyncio.get_running_loop()
        until = loop.time() + FETCH_LIMIT_S
        for page in range(MAX_PAGES):
            answered, value = await self._fetch(peer, aor, first_index)
            if not answered:
                return None if page == 0 else _holding(pieces, record)
            try:
                encoded, first_record, more = _page(value)
            except RemoteError as flaw:
                self._rpc.counters[flaw.reason] += 1
                break
            fresh = self._pieces(encoded, aor, first_index)
            pieces.update(fresh)
            record = record or self._record(first_record, aor)
            if not more or (not fresh and page > 0) or loop.time() > until:
                break
            # a long record may leave no room for a piece on its page
            first_index = max((index for index, _ in fresh), default=0) + 1
        return _holding(pieces, record)

    async def _fetch(self, peer: Peer, aor: str, first_index: int) -> tuple[bool, Any]:
        if peer.id == self._rpc.me.id:
            return True, self._holder.on_fetch(peer, aor, first_index)
        return await self._rpc.ask(peer, "fetch", aor, first_index, patience=PATIENT)

    def _pieces(self, encoded: list[Any], aor: str, first_index: int) -> dict[tuple[int, int], KeyPiece]:
        """Return what can be read as this user's pieces from an index on."""
        pieces: dict[tuple[int, int], KeyPiece] = {}
        for item in encoded:
            try:
                piece = KeyPiece.decode(item)
            except RemoteError as flaw:
                self._rpc.counters[flaw.reason] += 1
                continue
            if piece.aor == aor and piece.index >= first_index:
                pieces[piece.index, piece.generation] = piece
        return pieces

    def _record(self, encoded: object, aor: str) -> LookupRecord | Tombstone | None:
        if not isinstance(encoded, bytes):
            return None
        kind = Tombstone if kind_of(encoded) == Tombstone.KIND else LookupRecord
        try:
            record: LookupRecord | Tombstone = kind.decode(encoded)
        except RemoteError as flaw:
            self._rpc.counters[flaw.reason] += 1
            return None
        return record if record.aor == aor else None


def _is_yes(value: object) -> bool:
    """Tell whether the answer to a store or a release is [True, why]."""
    return isinstance(value, list) and len(value) > 0 and value[0] is True


def _holding(pieces: dict[tuple[int, int], KeyPiece], beside: LookupRecord | Tombstone | None) -> Holding:
    """Return what was read: pieces of two generations perhaps, and what came beside them."""
    return Holding(
        pieces=tuple(pieces[place] for place in sorted(pieces)),
        record=beside if isinstance(beside, LookupRecord) else None,
        tombstone=beside if isinstance(beside, Tombstone) else None,
    )


def _page(value: Any) -> tuple[list[Any], Any, bool]:
    """Read one answer to a fetch; RemoteError when it has another shape."""
    if not isinstance(value, list) or len(value) != 3:  # noqa: PLR2004 - pieces, record, more
        raise RemoteError("page of another shape")
    pieces, record, more = value
    if not isinstance(pieces, list) or not all(isinstance(piece, bytes) for piece in pieces) or type(more) is not bool:
        raise RemoteError("page of another shape")
    return pieces, record, more
