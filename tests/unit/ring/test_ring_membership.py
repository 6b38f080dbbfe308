"""Whole rings in memory and virtual time: deaths, cuts of the network, losses, newcomers."""

from __future__ import annotations

import asyncio
import random

from overlay.ring.contacts import encode_contacts, node_of
from overlay.ring.handover import NEWCOMER_DELAY_S
from overlay.ring.ids import RingId, id_to_bytes, piece_position
from overlay.ring.neighbourhood import NAMED, around
from overlay.ring.retransmission import BRIEF
from overlay.ring.storage import RecordStore
from overlay.trust.identity import PrivateBundle
from tests.support.members import TestOverlay
from tests.support.network import Network
from tests.support.warmed import warmed

HOST = "10.0.0.1"


def world(seed: int, **options) -> tuple[Network, TestOverlay]:
    network = Network(seed=seed, **options)
    return network, TestOverlay(clock=network.clock, seed=seed)


def successor(ids: list[int], place: int) -> int:
    return min((one for one in ids if one >= place), default=min(ids))


def test_a_silent_death_is_found_and_told_within_seconds():
    network, overlay = world(1)

    async def program():
        async with overlay.running(8, host=HOST) as rings:
            dead = rings.pop(4)
            gone = dead.me
            seen = []
            rings[0].on_change = lambda _peers: seen.append(gone in rings[0].peers())
            await dead.close()
            await asyncio.sleep(15)
            assert [gone in ring.peers() for ring in rings] == [False] * 7
            assert [ring.counters().get("ring: died") for ring in rings] == [1] * 7
            assert seen[-1] is False

    network.run(program())


def test_a_round_that_fails_is_not_the_last_one(caplog):
    network, overlay = world(6)

    class Broken(RecordStore):
        def sweep(self, now):
            raise RuntimeError("the disk is gone")

    async def program():
        async with overlay.running(5, host=HOST, make_store=Broken) as rings:
            await asyncio.sleep(30)
            assert all(ring.counters()["ring: stabilisation failed"] > 1 for ring in rings)
            dead = rings.pop(2)
            await dead.close()
            await asyncio.sleep(15)
            assert not any(dead.me in ring.peers() for ring in rings)
            assert not any(ring.counters()["ring: tasks failed"] for ring in rings)

    network.run(program())
    assert "a round of stabilisation failed" in caplog.text


def test_overload_while_suspects_are_pinged_does_not_end_stabilisation(monkeypatch):
    """A node that has so much under way that not even a ping leaves goes on looking after its neighbours later."""
    network, overlay = world(11)

    async def program():
        async with overlay.running(8, host=HOST) as rings:
            busy, dead = rings[0], rings.pop(4)
            gone, rpc = dead.me, busy._server.rpc
            await dead.close()
            await rpc.call_ping(node_of(gone), patience=BRIEF)
            assert rpc.is_suspect(gone)
            with monkeypatch.context() as patch:
                patch.setattr("overlay.ring.calls.MAX_CALLS", 0)
                await asyncio.sleep(3)
            assert rpc.counters["stabilisation failed"] > 0
            await asyncio.sleep(15)
            assert gone not in busy.peers()

    network.run(program())


def test_a_join_is_told_to_everybody():
    network, overlay = world(2)

    async def program():
        async with overlay.running(5, host=HOST) as rings:
            told = []
            for number, ring in enumerate(rings):
                ring.on_change = lambda _peers, number=number: told.append(number)
            newcomer = overlay.ring()
            await newcomer.open(HOST)
            await newcomer.join([rings[0].me])
            await asyncio.sleep(0.1)
            assert sorted(set(told)) == [0, 1, 2, 3, 4]
            assert all(newcomer.me in ring.peers() for ring in rings)
            await newcomer.close()

    network.run(program())


def test_two_halves_of_a_ring_find_each_other_again():
    network, overlay = world(3)

    async def program():
        async with overlay.running(8, host=HOST) as rings:
            one_half = {ring.address for ring in rings[:4]}
            network.cut = lambda source, target: (source in one_half) != (target in one_half)
            await asyncio.sleep(60)
            assert [len(ring.peers()) for ring in rings] == [3] * 8
            network.cut = lambda source, target: False
            await asyncio.sleep(60)
            assert [len(ring.peers()) for ring in rings] == [7] * 8

    network.run(program())


