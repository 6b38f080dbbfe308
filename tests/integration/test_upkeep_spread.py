"""The owner's adapter keeps the pieces in place while the ring grows and shrinks around it."""

import asyncio

from adapter.upkeep import Upkeep
from overlay.ring.ids import piece_position
from overlay.ring.placement import place as place_pieces
from tests.integration.directory_ring import N, settle, town


async def right_places(ring):
    positions = {index: piece_position("bob", index, N) for index in range(1, N + 1)}
    return place_pieces(positions, {i: await ring.successor_list(position, N) for i, position in positions.items()})


async def held(place):
    """What really lies in the stores: ring -> piece indices."""
    now = place.overlay.clock()
    return {
        ring.me: [index for _, index in store.held(now)] for ring, store in zip(place.rings, place.stores, strict=True)
    }


async def test_pieces_spread_to_seven_distinct_holders_as_the_ring_grows_from_one_to_eight():
    async with town(1) as place:
        needs = [place.upkeep.last.attackers_needed]
        spread = [place.upkeep.last.distinct_holders]
        for _ in range(7):
            await place.add()
            done = await settle(place.upkeep)
            assert place.upkeep.placed() == await right_places(place.rings[0])
            assert done.holders == {index: (peer,) for index, peer in place.upkeep.placed().items()}
            needs.append(done.attackers_needed)
            spread.append(done.distinct_holders)
        assert spread == [1, 2, 3, 4, 5, 6, 7, 7]
        assert needs == [1, 1, 1, 2, 2, 2, 3, 3]
        assert sorted(len(indices) for indices in (await held(place)).values()) == [0, 1, 1, 1, 1, 1, 1, 1]
        assert place.upkeep.distinct_holders == 7


async def test_a_round_that_is_repeated_does_nothing():
    async with town(4) as place:
        before = dict(place.upkeep.counters)
        done = await place.upkeep.round()
        assert done.settled
        assert place.upkeep.counters == {**before, "rounds": before["rounds"] + 1}


async def test_two_rounds_never_run_at_once():
    async with town(4) as place:
        await place.add()
        first, second = await asyncio.gather(place.upkeep.round(), place.upkeep.round())
        assert first.moved > 0
        assert second.moved == 0


async def test_a_dead_holder_s_piece_comes_to_life_elsewhere_with_the_first_node_dead_too():
    async with town(8) as place:
        victims = [place.rings[0]]
        victims += [ring for ring in place.rings[2:] if ring.me in place.upkeep.placed().values()][:2]
        for ring in victims:
            await ring.close()
        await settle(place.upkeep)
        alive = {ring.me for ring in place.rings if ring not in victims}
        assert set(place.upkeep.placed()) == set(range(1, N + 1))
        assert set(place.upkeep.placed().values()) <= alive
        found = await place.directory(place.rings[1]).find("bob", full=True)
        assert found.bundle == place.bob.public
        assert found.attackers_needed == 2


async def test_a_holder_that_leaves_hands_over_and_the_copies_are_cleared():
    async with town(8) as place:
        leaver = next(ring for ring in place.rings[2:] if ring.me in place.upkeep.placed().values())
        await leaver.leave()
        done = await settle(place.upkeep)
        assert leaver.me not in done.holders
        assert done.holders == {index: (peer,) for index, peer in place.upkeep.placed().items()}


async def test_no_piece_is_without_a_copy_at_any_step_of_a_move():
    async with town(4) as place:
        lost = []

        def look():
            now = place.overlay.clock()
            lost.extend(set(range(1, N + 1)) - {index for store in place.stores for _, index in store.held(now)})

        for _ in range(4):
            await place.add()
            for store in place.stores:
                store.after_release = look
            await settle(place.upkeep)
        assert lost == []
        assert place.upkeep.counters["released"] > 0


async def test_a_new_holder_that_refuses_leaves_the_old_copy_where_it_is():
    async with town(3) as place:
        stubborn = await place.add()
        place.store_of(stubborn).takes_nothing = True
        done = await place.upkeep.round()
        assert done.missing
        assert all(done.holders[index] for index in range(1, N + 1))
        assert not done.settled
        assert (await place.directory(place.rings[2]).find("bob")).bundle == place.bob.public


async def test_the_record_lies_beside_every_piece_and_is_renewed_at_half_life():
    async with town(4) as place:
        first = place.upkeep.record
        clock = place.overlay.clock
        ahead = 0.0
        place.upkeep._clock = lambda: clock() + ahead
        await place.upkeep.round()
        assert place.upkeep.record == first
        ahead = 301.0
        await place.upkeep.round()
        renewed = place.upkeep.record
        assert renewed.sequence > first.sequence
        for ring in place.rings:
            holding = await ring.fetch_at(ring.me, "bob")
            assert holding.record == renewed


async def test_an_adapter_that_moved_publishes_its_new_address_above_the_old():
    async with town(4) as place:
        old = place.upkeep.record
        new_home = place.rings[3]
        moved = Upkeep(
            new_home,
            user=place.bob,
            pieces=place.overlay.pieces(place.bob, "bob"),
            share_list=place.overlay.share_list(place.bob, "bob"),
        )
        await settle(moved)
        found = await place.directory(place.rings[0]).find("bob")
        assert found.record.sequence > old.sequence
        assert found.contact == new_home.me


async def test_run_follows_the_ring_and_stops_when_told():
    async with town(2) as place:
        rounds = asyncio.Queue()
        upkeep = Upkeep(
            place.rings[1],
            user=place.bob,
            pieces=place.overlay.pieces(place.bob, "bob"),
            share_list=place.overlay.share_list(place.bob, "bob"),
            sequence=place.upkeep.sequence,
            on_round=rounds.put_nowait,
        )
        place.rings[1].on_change = upkeep.changed
        task = asyncio.create_task(upkeep.run())
        await rounds.get()
        await place.add()
        done = await rounds.get()
        while done.distinct_holders < 3:
            done = await rounds.get()
        upkeep.stop()
        await task
        assert upkeep.counters["rounds"] >= 2
