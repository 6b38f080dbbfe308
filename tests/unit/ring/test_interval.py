"""The early stop: an interval that its owner and its predecessor confirm, and everything that voids it."""

from __future__ import annotations

import asyncio
import random

import pytest

from overlay.ring.contacts import encode_contacts, node_of
from overlay.ring.ids import RING_SIZE, Peer, RingId, id_to_bytes
from overlay.ring.interval import IntervalSearch
from overlay.ring.neighbourhood import NAMED, SIDE, Neighbourhood, around, bracket
from tests.support.hostile import hostile_member
from tests.support.members import TestOverlay
from tests.support.network import Network
from tests.support.warmed import warmed

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


@pytest.mark.parametrize(("dead_in_a_row", "limit_s"), [(1, 0.5), (2, 0.6), (4, 0.8)])
def test_dead_owners_cost_their_silence_and_no_full_look_up(dead_in_a_row, limit_s):
    """An owner that has just died is given up after three timeouts of 150 ms; those behind it were asked meanwhile."""
    network = Network(seed=2)
    overlay = TestOverlay(clock=network.clock, seed=2)

    async def program():
        async with overlay.running(40, host=HOST) as rings:
            ordered, loop = sorted(rings, key=lambda ring: ring.me.id), asyncio.get_running_loop()
            for first in (5, 20):
                dead = ordered[first : first + dead_in_a_row]
                for ring in dead:
                    await ring.close()
            ids = [ring.me.id for ring in ordered if not ring._server.rpc.is_closed]
            for first, asker in ((5, ordered[15]), (20, ordered[35])):
                gone, begun = ordered[first].me.id, loop.time()
                assert (await asker.find_successor(gone)).id == successor(ids, gone)
                assert loop.time() - begun < limit_s
                assert asker.counters()["ring: interval confirmed"] == 1
                # and it is remembered
                begun = loop.time()
                assert (await asker.find_successor(gone)).id == successor(ids, gone)
                assert loop.time() - begun < 0.1

    network.run(program())


def test_with_a_fifth_of_the_nodes_just_dead_each_owner_is_exact_and_costs_one_silence_and_no_full_look_up():
    network = Network(seed=21, delay_s=(0.0005, 0.0015))
    overlay, rng = TestOverlay(clock=network.clock, seed=21), random.Random(21)

    async def program():
        async with warmed(overlay, 120, rng) as rings:
            await asyncio.gather(*(ring.join([]) for ring in rings))
            await asyncio.sleep(20)
            dead = rng.sample(rings, 24)
            await asyncio.gather(*(ring.close() for ring in dead))
            living = [ring for ring in rings if ring not in dead]
            ids = sorted(ring.me.id for ring in living)
            loop = asyncio.get_running_loop()
            for _ in range(60):
                asker, begun = rng.choice(living), loop.time()
                places = [RingId(rng.getrandbits(160)) for _ in range(7)]
                owners = await asyncio.gather(*map(asker.find_successor, places))
                assert [owner.id for owner in owners] == [successor(ids, place) for place in places]
                assert loop.time() - begun < 0.7  # a hello is given up after 0.58 s
            assert not sum(ring.counters().get("ring: interval void", 0) for ring in living)

    network.run(program())


def test_a_row_of_dead_nodes_as_long_as_an_answer_hides_nobody():
    """Whoever is asked names only these, whom nobody knows to be dead; the asking node knows nobody behind them."""
    network = Network(seed=22)
    overlay = TestOverlay(clock=network.clock, seed=22)

    async def program():
        async with warmed(overlay, 60, random.Random(22)) as rings:
            await asyncio.gather(*(ring.join([]) for ring in rings))
            await asyncio.sleep(20)
            ordered = sorted(rings, key=lambda ring: ring.me.id)
            asker, dead, owner = ordered[40], ordered[10 : 10 + NAMED], ordered[10 + NAMED]
            await asyncio.gather(*(ring.close() for ring in dead))
            asker.forget(owner.me)
            assert await asker.find_successor(dead[0].me.id) == owner.me
            assert not asker.counters().get("ring: interval void", 0)

    network.run(program())


@pytest.mark.parametrize("step", [-1, 1])
def test_a_dead_neighbour_of_the_asking_node_costs_it_no_full_look_up(step):
    network = Network(seed=9)
    overlay = TestOverlay(clock=network.clock, seed=9)

    async def program():
        async with overlay.running(24, host=HOST) as rings:
            ordered = sorted(rings, key=lambda ring: ring.me.id)
            asker, dead = ordered[10], ordered[10 + step]
            await dead.close()
            place = RingId(dead.me.id)
            assert (await asker.find_successor(place)).id == successor(
                [ring.me.id for ring in ordered if ring is not dead], place
            )
            assert asker.counters()["ring: interval confirmed"] == 1

    network.run(program())


def test_a_late_owner_is_waited_for():
    """Whoever is cut off for two timeouts owns its place still."""
    network = Network(seed=6)
    overlay = TestOverlay(clock=network.clock, seed=6)

    async def program():
        async with overlay.running(24, host=HOST) as rings:
            slow, loop = rings.pop(7), asyncio.get_running_loop()
            network.cut = lambda source, target: slow.address in (source, target)
            loop.call_later(0.2, setattr, network, "cut", lambda source, target: False)
            assert await rings[0].find_successor(slow.me.id) == slow.me
            assert rings[0].counters()["ring: interval confirmed"] == 1
            # those who would have taken its place were asked in the meantime
            assert asked(rings[0]) >= 4

    network.run(program())


def test_a_false_address_for_an_id_hides_nobody():
    """A liar names the owner of a place where nobody is, before anybody else has named it."""
    network = Network(seed=7)
    overlay = TestOverlay(clock=network.clock, seed=7)

    async def program():
        async with overlay.running(30, host=HOST) as rings:
            asker, *others = sorted(rings, key=lambda ring: ring.me.id)
            owner = others[15]
            false = Peer(id=owner.me.id, host=HOST, port=9)
            search = IntervalSearch(asker._server.rpc, RingId(owner.me.id - 1))
            asker.forget(owner.me)
            search._learn([false], step=1)
            interval = await search.find()
            assert interval is not None
            assert (interval.predecessor, interval.owner) == (others[14].me, owner.me)

    network.run(program())


def test_where_one_fell_silent_two_liars_side_by_side_hide_nobody():
    """They stand on either side of a node that the asking one does not know, and name each other alone."""
    network = Network(seed=8)
    overlay = TestOverlay(clock=network.clock, seed=8)

    async def program():
        async with overlay.running(30, host=HOST) as rings:
            asker, *others = sorted(rings, key=lambda ring: ring.me.id)
            liars, dead, hidden = [others[12], others[15]], others[13], others[14]
            for liar in liars:
                liar._server.rpc._answering._handlers["around"] = lambda *_: encode_contacts(
                    node_of(one.me) for one in liars
                )
            asker.forget(hidden.me)
            place = RingId(hidden.me.id - 1)
            await dead.close()
            assert (await asker.find_successor(place)).id == hidden.me.id

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
