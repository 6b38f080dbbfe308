"""Upkeep in a wide ring: it looks at the places, and moves what a change there asks for and nothing else."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager

import pytest

from adapter.upkeep import WIDE_ROUND_S, Upkeep
from overlay.ring.ids import between, piece_position, shift
from overlay.trust.identity import PrivateBundle
from tests.support.evil import LyingStore
from tests.support.evil_ring import Cabal, EvilRing
from tests.support.members import TestOverlay
from tests.support.network import Network
from tests.support.warmed import fill

HOST = "10.0.0.1"
N, NODES = 7, 60
FOUND_S = 40
"""Longer than the pause between two looks and than three silences."""


class Town:
    """A ring of 60, and bob's upkeep at its first member."""

    def __init__(self, seed: int) -> None:
        self.network = Network(seed=seed)
        self.overlay = TestOverlay(clock=self.network.clock, seed=seed)
        self.bob = PrivateBundle.from_bytes(self.overlay.random_bytes(64))
        self.rings: list[EvilRing] = []

    @asynccontextmanager
    async def running(self):
        for _ in range(NODES):
            await self.open(self.overlay.identity())
        fill(self.rings, random.Random(1))
        for ring in self.rings:
            await ring.join([])
        self.upkeep = Upkeep(
            self.rings[0],
            user=self.bob,
            pieces=self.overlay.pieces(self.bob, "bob"),
            share_list=self.overlay.share_list(self.bob, "bob"),
            clock=self.network.clock,
        )
        self.rings[0].on_change = self.upkeep.changed
        running = asyncio.create_task(self.upkeep.run())
        await asyncio.sleep(FOUND_S)
        assert len(self.true_places()) == len(self.upkeep.last.places) == N
        yield
        self.upkeep.stop()
        await running
        for ring in self.rings:
            await ring.close()

    async def open(self, identity) -> EvilRing:
        ring = EvilRing(
            identity,
            LyingStore(),
            dealing_public=self.overlay.dealing.public,
            clock=self.network.clock,
            random_bytes=self.overlay.random_bytes,
            rng=random.Random(self.overlay.dice.random()),
        )
        await ring.open(HOST)
        self.rings.append(ring)
        return ring

    async def newcomer_before(self, index: int, *, takes_nothing: bool = False) -> EvilRing:
        """Let somebody join whom this place belongs to from now on."""
        at, owner = piece_position("bob", index, N), self.upkeep.last.places[index][0]
        while not between((identity := self.overlay.identity()).id, shift(at, -1), shift(owner.id, -1)):
            pass
        ring = await self.open(identity)
        ring._store.takes_nothing = takes_nothing
        await ring.join([self.rings[0].me])
        return ring

    def ring_of(self, peer) -> EvilRing:
        return next(ring for ring in self.rings if ring.me == peer)

    async def kill(self, ring: EvilRing) -> None:
        self.rings.remove(ring)
        await ring.close()

    def true_places(self) -> dict:
        """Piece index -> the two nodes that should hold it, none of them another's."""
        ordered = sorted(ring.me for ring in self.rings)
        places = {}
        for index in range(1, N + 1):
            at = piece_position("bob", index, N)
            after = [peer for peer in ordered if peer.id >= at] + [peer for peer in ordered if peer.id < at]
            places[index] = tuple(after[:2])
        assert len({peer for pair in places.values() for peer in pair}) == 2 * N
        return places

    def held(self) -> dict:
        """Piece index -> the nodes in whose stores it truly lies."""
        holders = {index: set() for index in range(1, N + 1)}
        for ring in self.rings:
            for _, index in ring.held():
                holders[index].add(ring.me)
        return holders

    def assert_in_place(self) -> None:
        places = self.true_places()
        assert self.held() == {index: set(peers) for index, peers in places.items()}
        assert self.upkeep.last.places == places


@pytest.fixture
def town():
    return Town(4)


