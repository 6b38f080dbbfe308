"""What a member does unasked so that the ring stays exact: pings suspects, meets its neighbours, sweeps.  I/O: udp.

One round after the other, each in the same task, with a jittered pause between: five seconds after a change beside
this node or in a small ring, thirty otherwise; a change elsewhere is the business of those who are near it. Whoever is
under suspicion is pinged every second meanwhile, so three silences bury a dead node within seconds. Every TOUR_PAUSE_S
a round also looks beyond the neighbourhood; a look-up that this node starts about itself tells others that it is there
[Chord 2001 §4.4] [Maymounkov & Mazieres 2002 §2.3].
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Final

from overlay.ring.contacts import MAX_CONTACTS, node_of
from overlay.ring.ids import RING_BITS, RingId
from overlay.ring.retransmission import BRIEF
from overlay.ring.routing import BUCKET_CONTACTS

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from overlay.ring.chord_server import ChordServer
    from overlay.ring.ids import Peer

log = logging.getLogger(__name__)

SUSPECT_PAUSE_S: Final = 1.0
BUSY_PAUSE_S: Final = 5.0
QUIET_PAUSE_S: Final = 30.0
JITTER: Final = 0.2
"""Pauses vary by so much either way: nodes that start together must not go on together."""
SMALL_RING: Final = 16
"""Rings that are cheap enough to be looked at every five seconds."""
MAX_PINGS: Final = 32
"""Suspects, or lost contacts, pinged in one round."""
TOUR_PAUSE_S: Final = 120.0
"""From one look beyond the neighbourhood to the next in a ring that is not small."""
TOUR_NODES: Final = 6
"""Nodes that have to answer each of its two look-ups, which are there for whom they meet on the way."""


class Stabilisation:
    """The rounds of one node."""

    __slots__ = ("_after_round", "_has_changed", "_loop", "_rng", "_server", "_sleep", "_toured_at", "rounds")

    def __init__(self, server: ChordServer, *, rng: random.Random, after_round: Callable[[], Awaitable[None]]) -> None:
        """Take the node, dice for the jitter, and what else to do at the end of each round."""
        self._server = server
        self._rng = rng
        self._after_round = after_round
        self._loop = asyncio.get_running_loop()
        self._sleep: asyncio.Future[None] | None = None
        self._has_changed = False
        self._toured_at = self._loop.time()
        self.rounds = 0

    def notice(self, peer: Peer) -> None:
        """Take note that a contact came, moved, fell silent or went: beside this node the next round comes sooner."""
        self._has_changed = self._has_changed or self._server.is_near(peer)
        self._stir()

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            try:
                await self._pause()
                await self.round()
            except Exception:
                # a round that fails must not be the last one: without them a node is forgotten, and knows nobody
                log.exception("a round of stabilisation failed")
                self._server.rpc.counters["stabilisation failed"] += 1

    async def round(self) -> None:
        """Do one round."""
        self.rounds += 1
        self._has_changed = False
        server = self._server
        await self._ping(server.rpc.suspects())
        if not server.rpc.count():
            await self._ping([*server.rpc.lost, *server.rpc.suspects()])
        elif server.rpc.lost:
            # somebody who comes back after a cut of the network knows the other half of the ring
            await self._ping([self._rng.choice(list(server.rpc.lost))])
        knows_all = len(server.rpc.router) <= BUCKET_CONTACTS
        if knows_all:
            await server.nearest(server.me.id)
        await server.meet_neighbours()
        if self._loop.time() - self._toured_at >= (QUIET_PAUSE_S if knows_all else TOUR_PAUSE_S):
            self._toured_at = self._loop.time()
            await self._tour()
        server.rpc.sweep()
        await self._after_round()

    async def _tour(self) -> None:
        """Look beyond the neighbourhood: at everybody where they are few enough to be known, else here and there."""
        known = len(self._server.rpc.router)
        if MAX_CONTACTS <= known <= BUCKET_CONTACTS:
            await self._server.census()
        elif known > BUCKET_CONTACTS:
            await self._server.nearest(self._server.me.id, TOUR_NODES)
            await self._server.nearest(RingId(self._rng.getrandbits(RING_BITS)), TOUR_NODES)

    async def _ping(self, peers: list[Peer]) -> None:
        pings = (self._server.rpc.call_ping(node_of(peer), patience=BRIEF) for peer in peers[-MAX_PINGS:])
        await asyncio.gather(*pings)

    async def _pause(self) -> None:
        """Wait for the next round, which a change can only bring nearer; meanwhile ping those under suspicion."""
        due = self._loop.time() + self._jittered(BUSY_PAUSE_S if self._is_busy() else QUIET_PAUSE_S)
        was_busy, ping_at = self._is_busy(), math.inf
        while (now := self._loop.time()) < due:
            if ping_at <= now:
                await self._ping(self._server.rpc.suspects())
                ping_at = math.inf
            elif ping_at == math.inf and self._server.rpc.suspects():
                ping_at = now + self._jittered(SUSPECT_PAUSE_S)
            if not was_busy and self._is_busy():
                was_busy, due = True, min(due, now + self._jittered(BUSY_PAUSE_S))
            await self._stir_or(min(due, ping_at))

    async def _stir_or(self, until: float) -> None:
        """Wait for a change, at most until a time."""
        self._sleep = self._loop.create_future()
        timer = self._loop.call_at(until, self._stir)
        try:
            await self._sleep
        finally:
            timer.cancel()
            self._sleep = None

    def _stir(self) -> None:
        if self._sleep is not None and not self._sleep.done():
            self._sleep.set_result(None)

    def _is_busy(self) -> bool:
        return self._has_changed or len(self._server.rpc.router) < SMALL_RING

    def _jittered(self, seconds: float) -> float:
        return seconds * self._rng.uniform(1 - JITTER, 1 + JITTER)