def test_a_node_that_lost_everybody_finds_them_again():
    network, overlay = world(4)

    async def program():
        async with overlay.running(6, host=HOST) as rings:
            alone = rings[2].address
            network.cut = lambda source, target: alone in (source, target)
            await asyncio.sleep(120)
            assert rings[2].peers() == []
            assert await rings[2].find_successor(RingId(5)) == rings[2].me
            network.cut = lambda source, target: False
            await asyncio.sleep(10)
            assert [len(ring.peers()) for ring in rings] == [5] * 6

    network.run(program())


def test_a_node_that_restarts_at_its_address_is_met_without_joining():
    network, overlay = world(5)

    async def program():
        identity = overlay.identity()
        first = overlay.ring(identity)
        await first.open(HOST, 5480)
        await first.join([])
        others = [overlay.ring() for _ in range(3)]
        for ring in others:
            await ring.open(HOST)
            await ring.join([first.me])
        await first.close()
        await asyncio.sleep(40)
        assert [len(ring.peers()) for ring in others] == [2] * 3
        again = overlay.ring(identity)
        await again.open(HOST, 5480)
        await again.join([])
        await asyncio.sleep(15)
        assert sorted(again.peers()) == sorted(ring.me for ring in others)
        for ring in (again, *others):
            await ring.close()

    network.run(program())


def test_successors_stay_exact_with_losses_and_dead_nodes():
    """5 % of all datagrams are lost and a fifth of the nodes has just died."""
    network, overlay = world(6)

    async def program():
        async with overlay.running(40, host=HOST) as rings:
            rng, loop = random.Random(6), asyncio.get_running_loop()
            for ring in (dead := rng.sample(rings, 8)):
                await ring.close()
            living = [ring for ring in rings if ring not in dead]
            ids = [ring.me.id for ring in living]
            network.loss = 0.05
            exact, slowest = 0, 0.0
            for _ in range(60):
                place = rng.choice([rng.getrandbits(160), rng.choice(ids), rng.choice(rings).me.id])
                begun = loop.time()
                exact += (await rng.choice(living).find_successor(RingId(place))).id == successor(ids, place)
                slowest = max(slowest, loop.time() - begun)
            assert exact >= 59
            assert slowest < 3.0

    network.run(program())


def test_a_newcomer_gets_what_lies_in_its_stretch_even_if_its_owner_is_away():
    network, overlay = world(7)
    bob = PrivateBundle.generate()

    async def program():
        async with overlay.running(1, host=HOST) as rings:
            old = rings[0]
            pieces, record = overlay.pieces(bob, "bob"), overlay.record(bob, "bob")
            await old.put("bob", pieces, record, share_list=overlay.share_list(bob, "bob"))
            newcomers = [overlay.ring() for _ in range(3)]
            for ring in newcomers:
                await ring.open(HOST)
                await ring.join([old.me])
            await asyncio.sleep(2 * NEWCOMER_DELAY_S + 20)
            # nothing is deleted, and everybody in whose stretch some of it lies has a copy
            assert len((await old.fetch_at(old.me, "bob")).pieces) == 7
            for ring in newcomers:
                places = {piece_position("bob", index, 7) for index in range(1, 8)}
                mine = [place for place in places if await ring.find_successor(place) == ring.me]
                holding = await old.fetch_at(ring.me, "bob")
                assert len(holding.pieces) == min(1, len(mine))
                assert holding.record == (record if mine else None)
            for ring in newcomers:
                await ring.close()

    network.run(program())


def test_a_quiet_ring_costs_little():
    network, overlay = world(8)

    async def program():
        async with overlay.running(24, host=HOST):
            await asyncio.sleep(60)
            network.sent.clear()
            await asyncio.sleep(120)
            return sum(network.sent.values()) / 24 / 120

    assert network.run(program()) < 5


def test_a_large_quiet_ring_costs_each_node_less_than_a_datagram_a_second():
    network, overlay = world(10)

    async def program():
        async with warmed(overlay, 80, random.Random(10)) as rings:
            for ring in rings:
                await ring.join([])
            # nobody has a session at first: the first tours are dearer than all that follow
            await asyncio.sleep(150)
            network.sent.clear()
            await asyncio.sleep(120)
            return sum(network.sent.values()) / 80 / 120

    assert network.run(program()) < 1


def test_a_newcomer_to_a_large_ring_asks_few_and_is_found_by_everybody():
    network, overlay = world(11)

    async def program():
        async with warmed(overlay, 200, random.Random(11)) as rings:
            newcomer = overlay.ring()
            await newcomer.open(HOST)
            await newcomer.join([rings[0].me])
            counters = newcomer.counters()
            assert counters["ring: asked find_node"] + counters["ring: asked around"] <= 40
            assert {await ring.find_successor(newcomer.me.id) for ring in rings[::4]} == {newcomer.me}
            await newcomer.close()

    network.run(program())


