"""How exact successors are, and what a look-up costs: real nodes in virtual time."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import Any

from overlay.ring.ids import RING_SIZE, RingId
from tests.support.members import TestOverlay
from tests.support.network import Network
from tests.support.warmed import warmed

HOST = "10.0.0.1"
ONE_WAY_S = 0.01
JOINED = 64
"""Rings up to this size are joined one by one; larger ones begin with warmed tables."""
ROUNDS = 4
"""Rounds of stabilisation after deaths: three silences bury a node."""


def measure(count: int, *, queries: int, with_deaths: bool) -> dict[str, Any]:
    """Return how many of `queries` successors were exact, healthy and with 5 % loss and a fifth of the nodes dead."""
    network = Network(seed=count, delay_s=(ONE_WAY_S, ONE_WAY_S))
    overlay = TestOverlay(clock=network.clock, seed=count)
    rng = random.Random(count)

    async def program() -> dict[str, Any]:
        async with _ring(overlay, count, rng) as rings:
            result: dict[str, Any] = {"healthy": await _ask(rings, rings, rng, queries)}
            if not with_deaths:
                return result
            dead = rng.sample(rings, count // 5)
            for ring in dead:
                await ring.close()
            living = [ring for ring in rings if ring not in dead]
            for _ in range(ROUNDS):
                for begin in range(0, len(living), 64):
                    await asyncio.gather(*(ring._stabilisation.round() for ring in living[begin : begin + 64]))
            network.loss = 0.05
            result["loss and deaths"] = await _ask(living, rings, rng, queries)
            return result

    return network.run(program())


@asynccontextmanager
async def _ring(overlay: TestOverlay, count: int, rng: random.Random):
    if count <= JOINED:
        async with overlay.running(count, host=HOST) as rings:
            await asyncio.sleep(40)
            yield rings
    else:
        async with warmed(overlay, count, rng) as rings:
            yield rings


async def _ask(living: list[Any], everybody: list[Any], rng: random.Random, queries: int) -> dict[str, Any]:
    """Ask random nodes for random places, ids, the places after them, and those beyond the largest."""
    ids = sorted(ring.me.id for ring in living)
    named = [ring.me.id for ring in everybody]
    loop = asyncio.get_running_loop()
    exact = requests = steps = void = trips = 0.0
    for number in range(queries):
        place = (
            rng.randrange(max(ids), RING_SIZE),
            rng.choice(named),
            (rng.choice(named) + 1) % RING_SIZE,
            *(rng.getrandbits(160) for _ in range(5)),
        )[number % 8]
        ring = rng.choice(living)
        before, begun = ring.counters(), loop.time()
        found = await ring.find_successor(RingId(place))
        after, took = ring.counters(), (loop.time() - begun) / (2 * ONE_WAY_S)

        def counted(name: str, after: dict = after, before: dict = before) -> int:
            return after.get(f"ring: {name}", 0) - before.get(f"ring: {name}", 0)

        exact += found.id == min((one for one in ids if one >= place), default=ids[0])
        requests += counted("asked find_node") + counted("asked around")
        void += counted("interval void")
        trips += took
        # after a void early stop the chain of requests is no longer than the round trips that it took
        steps += took if counted("interval void") else counted("interval steps")
    return {
        "exact": exact / queries,
        "queries": queries,
        "requests": requests / queries,
        "depth": round(steps / queries, 3),
        "round trips with handshakes": round(trips / queries, 3),
        "full look-ups": void / queries,
    }
