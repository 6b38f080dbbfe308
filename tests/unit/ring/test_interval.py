"""The early stop: an interval that its owner and its predecessor confirm, and everything that voids it."""

from __future__ import annotations

import asyncio
import random

import pytest

from overlay.ring.ids import RING_SIZE, Peer, RingId, id_to_bytes
from overlay.ring.neighbourhood import SIDE, Neighbourhood, around, bracket
from tests.support.hostile import hostile_member
from tests.support.members import TestOverlay
from tests.support.network import Network

HOST = "10.0.0.1"


def peer(place: int) -> Peer:
    return Peer(id=RingId(place), host=HOST, port=1 + place % 60_000)


def successor(ids: list[int], place: int) -> int:
    return min((one for one in ids if one >= place), default=min(ids))


def asked(ring) -> int:
    return sum(ring.counters().get(f"ring: asked {name}", 0) for name in ("find_node", "around"))


def test_around_names_both_sides_of_a_place_and_wraps():
    peers = [peer(place) for place in (10, 20, 30, 40, 50, 60)]
    assert sorted(one.id for one in around(peers, RingId(30), 2)) == [10, 20, 30, 40]
    assert sorted(one.id for one in around(peers, RingId(61), 1)) == [10, 60]
    assert len(around(peers, RingId(0), 5)) == 6


@pytest.mark.parametrize(
    ("place", "before", "owner"), [(30, 20, 30), (31, 30, 40), (10, 40, 10), (0, 40, 10), (41, 40, 10)]
)
def test_bracket_is_strictly_before_and_at_or_after(place, before, owner):
    low, high = bracket([peer(one) for one in (10, 20, 30, 40)], RingId(place))
    assert (low.id, high.id) == (before, owner)


def test_neighbourhood_keeps_the_nearest_of_both_sides():
    near = Neighbourhood(RingId(1000))
    for place in random.Random(1).sample(range(2000), 500):
        near.meet(peer(place))
    ids = sorted(one.id for one in near)
    assert len(ids) == 2 * SIDE
    assert len([one for one in ids if one < 1000]) == SIDE
    near.forget(ids[0])
    assert near.get(RingId(ids[0])) is None


@pytest.mark.parametrize("count", [2, 3, 8, 30, 60])
def test_a_healthy_look_up_takes_few_requests_and_is_exact(count):
    network = Network(seed=count)
    overlay = TestOverlay(clock=network.clock, seed=count)

    async def program():
        async with overlay.running(count, host=HOST) as rings:
            rng, ids = random.Random(count), sorted(ring.me.id for ring in rings)
            requests = 0
            for place in (*ids[:20], *(one + 1 for one in ids[:20]), 0, *(rng.getrandbits(160) for _ in range(40))):
                ring = rng.choice(rings)
                before = asked(ring)
                assert (await ring.find_successor(RingId(place))).id == successor(ids, place)
                requests += asked(ring) - before
                expected = max((one for one in ids if one < place), default=max(ids))
                assert (await ring.find_predecessor(RingId(place))).id == expected
            assert requests <= 3 * 81

    network.run(program())


def test_a_dead_owner_voids_the_early_stop():
    network = Network(seed=2)
    overlay = TestOverlay(clock=network.clock, seed=2)

    async def program():
        async with overlay.running(24, host=HOST) as rings:
            dead = rings.pop(7)
            gone = dead.me.id
            await dead.close()
            ids = sorted(ring.me.id for ring in rings)
            assert (await rings[0].find_successor(gone)).id == successor(ids, gone)
            assert rings[0].counters()["ring: interval void"] == 1

    network.run(program())


def test_a_liar_that_claims_a_place_is_contradicted_by_its_predecessor():
    """It says that nobody is between the asking node and itself; the true predecessor knows better."""
    network = Network(seed=3)
    overlay = TestOverlay(clock=network.clock, seed=3)

    async def program():
        async with overlay.running(12, host=HOST) as rings:
            liar, rpc = await hostile_member(
                overlay, "10.0.0.2", find_node=lambda *_: [], around=lambda *_: [], leave=lambda *_: True
            )
            for ring in rings:
                await rpc.request(ring.address, ring.me.id, "ping", id_to_bytes(liar.id))
            ids = sorted([*(ring.me.id for ring in rings), liar.id])
            for place in ids:
                for ring in rings:
                    assert (await ring.find_successor(RingId((place + 1) % RING_SIZE))).id == successor(ids, place + 1)
            await rpc.close()

    network.run(program())


@pytest.mark.parametrize("lie", [[["x"]], 7, [[b"\x01" * 20, "10.0.0.9", 70_000]]])
def test_an_unsound_answer_voids_the_early_stop(lie):
    network = Network(seed=4)
    overlay = TestOverlay(clock=network.clock, seed=4)

    async def program():
        async with overlay.running(6, host=HOST) as rings:
            liar, rpc = await hostile_member(overlay, "10.0.0.2", find_node=lambda *_: [], around=lambda *_: lie)
            for ring in rings:
                await rpc.request(ring.address, ring.me.id, "ping", id_to_bytes(liar.id))
            assert (await rings[0].find_successor(liar.id)).id == liar.id
            assert rings[0].counters()["ring: interval void"] == 1
            assert rings[0].counters()["ring: tasks failed"] == 0
            await rpc.close()

    network.run(program())


def test_neighbours_know_each_other_across_the_middle_of_the_ring():
    """By XOR the last node of one half and the first of the other are as far apart as can be."""
    network = Network(seed=5)
    overlay = TestOverlay(clock=network.clock, seed=5)

    async def program():
        async with overlay.running(70, host=HOST) as rings:
            ordered = sorted(rings, key=lambda ring: ring.me.id)
            await asyncio.sleep(40)
            for ring, after in zip(ordered, [*ordered[1:], ordered[0]], strict=True):
                assert after.me in ring.peers()
                assert ring.me in after.peers()

    network.run(program())
