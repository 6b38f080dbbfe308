"""Reads that end when the reader has enough: what dead owners, strangers and silence cost them, in virtual time."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager

import pytest

from overlay.ring.ids import clockwise, piece_position
from overlay.ring.reading import HEDGE_S
from overlay.trust.identity import PrivateBundle
from tests.support.members import TestOverlay
from tests.support.network import Network

HOST = "10.0.0.1"
K, N = 3, 7


def of_at_least(count: int):
    return lambda found: len({piece.index for one in found.values() for piece in one.pieces}) >= count


class Town:
    """A ring that holds bob's pieces, each at its place."""

    def __init__(self, seed: int, count: int) -> None:
        self.network = Network(seed=seed, delay_s=(0.001, 0.001))
        self.overlay = TestOverlay(clock=self.network.clock, seed=seed)
        self.count = count
        self.bob = PrivateBundle.generate()

    @asynccontextmanager
    async def running(self):
        async with self.overlay.running(self.count, host=HOST) as self.rings:
            await asyncio.sleep(10)
            pieces, record = self.overlay.pieces(self.bob, "bob"), self.overlay.record(self.bob, "bob")
            listed = self.overlay.share_list(self.bob, "bob")
            self.owners = await self.rings[0].put("bob", pieces, record, share_list=listed)
            assert len(set(self.owners.values())) == N
            yield

    def ring_of(self, index: int):
        return next(ring for ring in self.rings if ring.me == self.owners[index])

    def reader(self):
        """Return a node that holds nothing of bob."""
        return next(ring for ring in self.rings if ring.me not in self.owners.values())

    async def timed(self, ring, enough) -> tuple[int, float]:
        """Read; return how many pieces came, and the seconds it took."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        found = await ring.read("bob", N, enough)
        return len({piece.index for one in found.values() for piece in one.pieces}), loop.time() - begun


def test_a_healthy_read_asks_no_look_up():
    town = Town(1, 24)

    async def program():
        async with town.running():
            reader = town.reader()
            before = reader.counters().get("ring: asked around", 0)
            # five of seven: where two places have one owner the second piece lies behind it
            count, took = await town.timed(reader, of_at_least(2 * K - 1))
            assert count >= 2 * K - 1
            assert reader.counters().get("ring: asked around", 0) == before
            assert took < 0.01

    town.network.run(program())


@pytest.mark.parametrize("dead", [1, 4])
def test_dead_owners_hold_up_nobody_who_has_enough_without_them(dead):
    town = Town(2, 40)

    async def program():
        async with town.running():
            reader = town.reader()
            for index in range(1, dead + 1):
                await town.ring_of(index).close()
            count, took = await town.timed(reader, of_at_least(K))
            assert count >= K
            assert took < 0.01

    town.network.run(program())


def test_a_place_whose_owner_is_unknown_behind_a_dead_node_costs_one_hedge():
    """The reader takes a node for the owner that has died; those around know the true one."""
    town = Town(3, 40)

    async def program():
        async with town.running():
            reader = town.reader()
            for index in range(1, N + 1):
                place = piece_position("bob", index, N)
                reader.forget(town.owners[index])
                known = reader.peers()
                taken = min(known, key=lambda peer: clockwise(place, peer.id))
                if index <= N - K + 1:
                    await next(ring for ring in town.rings if ring.me == taken).close()
            count, took = await town.timed(reader, of_at_least(N))
            assert count == N
            assert took < HEDGE_S + 0.05

    town.network.run(program())


def test_a_healthy_read_pursues_no_more_places_than_it_needs():
    town = Town(7, 60)

    async def program():
        async with town.running():
            reader = town.reader()
            for owner in town.owners.values():
                reader.forget(owner)
            before = town.network.sent.total()
            count, _ = await town.timed(reader, of_at_least(1))
            assert count >= 1
            # seven nodes that hold nothing, two neighbours of one place, the few whom they name, and their hellos
            assert town.network.sent.total() - before <= 2 * (N + 2 + 4) + 8

    town.network.run(program())


def test_with_a_fifth_of_the_nodes_dead_every_read_that_can_succeed_is_quick():
    town = Town(4, 40)

    async def program():
        async with town.running():
            rng = random.Random(4)
            dead = rng.sample(town.rings, 8)
            for ring in dead:
                await ring.close()
            living = [ring for ring in town.rings if ring not in dead]
            left = sum(any(ring.me == owner for ring in living) for owner in town.owners.values())
            for reader in rng.sample(living, 20):
                count, took = await town.timed(reader, of_at_least(left))
                assert count >= left
                assert took < 0.3

    town.network.run(program())


def test_a_read_that_never_has_enough_ends_when_nobody_is_left_to_ask():
    town = Town(5, 30)

    async def program():
        async with town.running():
            reader = town.reader()
            await town.ring_of(3).close()
            count, took = await town.timed(reader, lambda _: False)
            assert count == N - 1
            assert took < 1.5
            # nothing of it stays behind
            await asyncio.sleep(2)
            tasks = [task.get_name() for task in reader._server.rpc.tasks._running]
            assert not {"ring fetch", "ring pursuit"}.intersection(tasks)

    town.network.run(program())


def test_a_read_on_a_ring_of_one_or_a_closed_node_ends():
    town = Town(6, 1)

    async def program():
        async with town.overlay.running(1, host=HOST) as rings:
            assert await rings[0].read("bob", N, lambda _: False) == {}
            await rings[0].close()
            assert await rings[0].read("bob", N, lambda _: False) == {}

    town.network.run(program())
