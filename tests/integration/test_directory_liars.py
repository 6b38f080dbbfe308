"""k-1 lying holders, with the dealing key or without: they forge nothing, block nothing, and are named."""

from dataclasses import replace

import pytest

from adapter.evidence import RECORD_INDEX
from adapter.findings import KeyUnverifiable, NameUnknown
from overlay.ring.chord import RingUnreachable
from overlay.ring.ids import id_to_bytes
from overlay.trust.identity import PrivateBundle
from overlay.trust.records import LookupRecord
from tests.integration.directory_ring import K, town
from tests.support import evil

EVE = PrivateBundle.generate()
DRAWS = range(6)


def holders_of_one(place, count):
    """Nodes that hold a piece and are not bob's own, with the stores behind them."""
    owners = [peer.id for _, peer in sorted(place.upkeep.placed().items())]
    rings = [ring for ring in place.rings if ring.me.id in owners and ring is not place.rings[1]]
    return rings[:count]


def eves_pieces(place, *, generation=1):
    """Pieces of eve's key in bob's name, signed: the dealing key has leaked."""
    return place.overlay.pieces(EVE, "bob", generation=generation)


def eves_record(place, *, generation=1, sequence=10**12):
    return place.overlay.record(EVE, "bob", generation=generation, sequence=sequence)


def unsigned(pieces):
    return tuple(replace(piece, signature=bytes(64)) for piece in pieces)


LIES = {
    "changed shares": lambda place: evil.changed_shares,
    "denial": lambda place: evil.nothing,
    "pieces of another key, unsigned": lambda place: evil.another_key(unsigned(eves_pieces(place)), eves_record(place)),
    "pieces of another key, signed": lambda place: evil.another_key(eves_pieces(place), eves_record(place)),
    "pieces of a higher generation, signed": lambda place: evil.another_key(
        eves_pieces(place, generation=9), eves_record(place, generation=9)
    ),
    "another record": lambda place: evil.another_record(eves_record(place)),
}


@pytest.mark.parametrize("lie", LIES)
async def test_two_liars_forge_nothing_and_block_nothing(lie):
    async with town(8) as place:
        liars = holders_of_one(place, K - 1)
        for ring in liars:
            place.store_of(ring).lie = LIES[lie](place)
        names = {id_to_bytes(ring.me.id) for ring in liars}
        for ring in place.rings:
            if ring in liars:
                continue
            for seed in DRAWS:
                found = await place.directory(ring, seed=seed).find("bob")
                assert found.bundle == place.bob.public
                assert found.record == place.upkeep.record
                assert (found.basis, found.generation) == ("polynomial", 1)
                assert {liar.node for liar in found.liars} <= names


@pytest.mark.parametrize("lie", [lie for lie in LIES if lie not in {"denial", "pieces of a higher generation, signed"}])
async def test_asking_everyone_names_both_liars_and_nobody_else(lie):
    async with town(8) as place:
        liars = holders_of_one(place, K - 1)
        for ring in liars:
            place.store_of(ring).lie = LIES[lie](place)
        reader = next(ring for ring in place.rings if ring not in liars)
        found = await place.directory(reader).find("bob", full=True)
        assert {liar.node for liar in found.liars} == {id_to_bytes(ring.me.id) for ring in liars}
        assert ({liar.index for liar in found.liars} == {RECORD_INDEX}) == (lie == "another record")


async def test_two_signed_shares_for_one_piece_are_shown_as_evidence():
    async with town(8) as place:
        liars = holders_of_one(place, K - 1)
        for ring in liars:
            place.store_of(ring).lie = LIES["pieces of another key, signed"](place)
        reader = next(ring for ring in place.rings if ring not in liars)
        found = await place.directory(reader).find("bob", full=True)
        assert found.conflicts
        assert all("two signed shares for piece" in conflict for conflict in found.conflicts)


async def test_liars_who_are_asked_first_cannot_win_by_speed():
    async with town(8) as place:
        liars = holders_of_one(place, K - 1)
        for ring in liars:
            place.store_of(ring).lie = LIES["pieces of another key, signed"](place)
        # the reader is a liar's neighbour: his own store answers for two of the draws at once
        reader = next(ring for ring in place.rings if ring not in liars)
        found = await place.directory(reader).find("bob", full=True)
        assert found.support == 5
        assert found.attackers_needed == 3


async def test_four_silent_holders_of_seven_leave_signatures_to_decide():
    async with town(8) as place:
        for ring in holders_of_one(place, 4):
            place.store_of(ring).lie = evil.nothing
        reader = place.rings[1]
        found = await place.directory(reader).find("bob")
        assert found.bundle == place.bob.public
        assert found.basis == "signatures"


async def test_signatures_do_not_decide_where_signed_pieces_contradict():
    async with town(3) as place:
        liar = place.rings[0]
        place.store_of(liar).lie = LIES["pieces of another key, signed"](place)
        with pytest.raises(KeyUnverifiable):
            await place.directory(place.rings[2]).find("bob")


async def test_a_liar_alone_does_not_make_a_name_that_nobody_registered():
    async with town(8) as place:
        pieces = tuple(replace(piece, aor="carol") for piece in place.overlay.pieces(EVE, "bob"))
        place.stores[3].lie = evil.another_key(pieces, None)
        with pytest.raises(NameUnknown):
            await place.directory(place.rings[5]).find("carol")


async def test_a_forged_record_of_the_true_key_is_not_followed():
    async with town(8) as place:
        true = place.upkeep.record
        forged = LookupRecord.decode(replace(true, host="127.0.0.9", sequence=true.sequence + 5).encode())
        for ring in holders_of_one(place, 2):
            place.store_of(ring).lie = evil.another_record(forged)
        found = await place.directory(place.rings[1]).find("bob", full=True)
        assert found.record == true
        assert {liar.index for liar in found.liars} == {RECORD_INDEX}
        assert len(found.liars) == 2


async def test_k_liars_with_the_dealing_key_are_where_the_claim_ends():
    async with town(8) as place:
        liars = holders_of_one(place, K)
        for ring in liars:
            place.store_of(ring).lie = LIES["pieces of another key, signed"](place)
        reader = next(ring for ring in place.rings if ring not in liars)
        with pytest.raises(KeyUnverifiable):
            await place.directory(reader).find("bob")


async def test_silence_alone_is_no_lie():
    async with town(8) as place:
        # two pieces at most are left: too few for a key, and nothing that contradicts
        for ring in holders_of_one(place, 5):
            await ring.close()
        with pytest.raises(RingUnreachable, match="too few holders"):
            await place.directory(place.rings[1]).find("bob")
