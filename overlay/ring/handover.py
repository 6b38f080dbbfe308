"""What a node holds outlives it: to its heirs when it leaves, to a new predecessor whose stretch it lies in.  I/O: udp.

Handing over copies and never deletes: the owner's upkeep knows where every piece should lie and
releases what lies elsewhere. Until its owner comes back online, this is what keeps a user's pieces findable.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from overlay.ring.ids import Peer, RingId, between, clockwise, piece_position

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from overlay.ring.holder_calls import HolderCalls
    from overlay.ring.storage import RecordStore

MAX_HEIRS: Final = 4
"""Successors among whom what a leaving node holds is divided."""
LEAVE_LIMIT_S: Final = 3.0
"""A node that leaves hands over for so long; a user waits for it."""
MAX_USERS_AT_ONCE: Final = 8
NEWCOMER_DELAY_S: Final = 15.0
"""Owners that are online move their pieces to a newcomer sooner, and know better which ones."""
MAX_USERS_TO_NEWCOMERS: Final = 256


class Handover:
    """Hands what one node holds to others."""

    __slots__ = ("_calls", "_clock", "_due", "_find_successor", "_me", "_predecessor", "_store")

    def __init__(
        self,
        store: RecordStore,
        calls: HolderCalls,
        *,
        me: RingId,
        clock: Callable[[], float],
        find_successor: Callable[[RingId], Awaitable[Peer]],
    ) -> None:
        """Take the store, the calls to holders, our id, the wall clock, and how to find who a place belongs to."""
        self._store = store
        self._calls = calls
        self._me = me
        self._clock = clock
        self._find_successor = find_successor
        self._predecessor: RingId | None = None
        self._due: float | None = None

    async def leave_to(self, heirs: Sequence[Peer]) -> None:
        """Give every piece to the heir that holds the fewest of its user; give up after LEAVE_LIMIT_S."""
        users = self._users()
        if not heirs or not users:
            return
        try:
            async with asyncio.timeout(LEAVE_LIMIT_S):
                for start in range(0, len(users), MAX_USERS_AT_ONCE):
                    some = users[start : start + MAX_USERS_AT_ONCE]
                    await asyncio.gather(*(self._bequeath(aor, heirs) for aor in some))
        except TimeoutError:
            # what was not handed over is still on the other holders, and its owner's upkeep puts it back
            return

    async def look_at_predecessor(self, peers: Iterable[Peer]) -> None:
        """Find out whether the predecessor changed; a while after it did, give to others what lies in their stretch."""
        predecessor = max(peers, key=lambda peer: clockwise(self._me, peer.id), default=None)
        now = self._clock()
        if predecessor is None:
            self._predecessor, self._due = None, None
        elif predecessor.id != self._predecessor:
            self._predecessor, self._due = predecessor.id, now + NEWCOMER_DELAY_S
        elif self._due is not None and self._due <= now:
            self._due = None
            await self._endow(predecessor)

    def _users(self) -> list[str]:
        return sorted({aor for aor, _ in self._store.held(self._clock())})

    async def _bequeath(self, aor: str, heirs: Sequence[Peer]) -> None:
        """Give the pieces of one user to those heirs that hold the fewest of them."""
        holding, share_list = self._store.get(aor, self._clock()), self._store.share_list(aor, self._clock())
        held = await asyncio.gather(*(self._calls.fetch_at(heir, aor) for heir in heirs))
        counts = {heir: len(found.pieces) for heir, found in zip(heirs, held, strict=True) if found is not None}
        for piece in holding.pieces:
            # min() takes the first of equals: the nearest successor
            for heir in sorted(counts, key=lambda heir: counts[heir]):
                if await self._calls.store_at(heir, piece, holding.tombstone or holding.record, share_list=share_list):
                    counts[heir] += 1
                    await self._seal(heir, aor)
                    break

    async def _endow(self, predecessor: Peer) -> None:
        """Give copies of what lies outside of our stretch to those in whose stretch it lies.

        Not to a node that holds some of that user already: two pieces on one node are worth less than on two.
        """
        for aor in self._users()[:MAX_USERS_TO_NEWCOMERS]:
            holding, share_list = self._store.get(aor, self._clock()), self._store.share_list(aor, self._clock())
            for piece in holding.pieces:
                place = piece_position(aor, piece.index, piece.n)
                if between(place, predecessor.id, self._me):
                    continue
                owner = await self._find_successor(place)
                found = await self._calls.fetch_at(owner, aor) if owner.id != self._me else None
                if found is None or found.pieces:
                    continue
                if await self._calls.store_at(owner, piece, holding.tombstone or holding.record, share_list=share_list):
                    await self._seal(owner, aor)

    async def _seal(self, heir: Peer, aor: str) -> None:
        """Give the seals to one that took a piece: they are what makes a holder able to rebuild others."""
        for seals in self._store.seals(aor, self._clock()):
            await self._calls.store_at(heir, None, seals)
