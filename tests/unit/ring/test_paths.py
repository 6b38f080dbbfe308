"""Disjoint paths: what one look-up on several of them costs, and whom it finds although liars hide a node from one."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from overlay.ring.contacts import MAX_CONTACTS, encode_contacts, node_of, target
from overlay.ring.crawl import MAX_REQUESTS, FlowSpider
from overlay.ring.ids import Peer, RingId
from overlay.ring.neighbourhood import NAMED
from overlay.ring.paths import PATHS, DisjointLookUp
from overlay.ring.storage import RecordStore
from tests.support.evil_ring import FAKE_HOST, Cabal, EvilRing
from tests.support.members import TestOverlay
from tests.support.network import Network
from tests.support.warmed import fill

HOST = "10.0.0.1"
LIARS = 5


@asynccontextmanager
async def country(network: Network, count: int, *, seed: int):
    """Nodes that know each other, any of which may turn evil."""
    overlay = TestOverlay(clock=network.clock, seed=seed)
    rings: list[EvilRing] = []
    try:
        for _ in range(count):
            options = {
                "dealing_public": overlay.dealing.public,
                "clock": overlay.clock,
                "rng": random.Random(overlay.dice.random()),
                "random_bytes": overlay.random_bytes,
            }
            rings.append(EvilRing(overlay.identity(), RecordStore(), **options))
            await rings[-1].open(HOST)
        fill(rings, random.Random(seed))
        yield rings
    finally:
        for ring in rings:
            await ring.close()


def nearest(rings, place: int) -> list[EvilRing]:
    return sorted(rings, key=lambda ring: ring.me.id ^ place)


@pytest.mark.parametrize("paths", [1, 2, PATHS])
def test_every_node_is_asked_on_one_path_only_and_the_nearest_are_exact(paths):
    network = Network(seed=1)

    async def program():
        async with country(network, 60, seed=1) as rings:
            asker, rpc = rings[0], rings[0]._server.rpc
            asked: Counter[Peer] = Counter()
            call = rpc.find_node

            def count(peer, place, **options):
                asked[peer] += 1
                return call(peer, place, **options)

            rpc.find_node = count
            for ring in rings[1:8]:
                asked.clear()
                place = ring.me.id
                look_up = DisjointLookUp(rpc, place, rpc.neighbors(place), paths=paths)
                found = await look_up.find()
                others = [one for one in nearest(rings, place) if one is not asker]
                assert found == [one.me for one in others[:MAX_CONTACTS]]
                assert set(asked.values()) == {1}
                assert look_up.requests == len(asked) <= 2 * MAX_CONTACTS

    network.run(program())


def test_fewer_contacts_than_paths_are_enough():
    network = Network(seed=2)

    async def program():
        async with country(network, 30, seed=2) as rings:
            rpc, place = rings[0]._server.rpc, rings[9].me.id
            assert await DisjointLookUp(rpc, place, []).find() == []
            found = await DisjointLookUp(rpc, place, [node_of(rings[3].me)]).find()
            assert found == [ring.me for ring in nearest(rings[1:], place)[:MAX_CONTACTS]]

    network.run(program())


def test_liars_that_take_all_addresses_of_an_id_hide_its_node_on_their_own_paths_only():
    """Five of them, nearest to the victim and so asked first, name its id at addresses of nobody."""
    network = Network(seed=3, delay_s=(0.01, 0.01))

    async def program():
        async with country(network, 40, seed=3) as rings:
            asker, victim, *others = rings
            near = nearest(others, victim.me.id)
            for number, ring in enumerate(near[:LIARS]):
                false = Peer(id=victim.me.id, host=FAKE_HOST, port=2000 + number)
                ring.turn(lambda _asker, _place, _count, false=false: [false])
            # nobody else is known at first but the farthest
            start = [node_of(ring.me) for ring in (*near[:LIARS], *near[-PATHS:])]
            rpc = asker._server.rpc
            for ring in near[:LIARS]:
                # with a session they answer at once, before those to whom a hello goes first
                assert (await rpc.call_ping(node_of(ring.me)))[0]
            alone = await FlowSpider(rpc, target(victim.me.id), start).find()
            assert victim.me not in alone
            apart = await DisjointLookUp(rpc, victim.me.id, start).find()
            assert apart[0] == victim.me

    network.run(program())


def test_a_third_of_liars_that_name_dead_contacts_keep_it_in_bounds_and_exact():
    network = Network(seed=4)

    async def program():
        async with country(network, 60, seed=4) as rings:
            asker, *others = rings
            evil = random.Random(4).sample(others, 18)
            cabal = Cabal([ring.me for ring in evil])
            for ring in evil:
                ring.turn(cabal.invent)
            rpc = asker._server.rpc
            for place in (ring.me.id for ring in others[:6]):
                look_up = DisjointLookUp(rpc, place, rpc.neighbors(place))
                found = await look_up.find()
                assert look_up.requests <= MAX_REQUESTS
                assert found[0].id == place

    network.run(program())


@pytest.mark.parametrize("manner", ["drop", "invent", "reroute"])
def test_a_place_whose_ends_lie_is_found_through_others(manner):
    """The last node before a place is silent, or names nobody but its own kind: its owner is found all the same."""
    network = Network(seed=5)

    async def program():
        async with country(network, 60, seed=5) as rings:
            ordered = sorted(rings, key=lambda ring: ring.me.id)
            evil = ordered[9::10]
            cabal = Cabal([ring.me for ring in evil])
            for ring in evil:
                ring.turn(getattr(cabal, manner))
            for liar, owner in zip(ordered[9:-1:10], ordered[10::10], strict=True):
                asker = next(ring for ring in rings if ring not in evil and ring is not owner)
                assert (await asker.find_successor(liar.me.id + 1)).id == owner.me.id

    network.run(program())


@pytest.mark.parametrize("liars", [1, 2, 4])
@pytest.mark.parametrize("invented", [1, 3, 4, 6, 7, 8])
def test_however_many_dead_nodes_liars_put_around_a_place_the_search_ends_and_is_exact(liars, invented):
    """Each liar names dead nodes of its own right beside the place: their silences must end the search, not stop it."""
    network = Network(seed=7)

    async def program():
        async with country(network, 60, seed=7) as rings:
            ordered = sorted(rings, key=lambda ring: ring.me.id)
            for first in range(4, 48, 11):
                evil, owner = ordered[first : first + liars], ordered[first + liars]
                for number, liar in enumerate(evil):
                    liar.turn(lambda _asker, place, _count, number=number: dead_beside(place, number, invented))
                asker = ordered[first - 4]
                async with asyncio.timeout(4):
                    assert (await asker.find_successor(evil[-1].me.id + 1)).id == owner.me.id
                for liar in evil:
                    liar.turn(None)

    network.run(program())


def dead_beside(place: int, liar: int, count: int) -> list[Peer]:
    """Return nodes that do not exist, by turns before and after a place, each liar's nearer than the next one's."""
    steps = [(8 * liar + number // 2 + 1) * (1 if number % 2 else -1) for number in range(count)]
    return [Peer(id=RingId(place + step), host=FAKE_HOST, port=2000 + 100 * liar + abs(step)) for step in steps]


def test_who_names_more_nodes_around_a_place_than_there_is_room_for_is_not_believed():
    network = Network(seed=8)

    async def program():
        async with country(network, 30, seed=8) as rings:
            asker, liar = rings[:2]
            liar._server.rpc._answering._handlers["around"] = lambda *_: encode_contacts(
                node_of(ring.me) for ring in rings[2 : 3 + 2 * NAMED]
            )
            assert await asker.around(liar.me, rings[9].me.id) is None
            assert asker.counters()["ring: contacts are no list, or too many"] == 1

    network.run(program())


def test_an_end_that_lives_and_talks_nonsense_leads_to_disjoint_paths():
    network = Network(seed=6)

    async def program():
        async with country(network, 60, seed=6) as rings:
            ordered = sorted(rings, key=lambda ring: ring.me.id)
            asker, liar, owner = ordered[30], ordered[9], ordered[10]
            liar.turn(lambda _asker, _place, _count: [Peer(id=owner.me.id, host="127.0.0.1", port=1)])
            liar._server.rpc._answering._handlers["around"] = lambda *_: 7
            assert (await asker.find_successor(liar.me.id + 1)).id == owner.me.id
            assert asker.counters()["ring: look-ups on disjoint paths"] == 1

    network.run(program())
