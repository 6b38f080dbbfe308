"""What a node hands on, and what it keeps to itself: pieces that lie far from their places."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager

import pytest

from overlay.ring.handover import NEWCOMER_DELAY_S, STRETCH, WIDE_RING
from overlay.ring.ids import RingId, clockwise_from, piece_position
from overlay.trust.identity import PrivateBundle
from tests.support.members import TestOverlay
from tests.support.network import Network
from tests.support.warmed import warmed

HOST = "10.0.0.1"
N = 7


class Town:
    """A wide ring, and bob's pieces."""

    def __init__(self, seed: int) -> None:
        self.network = Network(seed=seed)
        self.overlay = TestOverlay(clock=self.network.clock, seed=seed)
        self.seed = seed
        self.bob = PrivateBundle.from_bytes(self.overlay.random_bytes(64))
        self.places = {index: piece_position("bob", index, N) for index in range(1, N + 1)}

    @asynccontextmanager
    async def running(self):
        async with warmed(self.overlay, WIDE_RING * N + 8, random.Random(self.seed)) as self.rings:
            await asyncio.gather(*(ring.join([]) for ring in self.rings))
            self.pieces = self.overlay.pieces(self.bob, "bob")
            self.listed = self.overlay.share_list(self.bob, "bob")
            self.record = self.overlay.record(self.bob, "bob")
            yield

    def behind(self, index: int, steps: int):
        """Return the ring so many nodes behind the owner of a place."""
        order = clockwise_from(self.places[index], [ring.me for ring in self.rings])
        return next(ring for ring in self.rings if ring.me == order[steps])

    def holders(self, index: int) -> set:
        return {ring.me for ring in self.rings if ("bob", index) in ring.held()}

    async def give(self, ring, index: int) -> None:
        held = await ring.store_at(ring.me, self.pieces[index - 1], self.record, share_list=self.listed)
        assert held


@pytest.mark.parametrize(
    ("steps", "is_away", "is_handed"),
    [(0, False, True), (1, False, True), (STRETCH + 1, False, False), (STRETCH + 1, True, True)],
)
def test_who_leaves_hands_on_what_may_lie_there_and_strays_only_of_a_user_who_is_away(steps, is_away, is_handed):
    town = Town(1)

    async def program():
        async with town.running():
            leaver = town.behind(3, steps)
            if is_away:
                town.record = town.overlay.record(town.bob, "bob", later_s=-590)
            await town.give(leaver, 3)
            await asyncio.sleep(20)  # the younger record is in force, the other has expired
            await leaver.leave()
            assert bool(town.holders(3) - {leaver.me}) is is_handed

    town.network.run(program())


def test_a_new_predecessor_makes_a_node_no_work_with_the_strays_of_a_user_who_is_online():
    town = Town(2)

    async def program():
        async with town.running():
            holder = town.behind(5, STRETCH + 2)
            await town.give(holder, 5)
            await asyncio.sleep(NEWCOMER_DELAY_S + 60)  # it has dealt with its first predecessor
            before = clockwise_from(holder.me.id, [ring.me for ring in town.rings])[-1]
            asked = holder.counters().get("ring: asked fetch", 0)
            await next(ring for ring in town.rings if ring.me == before).close()
            await asyncio.sleep(NEWCOMER_DELAY_S + 60)
            assert town.holders(5) == {holder.me}
            assert holder.counters().get("ring: asked fetch", 0) == asked

    town.network.run(program())


def test_a_newcomer_gets_what_lies_in_its_stretch_though_the_user_is_online():
    town = Town(3)

    async def program():
        async with town.running():
            owner = town.behind(2, 0)
            await town.give(owner, 2)
            await asyncio.sleep(60)
            newcomer = await newcomer_at(town, town.places[2])
            await asyncio.sleep(NEWCOMER_DELAY_S + 90)
            assert newcomer.me in town.holders(2)
            await newcomer.close()

    town.network.run(program())


def test_a_clock_that_is_set_back_puts_no_hand_over_off():
    town = Town(4)

    async def program():
        async with town.running():
            owner, ahead_s = town.behind(2, 0), 3_600.0
            await town.give(owner, 2)
            await asyncio.sleep(60)
            owner._handover._clock = lambda: town.network.clock() + ahead_s
            newcomer = await newcomer_at(town, town.places[2])
            near = owner._server.rpc.around(owner.me.id, 1)
            assert newcomer.me in near
            await owner._handover.look_at_predecessor(near, ring_size=owner.size())
            ahead_s = 0.0
            await asyncio.sleep(NEWCOMER_DELAY_S + 90)
            assert newcomer.me in town.holders(2)
            await newcomer.close()

    town.network.run(program())


async def newcomer_at(town: Town, place: RingId):
    """Return a new node that owns a place from now on."""
    owner = town.behind(2, 0)
    while True:
        ring = town.overlay.ring()
        await ring.open(HOST)
        if clockwise_from(place, [ring.me, owner.me])[0] == ring.me:
            break
        await ring.close()
    town.rings.append(ring)
    await ring.join([owner.me])
    return ring


def test_a_long_hand_over_does_not_keep_a_node_from_its_neighbours():
    """While what is given to a newcomer is looked up, and that takes minutes, a dead neighbour is found out as ever."""
    town = Town(5)

    async def program():
        async with town.running():
            giver = town.behind(2, 0)
            await town.give(giver, 2)
            await asyncio.sleep(60)
            giving = asyncio.Event()

            async def never(_place):
                giving.set()
                await asyncio.Event().wait()

            giver._handover._find_successor = never
            newcomer = await newcomer_at(town, town.places[2])
            async with asyncio.timeout(NEWCOMER_DELAY_S + 90):
                await giving.wait()
            rounds, dead = giver._stabilisation.rounds, town.behind(2, 2)
            await dead.close()
            await asyncio.sleep(60)
            assert giver._stabilisation.rounds > rounds
            assert dead.me not in giver.peers()
            await newcomer.close()

    town.network.run(program())