def test_a_quiet_ring_is_looked_at_and_nothing_is_done(town):
    async def program():
        async with town.running():
            town.assert_in_place()
            before, sent = dict(town.upkeep.counters), town.rings[0].counters()
            await asyncio.sleep(3 * WIDE_ROUND_S)
            assert town.upkeep.counters["rounds"] == before["rounds"]
            assert town.upkeep.counters["looks"] - before["looks"] == 3
            # two questions a place, and no piece travels
            assert town.rings[0].counters().get("ring: asked fetch") == sent.get("ring: asked fetch")

    town.network.run(program())


def test_a_change_far_from_every_place_starts_nothing_and_one_beside_a_place_starts_a_look_there(town):
    async def program():
        async with town.running():
            places = town.true_places()
            far = next(ring.me for ring in town.rings if not any(ring.me in peers for peers in places.values()))
            looks = town.upkeep.counters["looks"]
            town.upkeep.changed({far})
            await asyncio.sleep(3)
            assert town.upkeep.counters["looks"] == looks
            asked = town.rings[0].counters()["ring: asked around"]
            town.upkeep.changed({places[3][1]})
            await asyncio.sleep(3)
            assert town.upkeep.counters["looks"] == looks + 1
            # of one place, not of seven: what else is asked meanwhile is stabilisation's
            assert town.rings[0].counters()["ring: asked around"] - asked < 2 * N

    town.network.run(program())


def test_a_dead_holder_is_replaced_and_only_its_place_is_asked_about(town):
    async def program():
        async with town.running():
            fetched = town.rings[0].counters()["ring: asked fetch"]
            await town.kill(town.ring_of(town.true_places()[2][0]))
            await asyncio.sleep(FOUND_S)
            town.assert_in_place()
            assert town.rings[0].counters()["ring: asked fetch"] - fetched < 2 * N

    town.network.run(program())


def test_a_newcomer_gets_its_piece_and_the_old_holder_lets_go(town):
    async def program():
        async with town.running():
            newcomer = await town.newcomer_before(5)
            await asyncio.sleep(FOUND_S)
            assert town.upkeep.last.places[5][0] == newcomer.me
            town.assert_in_place()

    town.network.run(program())


def test_a_holder_that_denies_its_neighbours_does_not_hide_a_newcomer(town):
    async def program():
        async with town.running():
            owner = town.ring_of(town.upkeep.last.places[5][0])
            owner.turn(Cabal([owner.me]).reroute)
            newcomer = await town.newcomer_before(5)
            await asyncio.sleep(2 * FOUND_S)
            assert town.upkeep.last.places[5][0] == newcomer.me
            assert newcomer.me in town.held()[5]

    town.network.run(program())


def test_the_record_is_renewed_at_every_place(town, monkeypatch):
    monkeypatch.setattr("adapter.upkeep.RECORD_LIFETIME_S", 100)

    async def program():
        async with town.running():
            await asyncio.sleep(300)
            now = town.network.clock()
            for peers in town.true_places().values():
                for peer in peers:
                    holding = await town.rings[0].fetch_at(peer, "bob")
                    assert holding.record.expires_at > now
            town.assert_in_place()

    town.network.run(program())


def test_a_holder_that_refuses_its_piece_gets_no_rounds_without_a_pause(town):
    """However a round falls together with the next look at all the places."""

    async def program():
        async with town.running():
            loop = asyncio.get_running_loop()
            newcomer = await town.newcomer_before(5, takes_nothing=True)
            await asyncio.sleep(FOUND_S)
            assert town.upkeep.last.missing == (5,)
            # the look is due while a round is under way
            await asyncio.sleep(town.upkeep._look_at - loop.time() - 0.8)
            town.network.delay_s = (0.1, 0.1)
            town.upkeep.changed({newcomer.me})
            await asyncio.sleep(5)
            town.network.delay_s = (0.001, 0.005)
            before = town.upkeep.counters["rounds"]
            await asyncio.sleep(4 * WIDE_ROUND_S)
            assert town.upkeep.last.missing == (5,)
            assert town.upkeep.counters["rounds"] - before <= 4 * 4

    town.network.run(program())
