"""Disjoint paths: what one look-up on several of them costs, and whom it finds although liars hide a node from one."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from overlay.ring.contacts import MAX_CONTACTS, node_of, target
from overlay.ring.crawl import MAX_REQUESTS, FlowSpider
from overlay.ring.ids import Peer
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


@pytest.mark.parametrize("manner", ["drop", "reroute"])
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
