"""What a node holds outlives it: to its heirs when it leaves, to a new predecessor whose stretch it lies in.  I/O: udp.

Handing over copies and never deletes: the owner's upkeep knows where every piece should lie and
releases what lies elsewhere. Until its owner comes back online, this is what keeps a user's pieces findable.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from overlay.ring.ids import Peer, RingId, between, clockwise, piece_position

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from overlay.ring.holder_calls import HolderCalls
    from overlay.ring.holding import Holding
    from overlay.ring.storage import RecordStore

MAX_HEIRS: Final = 4
"""Successors among whom what a leaving node holds is divided."""
LEAVE_LIMIT_S: Final = 3.0
"""A node that leaves hands over for so long; a user waits for it."""
MAX_USERS_AT_ONCE: Final = 8
NEWCOMER_DELAY_S: Final = 15.0
"""Owners that are online move their pieces to a newcomer sooner, and know better which ones."""
MAX_USERS_TO_NEWCOMER: Final = 256


class Handover:
    """Hands what one node holds to others."""

    def __init__(self, store: RecordStore, calls: HolderCalls, *, me: RingId, clock: Callable[[], float]) -> None:
        self._store = store
        self._calls = calls
        self._me = me
        self._clock = clock
        self._predecessor: RingId | None = None
        self._waiting: tuple[float, Peer, RingId] | None = None

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
        """Find out whether there is a new predecessor; give it, after a while, what lies in its stretch of the ring."""
        predecessor = max(peers, key=lambda peer: clockwise(self._me, peer.id), default=None)
        now = self._clock()
        if predecessor is not None and predecessor.id != self._predecessor:
            before = self._me if self._predecessor is None else self._predecessor
            if self._predecessor is not None and between(predecessor.id, before, self._me):
                self._waiting = (now + NEWCOMER_DELAY_S, predecessor, before)
            self._predecessor = predecessor.id
        if self._waiting is not None and self._waiting[0] <= now:
            _, newcomer, start = self._waiting
            self._waiting = None
            await self._endow(newcomer, start)

    def _users(self) -> list[str]:
        return sorted({aor for aor, _ in self._store.held(self._clock())})

    async def _bequeath(self, aor: str, heirs: Sequence[Peer]) -> None:
        """Give the pieces of one user to those heirs that hold the fewest of them."""
        holding = self._store.get(aor, self._clock())
        held = await asyncio.gather(*(self._calls.fetch_at(heir, aor) for heir in heirs))
        counts = {heir: len(found.pieces) for heir, found in zip(heirs, held, strict=True) if found is not None}
        for piece in holding.pieces:
            # min() takes the first of equals: the nearest successor
            for heir in sorted(counts, key=lambda heir: counts[heir]):
                if await self._calls.store_at(heir, piece, holding.record):
                    counts[heir] += 1
                    break

    async def _endow(self, newcomer: Peer, start: RingId) -> None:
        """Give a new predecessor copies of what lies between `start` and itself, unless it holds some of that user."""
        theirs: dict[str, Holding] = defaultdict()
        for aor in self._users():
            holding = self._store.get(aor, self._clock())
            if any(between(piece_position(aor, p.index, p.n), start, newcomer.id) for p in holding.pieces):
                theirs[aor] = holding
            if len(theirs) == MAX_USERS_TO_NEWCOMER:
                break
        for aor, holding in theirs.items():
            found = await self._calls.fetch_at(newcomer, aor)
            if found is None:
                return
            for piece in holding.pieces if not found.pieces else ():
                if between(piece_position(aor, piece.index, piece.n), start, newcomer.id):
                    await self._calls.store_at(newcomer, piece, holding.record)
