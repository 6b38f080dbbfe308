"""What a member does unasked so that the ring stays exact: pings suspects, meets its neighbours, sweeps.  I/O: udp.

One round after the other, each in the same task, with a jittered pause between: a second while somebody is under
suspicion, five after a change or in a small ring, thirty when all is quiet. So three silences bury a dead neighbour
within seconds, and a look-up that this node starts about itself tells its neighbours that it is there  [Chord 2001
§4.4] [Maymounkov & Mazieres 2002 §2.3].
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from overlay.ring.contacts import MAX_CONTACTS, node_of
from overlay.ring.ids import RING_BITS, RingId
from overlay.ring.routing import BUCKET_CONTACTS

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from overlay.ring.chord_server import ChordServer
    from overlay.ring.ids import Peer

SUSPECT_PAUSE_S: Final = 1.0
BUSY_PAUSE_S: Final = 5.0
QUIET_PAUSE_S: Final = 30.0
JITTER: Final = 0.2
"""Pauses vary by so much either way: nodes that start together must not go on together."""
SMALL_RING: Final = 16
"""Rings that are cheap enough to be looked at every five seconds."""
MAX_PINGS: Final = 32
"""Suspects, or lost contacts, pinged in one round."""


class Stabilisation:
    """The rounds of one node."""

    def __init__(self, server: ChordServer, *, rng: random.Random, after_round: Callable[[], Awaitable[None]]) -> None:
        """Take the node, dice for the jitter, and what else to do at the end of each round."""
        self._server = server
        self._rng = rng
        self._after_round = after_round
        self._sleep: asyncio.Future[None] | None = None
        self._has_changed = False
        self._toured_at = asyncio.get_running_loop().time()
        self.rounds = 0

    def notice(self) -> None:
        """Take note that a contact came, moved, fell silent or went: the next round comes sooner."""
        self._has_changed = True
        self._wake()

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            await self._pause()
            await self.round()

    async def round(self) -> None:
        """Do one round."""
        self.rounds += 1
        self._has_changed = False
        loop, server = asyncio.get_running_loop(), self._server
        await self._ping(server.rpc.suspects())
        if not server.rpc.contacts():
            await self._ping([*server.rpc.lost, *server.rpc.suspects()])
        elif server.rpc.lost:
            # somebody who comes back after a cut of the network knows the other half of the ring
            await self._ping([self._rng.choice(list(server.rpc.lost))])
        await server.nearest(server.me.id)
        await server.meet_neighbours()
        if loop.time() - self._toured_at >= QUIET_PAUSE_S:
            self._toured_at = loop.time()
            await self._tour()
        server.rpc.sweep()
        await self._after_round()

    async def _tour(self) -> None:
        """Look beyond the neighbourhood: at everybody where they are few enough to be known, else at some place."""
        known = len(self._server.rpc.router)
        if MAX_CONTACTS <= known <= BUCKET_CONTACTS:
            await self._server.census()
        elif known > BUCKET_CONTACTS:
            await self._server.nearest(RingId(self._rng.getrandbits(RING_BITS)))

    async def _ping(self, peers: list[Peer]) -> None:
        pings = (self._server.rpc.call_ping(node_of(peer)) for peer in peers[-MAX_PINGS:])
        await asyncio.gather(*pings)

    async def _pause(self) -> None:
        """Wait for the next round; what happens meanwhile can only bring it nearer."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._pause_s()
        while (rest := due - loop.time()) > 0:
            self._sleep = loop.create_future()
            timer = loop.call_later(rest, self._wake)
            try:
                await self._sleep
            finally:
                timer.cancel()
                self._sleep = None
            due = min(due, loop.time() + self._pause_s())

    def _wake(self) -> None:
        if self._sleep is not None and not self._sleep.done():
            self._sleep.set_result(None)

    def _pause_s(self) -> float:
        rpc = self._server.rpc
        pause = QUIET_PAUSE_S
        if rpc.suspects():
            pause = SUSPECT_PAUSE_S
        elif self._has_changed or len(rpc.router) < SMALL_RING:
            pause = BUSY_PAUSE_S
        return pause * self._rng.uniform(1 - JITTER, 1 + JITTER)
