"""A real ring on loopback with a user whose pieces lie on it, and someone to look him up."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapter.directory import Directory
from adapter.upkeep import Upkeep
from overlay.trust.identity import PrivateBundle
from tests.support.evil import LyingStore
from tests.support.members import TestOverlay

if TYPE_CHECKING:
    from adapter.rounds import Round
    from overlay.ring.kademlia_ring import KademliaRing

K, N = 3, 7
MAX_ROUNDS = 8


@dataclass
class Town:
    """The members, bob among them."""

    overlay: TestOverlay
    rings: list[KademliaRing]
    stores: list[LyingStore]
    bob: PrivateBundle
    upkeep: Upkeep

    def directory(self, ring: KademliaRing, *, k: int = K, n: int = N, seed: int | None = None) -> Directory:
        rng = None if seed is None else random.Random(seed)
        return Directory(ring, dealing_public=self.overlay.dealing.public, k=k, n=n, rng=rng)

    def store_of(self, ring: KademliaRing) -> LyingStore:
        return self.stores[self.rings.index(ring)]

    async def add(self) -> KademliaRing:
        store = LyingStore()
        ring = self.overlay.ring(store=store)
        self.rings.append(ring)
        self.stores.append(store)
        await ring.open("127.0.0.1")
        await ring.join([self.rings[0].me] if len(self.rings) > 1 else [])
        return ring


async def settle(upkeep: Upkeep) -> Round:
    """Run rounds until one finds nothing to do."""
    for _ in range(MAX_ROUNDS):
        done = await upkeep.round()
        if done.settled:
            return done
    raise AssertionError(f"not settled after {MAX_ROUNDS} rounds: {done}")


@asynccontextmanager
async def town(count: int, *, k: int = K, n: int = N):
    """`count` members; bob lives at the second one, or the only one, and his pieces are in place."""
    overlay = TestOverlay()
    bob = PrivateBundle.generate()
    place = Town(overlay=overlay, rings=[], stores=[], bob=bob, upkeep=None)
    try:
        for _ in range(count):
            await place.add()
        home = place.rings[min(1, count - 1)]
        place.upkeep = Upkeep(
            home,
            user=bob,
            pieces=overlay.pieces(bob, "bob", k=k, n=n),
            share_list=overlay.share_list(bob, "bob", k=k, n=n),
        )
        await settle(place.upkeep)
        yield place
    finally:
        for ring in place.rings:
            await ring.close()
        for store in place.stores:
            store.close()