def test_the_same_seed_gives_the_same_run():
    def run() -> tuple[int, int]:
        network, overlay = world(9, loss=0.02)

        async def program():
            async with overlay.running(10, host=HOST) as rings:
                await asyncio.sleep(20)
                await rings[0].find_successor(RingId(7))

        network.run(program())
        return network.bytes_sent, sum(network.sent.values())

    assert run() == run()


def test_a_newcomer_to_a_large_ring_soon_knows_most_of_those_far_away_that_it_has_room_for():
    network, overlay = world(12)

    async def program():
        async with warmed(overlay, 200, random.Random(12)) as rings:
            await asyncio.gather(*(ring.join([]) for ring in rings))
            newcomer = overlay.ring()
            await newcomer.open(HOST)
            await newcomer.join([rings[0].me])
            await asyncio.sleep(3)
            halves = [sum((peer.id ^ newcomer.me.id) >> bit == 1 for peer in newcomer.peers()) for bit in (159, 158)]
            assert min(halves) >= 8
            await newcomer.close()

    network.run(program())


def test_a_full_look_up_that_finds_few_among_many_dead_does_not_take_them_for_the_whole_ring():
    network, overlay = world(13)

    async def program():
        async with warmed(overlay, 120, random.Random(13)) as rings:
            await asyncio.gather(*(ring.join([]) for ring in rings))
            place = RingId(random.Random(13).getrandbits(160))
            # the twenty that everybody names are among them; four live, all of them before the place
            near = sorted(rings, key=lambda ring: ring.me.id ^ place)[:36]
            kept = [ring for ring in near if ring.me.id < place][:4]
            dead = [ring for ring in near if ring not in kept]
            await asyncio.gather(*(ring.close() for ring in dead))
            ids = sorted(ring.me.id for ring in rings if ring not in dead)
            asker = next(ring for ring in rings if ring not in dead + kept)
            found = await asker.successor_list(place, 3, apart=True)
            assert found[0].id == successor(ids, place)
            assert all(other.id in ids for other in found)

    network.run(program())


def test_how_many_a_node_knows_and_whom_it_names_around_a_place_agree_with_a_list_of_all_contacts():
    network, overlay = world(9)
    dice = random.Random(9)

    async def program():
        async with warmed(overlay, 100, dice, host=HOST) as rings:
            for ring in (dead := dice.sample(rings, 15)):
                await ring.close()
            living = [ring for ring in rings if ring not in dead]
            for ring in living[::8]:
                # some of the dead fall under suspicion on the way
                await asyncio.gather(*(ring.find_successor(RingId(dice.getrandbits(160))) for _ in range(6)))
                rpc = ring._server.rpc
                assert ring.size() == len(ring.peers()) + 1
                for place in (RingId(dice.getrandbits(160)), dice.choice(ring.peers()).id):
                    for count in (1, NAMED, 2 * NAMED + 1):
                        assert rpc.around(place, count) == around(ring.peers(), place, count)
                    asker = around(ring.peers(), place, 1)[0]
                    others = [peer for peer in ring.peers() if peer != asker]
                    named = rpc.rpc_around(asker, id_to_bytes(asker.id), id_to_bytes(place))
                    assert named == encode_contacts(map(node_of, around(others, place)))
            assert any(ring._server.rpc.suspects() for ring in living)

    network.run(program())


def test_a_node_that_knows_just_as_many_as_it_is_asked_for_names_each_of_them():
    """Ten contacts are five on either side of any place: none of them is left out, whoever asks."""
    network, overlay = world(10)
    dice = random.Random(10)

    async def program():
        async with warmed(overlay, 2 * NAMED + 3, dice, host=HOST) as rings:
            for ring in rings:
                assert len(ring.peers()) == 2 * NAMED + 2
                for asker in ring.peers():
                    place = RingId(dice.getrandbits(160))
                    assert ring._server.rpc.around(place, NAMED + 1) == around(ring.peers(), place, NAMED + 1)
                    named = ring._server.rpc.rpc_around(asker, id_to_bytes(asker.id), id_to_bytes(place))
                    others = [peer for peer in ring.peers() if peer != asker]
                    assert named == encode_contacts(map(node_of, around(others, place)))

    network.run(program())
