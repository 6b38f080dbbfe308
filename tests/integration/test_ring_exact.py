"""Rings of real nodes on loopback: exact successors, predecessors and successor lists."""

from __future__ import annotations

import random

import pytest

from overlay.ring.chord import RingUnreachable
from overlay.ring.ids import RING_SIZE, Peer, RingId
from tests.support.members import TestOverlay


def clockwise(ids: list[int], start: int) -> list[int]:
    return sorted(ids, key=lambda one: (one - start) % RING_SIZE)


def places(ids: list[int], rng: random.Random, count: int) -> list[int]:
    """Random places, ids of nodes and the places beside them, and those beyond the largest."""
    kinds = [
        lambda: rng.getrandbits(160),
        lambda: rng.choice(ids),
        lambda: (rng.choice(ids) + 1) % RING_SIZE,
        lambda: (rng.choice(ids) - 1) % RING_SIZE,
        lambda: rng.randrange(max(ids), RING_SIZE),
        lambda: 0,
    ]
    return [kinds[number % len(kinds)]() for number in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 8, 21, 64])
async def test_every_node_finds_exact_successors_and_predecessors(count):
    rng = random.Random(count)
    async with TestOverlay().running(count) as rings:
        ids = sorted(ring.me.id for ring in rings)
        for place in places(ids, rng, 60):
            ring = rng.choice(rings)
            in_order = clockwise(ids, place)
            assert (await ring.find_successor(RingId(place))).id == in_order[0]
            assert (await ring.find_predecessor(RingId(place))).id == in_order[-1]
        for place in places(ids, rng, 12):
            found = await rng.choice(rings).successor_list(RingId(place), 7)
            assert [peer.id for peer in found] == clockwise(ids, place)[:7]
        assert all(ring.counters()["ring: tasks failed"] == 0 for ring in rings)


async def test_everybody_knows_everybody_in_a_ring_of_twice_k():
    async with TestOverlay().running(40) as rings:
        assert [len(ring.peers()) for ring in rings] == [39] * 40


async def test_a_newcomer_is_found_by_everybody_at_once():
    overlay = TestOverlay()
    async with overlay.running(30) as rings:
        ring = overlay.ring()
        await ring.open("127.0.0.1")
        try:
            await ring.join([rings[7].me, rings[8].me])
            for other in rings:
                assert await other.find_successor(ring.me.id) == ring.me
        finally:
            await ring.close()


async def test_a_node_joins_through_the_one_seed_that_lives():
    overlay = TestOverlay()
    async with overlay.running(3) as rings:
        gone = rings[2].me
        await rings[2].close()
        ring = overlay.ring()
        await ring.open("127.0.0.1")
        try:
            await ring.join([gone, rings[0].me])
            assert sorted(ring.peers()) == sorted([rings[0].me, rings[1].me])
        finally:
            await ring.close()


async def test_a_node_whose_seeds_are_all_dead_says_so():
    overlay = TestOverlay()
    async with overlay.running(1) as rings:
        gone = rings[0].me
        await rings[0].close()
        ring = overlay.ring()
        await ring.open("127.0.0.1")
        try:
            with pytest.raises(RingUnreachable):
                await ring.join([gone, Peer(id=RingId(5), host="127.0.0.1", port=9)])
        finally:
            await ring.close()


async def test_a_seed_that_was_set_up_anew_is_as_good_as_any():
    overlay = TestOverlay()
    async with overlay.running(2) as rings:
        ring = overlay.ring()
        await ring.open("127.0.0.1")
        try:
            await ring.join([Peer(id=RingId(5), host=rings[0].me.host, port=rings[0].me.port)])
            assert sorted(ring.peers()) == sorted(other.me for other in rings)
        finally:
            await ring.close()


async def test_a_stranger_to_the_overlay_does_not_get_in():
    async with TestOverlay().running(2) as rings:
        stranger = TestOverlay().ring()
        await stranger.open("127.0.0.1")
        try:
            with pytest.raises(RingUnreachable):
                await stranger.join([rings[0].me])
            assert len(rings[0].peers()) == 1
        finally:
            await stranger.close()


async def test_a_dead_node_is_not_named_and_costs_its_requests_once():
    async with TestOverlay().running(12) as rings:
        dead = rings.pop(5)
        gone = dead.me.id
        await dead.close()
        ids = sorted(ring.me.id for ring in rings)
        asking = rings[0]
        assert (await asking.find_successor(gone)).id == clockwise(ids, gone)[0]
        silent = asking.counters()["ring: silent"]
        assert silent <= 2  # by the early stop, and by the full look-up that began beside it
        for place in places(ids, random.Random(5), 20):
            assert (await asking.find_successor(RingId(place))).id == clockwise(ids, place)[0]
        assert asking.counters()["ring: silent"] - silent <= 3


async def test_nodes_that_join_at_the_same_time_find_each_other():
    import asyncio

    overlay = TestOverlay()
    async with overlay.running(1) as rings:
        late = [overlay.ring() for _ in range(12)]
        try:
            for ring in late:
                await ring.open("127.0.0.1")
            await asyncio.gather(*(ring.join([rings[0].me]) for ring in late))
            everybody = [*rings, *late]
            ids = sorted(ring.me.id for ring in everybody)
            for ring in everybody:
                assert (await ring.find_successor(RingId(ids[3]))).id == ids[3]
                assert len(await ring.successor_list(RingId(0), 20)) == 13
        finally:
            for ring in late:
                await ring.close()
