"""What a node holds outlives it: to its heirs when it leaves, to a new predecessor whose stretch it lies in.  I/O: udp.

Handing over copies and never deletes: the owner's upkeep knows where every piece should lie and
releases what lies elsewhere. Until its owner comes back online, this is what keeps a user's pieces findable.

A node also keeps what it held at other times, far from where it lies now. In a ring of WIDE_RING times as many nodes as
a user has pieces that is nobody's inheritance while the owner is online, as his record tells: else every leave would
spread all of it further, and the ring be busier with it from hour to hour.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from overlay.ring.ids import Peer, RingId, between, clockwise, clockwise_from, piece_position

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from overlay.ring.holder_calls import HolderCalls
    from overlay.ring.holding import Holding
    from overlay.ring.storage import RecordStore
    from overlay.trust.pieces import KeyPiece

MAX_HEIRS: Final = 4
"""Successors among whom what a leaving node holds is divided."""
LEAVE_LIMIT_S: Final = 3.0
"""A node that leaves hands over for so long; a user waits for it."""
MAX_USERS_AT_ONCE: Final = 8
NEWCOMER_DELAY_S: Final = 15.0
"""Owners that are online move their pieces to a newcomer sooner, and know better which ones."""
MAX_USERS_TO_NEWCOMERS: Final = 256
WIDE_RING: Final = 4
"""In a ring of so many times n nodes a piece lies, with its second copy, fewer than STRETCH nodes behind its owner."""
STRETCH: Final = 4
"""What lies between a node and the predecessor of this number may be there rightly."""


class Handover:
    """Hands what one node holds to others."""

    __slots__ = (
        "_before",
        "_calls",
        "_clock",
        "_due",
        "_find_successor",
        "_is_giving",
        "_me",
        "_predecessor",
        "_store",
    )

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
        self._before: RingId | None = None
        """The predecessor of the time when others were endowed last; the first one at first."""
        self._due: float | None = None
        self._is_giving = False

    async def leave_to(self, near: Sequence[Peer], *, ring_size: int) -> None:
        """Give every piece to the heir that holds the fewest of its user; give up after LEAVE_LIMIT_S.

        `near`: the nodes on either side of this one.
        """
        users, heirs = self._users(), clockwise_from(self._me, near)[:MAX_HEIRS]
        if not heirs or not users:
            return
        since = clockwise_from(self._me, near)[-STRETCH:][0].id
        try:
            async with asyncio.timeout(LEAVE_LIMIT_S):
                for start in range(0, len(users), MAX_USERS_AT_ONCE):
                    some = users[start : start + MAX_USERS_AT_ONCE]
                    await asyncio.gather(*(self._bequeath(aor, heirs, since, ring_size) for aor in some))
        except TimeoutError:
            # what was not handed over is still on the other holders, and its owner's upkeep puts it back
            return

    async def look_at_predecessor(self, near: Sequence[Peer], *, ring_size: int) -> None:
        """Find out whether the predecessor changed; a while after it did, give to others what lies in their stretch.

        That may take minutes, and does not look again before it is done.
        """
        if self._is_giving:
            return
        predecessor = max(near, key=lambda peer: clockwise(self._me, peer.id), default=None)
        now = self._clock()
        if predecessor is None:
            self._predecessor, self._before, self._due = None, None, None
        elif predecessor.id != self._predecessor:
            self._before = self._before or predecessor.id
            self._predecessor, self._due = predecessor.id, now + NEWCOMER_DELAY_S
        # a clock that was set back must not put it off for years
        elif self._due is not None and not 0 < self._due - now <= NEWCOMER_DELAY_S:
            self._due = None
            self._is_giving = True
            try:
                await self._endow(predecessor, ring_size=ring_size)
            finally:
                self._is_giving = False

    def _users(self) -> list[str]:
        return sorted({aor for aor, _ in self._store.held(self._clock())})

    async def _bequeath(self, aor: str, heirs: Sequence[Peer], since: RingId, ring_size: int) -> None:
        """Give the pieces of one user to those heirs that hold the fewest of them."""
        holding, share_list = self._store.get(aor, self._clock()), self._store.share_list(aor, self._clock())
        is_online = self._is_online(holding)
        pieces = [
            piece
            for piece in holding.pieces
            if not (is_online and _is_wide(ring_size, piece)) or between(_place(piece), since, self._me)
        ]
        held = await asyncio.gather(*(self._calls.fetch_at(heir, aor) for heir in heirs)) if pieces else ()
        counts = {heir: len(found.pieces) for heir, found in zip(heirs, held, strict=False) if found is not None}
        sealed: set[Peer] = set()
        for piece in pieces:
            # min() takes the first of equals: the nearest successor
            for heir in sorted(counts, key=lambda heir: counts[heir]):
                if await self._calls.store_at(heir, piece, holding.tombstone or holding.record, share_list=share_list):
                    counts[heir] += 1
                    if heir not in sealed:
                        sealed.add(heir)
                        await self._seal(heir, aor)
                    break

    async def _endow(self, predecessor: Peer, *, ring_size: int) -> None:
        """Give copies of what lies outside of our stretch to those in whose stretch it lies.

        Not to a node that holds some of that user already: two pieces on one node are worth less than on two.
        """
        before, self._before = self._before or predecessor.id, predecessor.id
        has_come = between(predecessor.id, before, self._me)
        for aor in self._users()[:MAX_USERS_TO_NEWCOMERS]:
            holding, share_list = self._store.get(aor, self._clock()), self._store.share_list(aor, self._clock())
            is_online = self._is_online(holding)
            for piece in holding.pieces:
                place = _place(piece)
                if between(place, predecessor.id, self._me):
                    continue
                is_newcomer_s = has_come and 0 < clockwise(before, place) <= clockwise(before, predecessor.id)
                if is_online and _is_wide(ring_size, piece) and not is_newcomer_s:
                    continue
                owner = await self._find_successor(place)
                found = await self._calls.fetch_at(owner, aor) if owner.id != self._me else None
                if found is None or found.pieces:
                    continue
                if await self._calls.store_at(owner, piece, holding.tombstone or holding.record, share_list=share_list):
                    await self._seal(owner, aor)

    def _is_online(self, holding: Holding) -> bool:
        """Tell whether a user's record is in force, which he renews while he is online; his upkeep does this better."""
        return holding.record is not None and holding.record.expires_at > self._clock()

    async def _seal(self, heir: Peer, aor: str) -> None:
        """Give the seals to one that took a piece: they are what makes a holder able to rebuild others."""
        for seals in self._store.seals(aor, self._clock()):
            await self._calls.store_at(heir, None, seals)


def _place(piece: KeyPiece) -> RingId:
    return piece_position(piece.aor, piece.index, piece.n)


def _is_wide(ring_size: int, piece: KeyPiece) -> bool:
    return ring_size >= WIDE_RING * piece.n
