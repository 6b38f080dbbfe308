"""One read of a user's places that ends as soon as the reader has enough.  I/O: udp.

    1. The owners of the first few places, as far as this node knows, are asked at once, those of whom it can be surest:
       most often they are it, and no look-up is needed. When they have answered, or after LATER_S, those of the other
       places are asked too.
    2. When all of them have answered, or HEDGE_S have gone by, the places that have not given a piece are pursued: the
       known nodes on either side of each are asked who follows it, and everybody whom they name is asked for it, each
       name as it comes. Where that gives no piece either, the place's owner is looked up exactly. Where nobody is late
       they are pursued one by one, the next after LATER_S or when the one before came to nothing.
    3. Whatever comes is shown to the reader at once, who alone can tell what it is worth. What was asked goes on by
       itself: that somebody is silent is worth knowing.

A late node holds up its own place alone, and nobody who answers hides who else may have the piece.

This is the `read` of the Chord interface, and what the benchmarks call a get. Calls do not go through it: their look-up
must know what each answer is worth, and whom it distrusts, so it asks by itself (`adapter.search`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from overlay.ring.ids import Peer, clockwise, piece_position

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from overlay.ring.chord_server import ChordServer
    from overlay.ring.holder_calls import HolderCalls
    from overlay.ring.holding import Holding
    from overlay.trust.pieces import KeyPiece

HEDGE_S: Final = 0.1
"""How long the first answers may take before others are asked beside them."""
LATER_S: Final = 0.02
"""From the first places to the others, and from one pursuit to the next in a healthy ring: a little more is often
enough."""
INFORMANTS: Final = 1
"""Known nodes on either side of a place that are asked who follows it: if they lie, the exact look-up comes next."""
FOLLOWERS: Final = 2
"""Nodes after a place that are asked for its piece, as each of those near it names them."""


class Reading:
    """One read."""

    def __init__(
        self,
        server: ChordServer,
        calls: HolderCalls,
        *,
        aor: str,
        n: int,
        first: int,
        enough: Callable[[Mapping[Peer, Holding]], bool],
        is_signed: Callable[[KeyPiece], bool],
    ) -> None:
        """Take the ring, the calls to holders, whose n pieces are wanted, and at how many places to begin.

        `enough` is told of all answers so far, unverified, and says whether the reader needs no more; `is_signed` tells
        which pieces leave a place in peace. Neither may block.
        """
        self._server = server
        self._calls = calls
        self._aor = aor
        self._enough = enough
        self._is_signed = is_signed
        self._first = first
        self._places = {index: piece_position(aor, index, n) for index in range(1, n + 1)}
        self._asked: dict[Peer, asyncio.Task[None] | None] = {}
        self._signed: dict[KeyPiece, bool] = {}
        self._news = asyncio.Event()
        self._shown = 0
        """How many answers the reader has been shown."""
        self._has_enough = False
        self.found: dict[Peer, Holding] = {}
        """What each node that answered holds, nodes that hold nothing left out."""

    async def run(self) -> None:
        """Ask until it is enough or nobody is left to ask."""
        owners = self._likeliest_first()
        asked = [self._ask(owner) for owner in owners[: self._first]]
        if await self._listen(asked, limit_s=LATER_S):
            return
        asked += [self._ask(owner) for owner in owners[self._first :]]
        if await self._listen(asked, limit_s=HEDGE_S):
            return
        lacking = sorted(self._places.keys() - self._given())
        is_healthy = all(task is None or task.done() for task in asked)
        pursuits: list[asyncio.Task[None] | None] = []
        try:
            for index in lacking:
                pursuits.append(self._spawn(self._pursue(index), "ring pursuit"))
                if is_healthy and await self._listen(pursuits, limit_s=LATER_S):
                    return
            await self._listen([*asked, *pursuits])
        finally:
            for task in pursuits:
                if task is not None:
                    task.cancel()

    def _likeliest_first(self) -> list[Peer]:
        """Return, for each place, the first node at or after it that is known here; the nearest to its place first.

        The nearer one is, the less room there is between for the true owner to be somebody else.
        """
        me = self._server.me
        owners: list[tuple[int, Peer]] = []
        for place in self._places.values():
            steps = {clockwise(place, peer.id): peer for peer in (*self._server.rpc.around(place, 1), me)}
            owners.append((nearest := min(steps), steps[nearest]))
        return [peer for _, peer in sorted(owners)]

    async def _listen(self, tasks: list[asyncio.Task[None] | None], *, limit_s: float | None = None) -> bool:
        """Wait until it is enough (True), or until all tasks are done or the time is over (what it is then)."""
        try:
            async with asyncio.timeout(limit_s):
                while not self._is_enough() and not all(task is None or task.done() for task in tasks):
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            pass
        return self._is_enough()

    def _is_enough(self) -> bool:
        """Ask the reader, who checks signatures each time: only where something came, and no more once it is enough."""
        if not self._has_enough and len(self.found) > self._shown:
            self._shown = len(self.found)
            self._has_enough = self._enough(self.found)
        return self._has_enough

    async def _pursue(self, index: int) -> None:
        """Ask everybody who is said to follow a place, then its owner as the ring confirms it."""
        place = self._places[index]
        asked: list[asyncio.Task[None] | None] = []
        async for named in self._server.hearsay(place, FOLLOWERS, informants=INFORMANTS):
            asked.extend(map(self._ask, named))
        await self._settle(asked)
        if index not in self._given():
            await self._settle([self._ask(await self._server.successor(place))])

    @staticmethod
    async def _settle(tasks: list[asyncio.Task[None] | None]) -> None:
        # waited for and not awaited: who gives up waiting does not end what others wait for
        if running := [task for task in tasks if task is not None]:
            await asyncio.wait(running)

    def _ask(self, peer: Peer) -> asyncio.Task[None] | None:
        """Ask a node what it holds of the user, once."""
        if peer not in self._asked:
            self._asked[peer] = self._spawn(self._fetch(peer), "ring fetch")
        return self._asked[peer]

    async def _fetch(self, peer: Peer) -> None:
        holding = await self._calls.fetch_at(peer, self._aor)
        if holding is not None and not holding.is_empty:
            self.found[peer] = holding

    def _given(self) -> set[int]:
        """Return the indices of which a piece came that the overlay signed."""
        pieces = {piece for one in self.found.values() for piece in one.pieces}
        # a signature takes as long to check as a node to answer
        self._signed.update((piece, self._is_signed(piece)) for piece in pieces - self._signed.keys())
        return {piece.index for piece in pieces if self._signed[piece]}

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None] | None:
        task = self._server.rpc.spawn(work, name=name)
        if task is not None:
            task.add_done_callback(lambda _: self._news.set())
        return task
