"""A ring of 30 nodes, more than four times the pieces: a second copy of each, and no walk over everybody."""

from tests.integration.directory_ring import N, town


async def test_a_wide_ring_keeps_two_copies_on_fourteen_nodes_and_survives_the_owners():
    async with town(30) as place:
        done = place.upkeep.last
        assert {len(peers) for peers in done.holders.values()} == {2}
        assert done.distinct_holders == 2 * N
        assert done.attackers_needed == 3
        reader = next(ring for ring in reversed(place.rings) if ring.me not in place.upkeep.placed().values())
        found = await place.directory(reader).find("bob")
        assert (found.basis, found.bundle) == ("polynomial", place.bob.public)
        assert not found.asked_everyone
        # three of the seven owners die at once: four pieces are left at their owners, the copies bring the rest
        victims = [ring for ring in place.rings[2:] if ring.me in place.upkeep.placed().values() and ring is not reader]
        for ring in victims[:3]:
            await ring.close()
        found = await place.directory(reader).find("bob")
        assert (found.basis, found.bundle) == ("polynomial", place.bob.public)
