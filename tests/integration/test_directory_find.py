"""Looking a user up on a real ring."""

import asyncio
import random
from collections import Counter
from dataclasses import replace

import pytest

from adapter.findings import KeyUnverifiable, NameAway, NameUnknown
from overlay.ring.chord import RingUnreachable
from overlay.trust.identity import PrivateBundle
from overlay.trust.records import PENDING_NODE_ID, LookupRecord
from tests.integration.directory_ring import town


async def test_every_node_of_eight_finds_bob_by_the_acceptance_rule():
    async with town(8) as place:
        for ring in place.rings:
            found = await place.directory(ring).find("bob")
            assert found.bundle == place.bob.public
            assert found.basis == "polynomial"
            assert found.support >= 5
            assert found.liars == ()
            assert found.contact == place.rings[1].me
            assert found.record == place.upkeep.record
            assert len(set(found.drawn)) == 5


async def test_asking_everyone_shows_seven_holders_and_an_attacker_s_need_of_three():
    async with town(8) as place:
        found = await place.directory(place.rings[5]).find("bob", full=True)
        assert found.asked_everyone
        assert sorted(found.holders) == [1, 2, 3, 4, 5, 6, 7]
        assert len({peer for peers in found.holders.values() for peer in peers}) == 7
        assert found.attackers_needed == 3
        assert found.ring_size_known == 8
        assert all(verdict.ok for verdict in found.verdicts)


async def test_bob_is_found_when_the_first_node_of_the_ring_is_dead():
    async with town(8) as place:
        await place.rings[0].close()
        for ring in place.rings[1:]:
            found = await place.directory(ring).find("bob")
            assert found.bundle == place.bob.public
            assert found.took_ms < 3000


async def test_steps_are_traced_in_order():
    steps = []
    async with town(8) as place:
        await place.directory(place.rings[3]).find("bob", trace=lambda step, detail: steps.append((step, detail)))
    names = [step for step, _ in steps]
    assert names[0] == "pieces"
    assert names[-1] == "key"
    assert "piece" in names
    assert len(steps[0][1]["drawn"]) == 5


async def test_a_name_that_nobody_has_is_unknown():
    async with town(8) as place:
        with pytest.raises(NameUnknown):
            await place.directory(place.rings[3]).find("carol")


async def test_a_key_without_a_live_record_is_away_but_can_be_had_alone():
    async with town(3) as place:
        sequence = place.upkeep.record.sequence
        with pytest.raises(NameAway):
            await place.directory(place.rings[2]).find("bob", min_sequence=sequence + 1)
        found = await place.directory(place.rings[2]).find("bob", record_needed=False)
        assert found.bundle == place.bob.public
        assert (await place.directory(place.rings[2]).find("bob", min_sequence=sequence)).record.sequence == sequence


async def test_a_ring_that_does_not_answer_is_unreachable():
    async with town(3) as place:
        reader, *others = place.rings
        place.stores[0].lie = lambda aor, truth: type(truth)()
        for ring in others:
            await ring.close()
        with pytest.raises(RingUnreachable):
            await place.directory(reader).find("bob")


async def test_pieces_of_our_own_alone_are_no_word_against_the_key():
    async with town(3) as place:
        reader, *others = place.rings
        place.stores[0].lie = lambda aor, truth: replace(truth, pieces=truth.pieces[:1])  # whatever its place gave it
        for ring in others:
            await ring.close()
        with pytest.raises(RingUnreachable):
            await place.directory(reader).find("bob")


async def test_three_nodes_cannot_bear_the_rule_and_the_result_says_so():
    async with town(3) as place:
        found = await place.directory(place.rings[2]).find("bob")
        assert found.bundle == place.bob.public
        assert found.basis == "signatures"
        assert found.asked_everyone
        # seven pieces on three nodes: 3 + 2 + 2, so one node of them has three already
        assert found.attackers_needed == 1
        assert {len([1 for peers in found.holders.values() if ring.me in peers]) for ring in place.rings} == {2, 3}


async def test_five_nodes_bear_the_rule():
    async with town(5) as place:
        found = await place.directory(place.rings[4]).find("bob")
        assert found.basis == "polynomial"
        assert (await place.directory(place.rings[4]).find("bob", full=True)).attackers_needed == 2


async def test_too_few_pieces_of_a_name_are_not_an_answer():
    async with town(5) as place:
        for store in place.stores[1:]:
            store.lie = lambda aor, truth: type(truth)()
        with pytest.raises((KeyUnverifiable, NameUnknown)):
            await place.directory(place.rings[2]).find("bob")


async def test_a_ring_of_one_finds_its_own_user():
    async with town(1) as place:
        found = await place.directory(place.rings[0]).find("bob")
        assert (found.basis, found.attackers_needed) == ("signatures", 1)


async def test_a_lookup_that_is_cancelled_leaves_nothing_running():
    async with town(8) as place:
        before = asyncio.all_tasks()
        for turns in range(1, 12):
            task = asyncio.create_task(place.directory(place.rings[4]).find("bob"))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert {task for task in asyncio.all_tasks() - before if "_Search" in repr(task.get_coro())} == set()
        assert (await place.directory(place.rings[4]).find("bob")).bundle == place.bob.public


async def test_each_piece_is_drawn_equally_often_over_a_thousand_calls():
    draws = Counter()
    async with town(1) as place:
        directory = place.directory(place.rings[0], seed=20)
        for _ in range(1000):
            found = await directory.find("bob", record_needed=False)
            draws.update(found.drawn)
    expected = 1000 * 5 / 7
    chi_square = sum((draws[index] - expected) ** 2 / expected for index in range(1, 8))
    # draws without replacement vary less than chi-square with 6 degrees of freedom: 22.5 is its 99.9 % point
    assert sum(draws.values()) == 5000
    assert chi_square < 22.5


async def test_a_directory_draws_from_the_system_s_dice_unless_told_otherwise():
    async with town(1) as place:
        assert isinstance(place.directory(place.rings[0])._rng, random.SystemRandom)


@pytest.mark.parametrize("known", [True, False])
async def test_a_record_without_a_node_id_is_resolved_by_the_address_that_the_ring_knows(known):
    async with town(4) as place:
        home = place.rings[2]
        carol, now = PrivateBundle.generate(), int(place.overlay.clock())
        pending = LookupRecord.issue(
            carol,
            aor="carol",
            generation=1,
            node_id=PENDING_NODE_ID,
            host="127.0.0.1",
            port=home.me.port if known else 9,
            sequence=1,
            issued_at=now,
            expires_at=now + 600,
        )
        await place.rings[0].put(
            "carol",
            place.overlay.pieces(carol, "carol"),
            pending,
            share_list=place.overlay.share_list(carol, "carol"),
        )
        found = await place.directory(place.rings[3]).find("carol")
        assert found.record == pending
        assert found.contact == (home.me if known else None)
