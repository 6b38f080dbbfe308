"""The copy hider: owns places of a user, denies the pieces, and lies about who else has them."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from dataclasses import dataclass

from overlay.ring.ids import Peer, clockwise_from, piece_position
from tests.attack.registered import Registered, places_of
from tests.support import evil
from tests.support.evil import LyingStore
from tests.support.evil_ring import FAKE_HOST, EvilRing
from tests.support.members import TestOverlay
from tests.support.network import Network
from tests.support.warmed import fill

HOST = "10.0.0.1"
NODES, K, N = 40, 3, 7
AOR = "bob"
ONE_WAY_S = 0.01


@dataclass
class Town:
    """A ring of 40 nodes, bob's pieces and their copies at their places, and a reader who holds none."""

    country: Registered
    reader: EvilRing

    def walk(self, index: int) -> list[Peer]:
        """All nodes, clockwise from the position of a piece."""
        everybody = [ring.me for ring in self.country.rings]
        return clockwise_from(piece_position(AOR, index, N), everybody)

    def ring(self, peer: Peer) -> EvilRing:
        return next(ring for ring in self.country.rings if ring.me == peer)

    def lie(self, peer: Peer, lie) -> None:
        self.country.stores[peer.id].lie_to_readers = lie

    async def find(self):
        return await self.country.directory(self.reader).find(AOR)


@asynccontextmanager
async def town(network: Network, *, moved: dict[int, int] | None = None):
    """`moved`: piece index -> how many nodes after its position it lies instead of at its places."""
    overlay, rng = TestOverlay(clock=network.clock, seed=1), random.Random(1)
    country = Registered(overlay=overlay, network=network, rng=rng, k=K, n=N)
    try:
        for _ in range(NODES):
            store = LyingStore()
            ring = EvilRing(
                overlay.identity(),
                store,
                dealing_public=overlay.dealing.public,
                clock=overlay.clock,
                rng=random.Random(overlay.dice.random()),
                random_bytes=overlay.random_bytes,
            )
            await ring.open(HOST)
            country.stores[ring.me.id] = store
            country.rings.append(ring)
        fill(country.rings, rng)
        everybody = [ring.me for ring in country.rings]
        places = places_of(AOR, everybody, n=N, copies=True)
        for index, steps in (moved or {}).items():
            places[index] = (clockwise_from(piece_position(AOR, index, N), everybody)[steps],)
        held = {peer for peers in places.values() for peer in peers}
        home, reader = [ring for ring in country.rings if ring.me not in held][:2]
        country.register(AOR, home, places, country.directory(home))
        country.publish()
        yield Town(country, reader)
    finally:
        await country.stop()
        for ring in country.rings:
            await ring.close()


def test_liars_beside_a_place_hide_no_copy():
    """Five owners deny, and they and those before them name the holders of the copies at addresses of nobody."""
    network = Network(seed=1, delay_s=(ONE_WAY_S, ONE_WAY_S))

    async def program():
        async with town(network) as place:
            for index in (1, 2, 3, 4, 5):
                owner, copy = place.country.places[AOR][index]
                place.lie(owner, evil.nothing)
                false = Peer(id=copy.id, host=FAKE_HOST, port=2000 + index)
                for liar in (owner, *place.walk(index)[-2:]):
                    place.ring(liar).turn(lambda _asker, _place, _count, false=false: [false])
                # whom the reader asks about this place beside those three is one who tells the truth
                place.reader.forget(copy)
            found = await place.find()
            assert (found.basis, found.waves) == ("polynomial", 2)
            assert found.bundle == place.country.sides[0].keys.public

    network.run(program())


def test_places_that_are_silent_hold_up_no_walk_elsewhere():
    """Owner and copy of two pieces are silent; a third piece lies two nodes beyond what anybody near asks."""
    network = Network(seed=2, delay_s=(ONE_WAY_S, ONE_WAY_S))

    async def program():
        async with town(network, moved={1: 3}) as place:
            for index in (6, 7):
                for peer in place.country.places[AOR][index]:
                    place.lie(peer, evil.silent)
            began = network.clock()
            found = await place.find()
            assert (found.basis, found.support) == ("polynomial", 2 * K - 1)
            assert network.clock() - began < 0.7
            assert found.bundle == place.country.sides[0].keys.public

    network.run(program())
