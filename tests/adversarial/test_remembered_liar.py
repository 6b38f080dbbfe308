"""The liar that is met again: it lied about one name or another, and no later call waits for it."""

from __future__ import annotations

import random

import pytest

from overlay.ring.ids import id_to_bytes
from tests.adversarial.test_copy_hider import AOR
from tests.adversarial.test_copy_hider import town as large_town
from tests.attack.holder_level import ONE_WAY_S, town
from tests.attack.lies import Gang
from tests.attack.rows import Cell
from tests.support import evil
from tests.support.network import Network

K, N = 3, 7
ROUND_TRIP_S = 2 * ONE_WAY_S
LATER_CALLS = 12
CELL = Cell(variant="secp2psip", attack="garbage", level="holder", liars=2, of=N, k=K, n=N, calls=LATER_CALLS, seed=1)


def play(program):
    network = Network(seed=1, delay_s=(ONE_WAY_S, ONE_WAY_S))

    async def run():
        async with town(CELL, network, random.Random(1)) as place:
            place.publish()
            await program(place, network)

    network.run(run())


def holders(place):
    """The nodes that keep a piece of both users, in one order."""
    return sorted({peers[0] for peers in place.places[place.sides[0].aor].values()})


def lie(place, peers, how):
    for peer in peers:
        place.stores[peer.id].lie_to_readers = how


async def took(network, work):
    began = network.clock()
    result = await work
    return result, network.clock() - began


def test_no_later_call_waits_for_a_liar_that_was_met_once():
    """With k-1 liars among the seven and five to draw, 20 calls in 21 meet one, as long as nobody remembers them."""

    async def program(place, network):
        alice, bob = place.sides
        liars = holders(place)[: K - 1]
        lie(place, liars, evil.changed_shares)
        names = {id_to_bytes(peer.id) for peer in liars}
        reader = place.directory(alice.ring)
        waves = [(await place.directory(alice.ring).find(bob.aor)).waves for _ in range(LATER_CALLS)]
        assert max(waves) == 2  # whoever remembers nobody meets them again
        first = await reader.find(bob.aor, full=True)
        assert {liar.node for liar in first.liars} == names
        for _ in range(LATER_CALLS):
            found, seconds = await took(network, reader.find(bob.aor))
            assert (found.waves, found.basis, set(found.avoided)) == (1, "polynomial", names)
            assert seconds == pytest.approx(ROUND_TRIP_S, abs=0.002)
            assert not names & {id_to_bytes(peer.id) for peer in found.asked}

    play(program)


def test_a_liar_about_one_name_is_avoided_for_another():
    async def program(place, _network):
        alice, bob = place.sides
        lie(place, holders(place)[:1], evil.changed_shares)
        reader = place.directory(alice.ring)
        await reader.find(bob.aor, full=True)
        found = await reader.find(alice.aor)
        assert found.avoided == (id_to_bytes(holders(place)[0].id),)

    play(program)


def test_in_a_large_ring_the_place_of_a_liar_is_left_out_too():
    """There the owner of a place is found by asking the ring; who lied before is known without."""
    network = Network(seed=3, delay_s=(ONE_WAY_S, ONE_WAY_S))

    async def program():
        async with large_town(network) as place:
            owners = [place.country.places[AOR][index][0] for index in (2, 5)]
            for owner in owners:
                place.lie(owner, evil.changed_shares)
            reader = place.country.directory(place.reader)
            await reader.find(AOR, full=True)
            for _ in range(LATER_CALLS):
                found = await reader.find(AOR)
                assert (found.waves, found.basis) == (1, "polynomial")
                assert set(found.avoided) == {id_to_bytes(owner.id) for owner in owners}
                assert set(found.drawn) == {1, 3, 4, 6, 7}

    network.run(program())


def test_who_is_remembered_is_asked_as_soon_as_the_others_are_too_few():
    """All seven lied once. Two of them are silent by now: the other five are enough, and are asked at once."""

    async def program(place, network):
        alice, bob = place.sides
        reader = place.directory(alice.ring)
        for peer in holders(place):
            lie(place, [peer], evil.changed_shares)
            await reader.find(bob.aor, full=True)
            lie(place, [peer], None)
        lie(place, holders(place)[:2], evil.silent)
        found, seconds = await took(network, reader.find(bob.aor))
        assert (found.basis, found.support, found.bundle) == ("polynomial", 2 * K - 1, bob.keys.public)
        assert seconds < 0.1 + 2 * ROUND_TRIP_S

    play(program)


def test_the_word_of_a_remembered_node_counts_when_others_are_gone():
    """Two lied and now tell the truth, two of the others are silent: without those who lied there is no proof."""

    async def program(place, _network):
        alice, bob = place.sides
        reader = place.directory(alice.ring)
        lie(place, holders(place)[:2], evil.changed_shares)
        await reader.find(bob.aor, full=True)
        lie(place, holders(place)[:2], None)
        lie(place, holders(place)[2:4], evil.silent)
        found = await reader.find(bob.aor)
        assert (found.basis, found.bundle) == ("polynomial", bob.keys.public)
        assert set(found.avoided) == {id_to_bytes(peer.id) for peer in holders(place)[:2]}

    play(program)


@pytest.mark.parametrize("attack", ["colluding, with the dealing key", "another's record", "denial", "silence"])
def test_liars_get_nobody_else_remembered(attack):
    async def program(place, _network):
        alice, bob = place.sides
        liars = holders(place)[: K - 1]
        theirs = {aor: frozenset(i for i, p in at.items() if p[0] in liars) for aor, at in place.places.items()}
        gang = Gang(overlay=place.overlay, victims=place.victims, rng=place.rng, theirs=theirs)
        how = {
            "colluding, with the dealing key": gang.lie("leaked, solving"),
            "another's record": evil.another_record(place.victims[bob.aor].false_record),
            "denial": evil.nothing,
            "silence": evil.silent,
        }[attack]
        lie(place, liars, how)
        reader = place.directory(alice.ring)
        for _ in range(LATER_CALLS):
            await reader.find(bob.aor, full=True)
        caught = {one.node for one in reader._liars.all(place.network.clock())}
        named = {"denial": set(), "silence": set()}
        assert caught == named.get(attack, {id_to_bytes(peer.id) for peer in liars})

    play(program)


def test_a_lookup_that_fails_names_and_remembers_who_lied():
    async def program(place, _network):
        alice, bob = place.sides
        lie(place, holders(place)[:4], evil.changed_shares)
        lie(place, holders(place)[4:], evil.nothing)
        verdict, outcome = await alice.call(bob)
        assert verdict.value == "refused"
        assert {row["node"] for row in outcome.receipt["liars"]} == {
            id_to_bytes(peer.id).hex()[:8] for peer in holders(place)[:4]
        }
        memory = alice.directory.directory._liars
        assert len(memory.all(place.network.clock())) == 4

    play(program)
