"""Liars among the n nodes that hold a user's pieces: fixed placements, another choice of liars every few calls.

The ring has n + 2 nodes. Alice's and bob's own are the two that hold nothing of either, so the n others hold one piece
of each of them, and a liar lies about both: each call needs two look-ups, alice's of bob and bob's of alice.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from tests.attack.lies import Gang
from tests.attack.registered import Places, Registered, places_of
from tests.attack.rows import Cell, Tally
from tests.attack.sides import CALLS_PER_S
from tests.support.evil import LyingStore, lend_tongue
from tests.support.members import TestOverlay
from tests.support.network import Network

if TYPE_CHECKING:
    from overlay.ring.ids import Peer
    from overlay.ring.kademlia_ring import KademliaRing

HOST = "10.0.0.1"
ONE_WAY_S = 0.010
"""Delay of every datagram: a network with a round trip of 20 ms."""
PAUSE_S = 0.1
"""Between two calls, so that nothing of the first is still under way, and no limit on floods is met."""
SAME_LIARS_CALLS = 10
"""So many calls in a row meet the same liars: what the adapters learn of them in one call helps or harms the next."""
FORGIVEN_WITHIN_S = 30
"""By then every node that was silent and now speaks is known to speak."""
FRESH_CALLS = 100
"""After so many calls the users publish a new record, as their adapters would at its half-life."""


def run(cell: Cell) -> dict[str, Any]:
    """Play one cell."""
    rng = random.Random(cell.name)
    network = Network(seed=rng.getrandbits(32), delay_s=(ONE_WAY_S, ONE_WAY_S))
    return network.run(_play(cell, network, rng))


async def _play(cell: Cell, network: Network, rng: random.Random) -> dict[str, Any]:
    tally = Tally()
    async with town(cell, network, rng) as place:
        for number in range(cell.calls):
            if number % FRESH_CALLS == 0:
                place.publish()
            if number % SAME_LIARS_CALLS == 0:
                await _appoint(place, cell)
            caller, callee = rng.sample(place.sides, 2)
            tally.add(*await place.call(caller, callee))
            await asyncio.sleep(PAUSE_S)  # virtual, and no condition hangs on it
    return tally.row(cell)


@asynccontextmanager
async def town(cell: Cell, network: Network, rng: random.Random, *, calls_per_node: float = CALLS_PER_S):
    """n + 2 members, joined, with alice and bob among them."""
    overlay = TestOverlay(clock=network.clock, seed=rng.getrandbits(32))
    place = Registered(overlay=overlay, network=network, rng=rng, k=cell.k, n=cell.n, calls_per_node=calls_per_node)
    rings = place.rings
    try:
        for _ in range(cell.n + 2):
            store = LyingStore()
            ring = overlay.ring(store=store)
            lend_tongue(ring, store)
            rings.append(ring)
            await ring.open(HOST)
            place.stores[ring.me.id] = store
            await ring.join([rings[0].me] if len(rings) > 1 else [])
        names = _names([ring.me for ring in rings], cell.n)
        held = {peer for places in names.values() for peers in places.values() for peer in peers}
        homes = [ring for ring in rings if ring.me not in held]
        for (aor, places), ring in zip(names.items(), homes, strict=True):
            place.register(aor, ring, places, _directory(place, ring, cell.variant))
        yield place
    finally:
        await place.stop()
        for ring in rings:
            await ring.close()


def _names(everybody: list[Peer], n: int) -> dict[str, Places]:
    """Return two names whose pieces lie on the same n nodes, with their places."""
    seen: dict[frozenset[Peer], tuple[str, Places]] = {}
    for number in count():
        aor = f"user{number}"
        places = places_of(aor, everybody, n=n)
        holders = frozenset(peer for peers in places.values() for peer in peers)
        if holders in seen:
            return dict([seen[holders], (aor, places)])
        seen[holders] = (aor, places)
    raise AssertionError


def _directory(place: Registered, ring: KademliaRing, variant: str) -> Any:
    if variant == "paper":
        # the plain scheme finds the right nodes without fail: only what they answer is under attack here
        return place.paper_directory(lambda aor, index: ring.fetch_at(place.places[aor][index][0], aor))
    return place.directory(ring)


async def _appoint(place: Registered, cell: Cell) -> None:
    """Let some holders lie, drawn anew, and all others tell the truth."""
    holders = sorted({peer for peers in place.places[place.sides[0].aor].values() for peer in peers})
    evil = set(place.rng.sample(holders, cell.liars))
    theirs = {
        aor: frozenset(index for index, peers in places.items() if peers[0] in evil)
        for aor, places in place.places.items()
    }
    gang = Gang(overlay=place.overlay, victims=place.victims, rng=place.rng, theirs=theirs)
    for peer in holders:
        place.stores[peer.id].lie_to_readers = gang.lie(cell.attack) if peer in evil else None
    # whom the last liars made a suspect, another one must not suffer for
    for _ in range(FORGIVEN_WITHIN_S):
        if not any(side.ring._server.rpc.suspects() for side in place.sides):
            return
        await asyncio.sleep(1)
    raise AssertionError("suspects are not asked again")
