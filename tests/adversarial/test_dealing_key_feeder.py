"""Whoever has the dealing key and one enrolled node: he feeds false pieces to every honest node, before and after.

Honest holders die, nodes that he tried to feed follow in their places, and the owner's upkeep brings the true pieces
there. At any time readers get the true key or none, and after the upkeep they get it again.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from adapter.findings import KeyUnverifiable, NameUnknown
from adapter.upkeep import Upkeep
from overlay.ring.chord import RingUnreachable
from overlay.trust.identity import PrivateBundle
from overlay.trust.pieces import KeyPiece
from overlay.trust.share_list import ShareList
from tests.integration.directory_ring import K, N, settle, town
from tests.support.evil import another_key
from tests.support.members import OVERLAY

EVE = PrivateBundle.generate()
NO_KEY = (KeyUnverifiable, NameUnknown, RingUnreachable)


def whole_dealing(place):
    """Return pieces of the thief's own key under its own thumbprint."""
    return place.overlay.pieces(EVE, "bob")


def shares_in_bobs_name(place):
    """Return the same shares under the true thumbprint, which nodes that hold a true piece do not refuse for that."""
    return tuple(
        signed(place, replace(piece, thumbprint=place.bob.public.thumbprint())) for piece in whole_dealing(place)
    )


def signed(place, piece):
    blank = replace(piece, signature=bytes(64))
    return replace(blank, signature=place.overlay.dealing.sign(KeyPiece.domain(), blank.signed_bytes()))


def lists_of_the_thief(place):
    """Return every share list that he can show: none, one of his own key, and the true one."""
    forged = ShareList.issue(EVE, overlay=OVERLAY, pieces=whole_dealing(place))
    return None, forged, place.overlay.share_list(place.bob, "bob")


async def feed(place, evil, false, *, gone=()):
    """Offer every false piece to every honest node that lives, with every list; return how many were kept."""

    async def offer(ring):
        kept = 0
        for share_list in lists_of_the_thief(place):
            for piece in false:
                kept += await evil.store_at(ring.me, piece, None, share_list=share_list)
        return kept

    return sum(await asyncio.gather(*(offer(ring) for ring in place.rings if ring is not evil and ring not in gone)))


def turn(place, evil):
    """Make a holder answer with a whole false dealing and a record of the thief's key."""
    record = place.overlay.record(EVE, "bob", sequence=10**12)
    place.store_of(evil).lie = another_key(tuple(whole_dealing(place)), record)


async def readings(place, readers):
    """Return what each reader gets, the key or the error."""

    async def read(ring, seed):
        try:
            return (await place.directory(ring, seed=seed).find("bob", record_needed=False)).bundle
        except NO_KEY as error:
            return type(error)

    return await asyncio.gather(*(read(ring, seed) for ring in readers for seed in range(2)))


@pytest.mark.parametrize("dealing", [whole_dealing, shares_in_bobs_name])
@pytest.mark.parametrize(("nodes", "dead"), [(12, 3), (14, 2), (14, N - K)])
async def test_nodes_that_a_thief_tried_to_feed_follow_the_dead_and_testify_for_the_owner(nodes, dead, dealing):
    async with town(nodes) as place:
        home = place.rings[1]
        owners = [ring for ring in place.rings if ring.me in place.upkeep.placed().values() and ring is not home]
        evil, *honest = owners
        assert await feed(place, evil, dealing(place)) == 0
        turn(place, evil)
        gone = honest[:dead]
        for ring in gone:
            await ring.close()
        readers = [ring for ring in place.rings if ring is not evil and ring not in gone][:4]
        for outcome in await readings(place, readers):
            assert outcome == place.bob.public or outcome in NO_KEY
        # he is as quick as he likes: between any two rounds he feeds again
        for _ in range(3):
            await place.upkeep.round()
            assert await feed(place, evil, dealing(place), gone=gone) == 0
        assert place.upkeep.last.missing == ()
        assert set(await readings(place, readers)) == {place.bob.public}


@pytest.mark.parametrize("dealing", [whole_dealing, shares_in_bobs_name])
async def test_who_feeds_before_the_owner_registers_takes_nothing(dealing):
    async with town(9) as place:
        evil = place.rings[4]
        carol = PrivateBundle.generate()
        theft = [signed(place, replace(piece, aor="carol")) for piece in dealing(place)]
        assert await feed(place, evil, theft) == 0
        for ring, store in zip(place.rings, place.stores, strict=True):
            assert ring is evil or store.get("carol", time.time()).is_empty
        # as the bootstrap server stores them when she registers
        dealt, share_list = place.overlay.pieces(carol, "carol"), place.overlay.share_list(carol, "carol")
        record = place.overlay.record(carol, "carol")
        assert len(await place.rings[0].put("carol", dealt, record, share_list=share_list)) == N
        place.store_of(evil).lie = another_key(tuple(theft), place.overlay.record(EVE, "carol", sequence=10**12))
        await settle_of(place, carol, dealt, share_list)
        for reader in place.rings[5:8]:
            found = await place.directory(reader).find("carol", record_needed=False)
            assert (found.bundle, found.basis) == (carol.public, "polynomial")


async def settle_of(place, owner, dealt, share_list):
    """Let the owner's adapter put things in their places."""
    upkeep = Upkeep(place.rings[2], user=owner, pieces=dealt, share_list=share_list)
    for _ in range(3):
        await upkeep.round()
    assert upkeep.last.missing == ()


async def test_a_share_list_lets_in_its_own_pieces_and_nothing_else():
    async with town(3) as place:
        evil, honest = place.rings[0], place.rings[2]
        carol = PrivateBundle.generate()
        true = place.overlay.pieces(carol, "carol")
        sound = place.overlay.share_list(carol, "carol")
        past = [replace(piece, issued_at=1_000, expires_at=2_000) for piece in true]
        swapped = sound.digests[16:32] + sound.digests[:16] + sound.digests[32:]
        for unsound in (
            None,
            ShareList.issue(EVE, overlay=OVERLAY, pieces=true),
            ShareList.issue(place.overlay.private, overlay="another", pieces=true),
            ShareList.issue(place.overlay.private, overlay=OVERLAY, pieces=past),
            place.overlay.share_list(carol, "dave"),
            place.overlay.share_list(carol, "carol", generation=2),
            place.overlay.share_list(carol, "carol", n=8),
            place.overlay.share_list(EVE, "carol"),
            replace(sound, digests=swapped),
            replace(sound, expires_at=sound.expires_at + 60),
        ):
            assert not await evil.store_at(honest.me, true[0], None, share_list=unsound)
        assert (await evil.fetch_at(honest.me, "carol")).is_empty
        assert await evil.store_at(honest.me, true[0], None, share_list=sound)
        assert await evil.store_at(honest.me, true[1], None)
        assert not await evil.store_at(honest.me, replace(true[2], share=true[3].share), None)
        assert (await evil.fetch_at(honest.me, "carol")).pieces == true[:2]


async def test_a_true_share_signed_anew_by_the_thief_is_no_harm_and_no_hindrance():
    async with town(9) as place:
        evil = place.rings[4]
        true = place.overlay.pieces(place.bob, "bob")
        soon = [signed(place, replace(piece, expires_at=int(time.time()) + 2)) for piece in true]
        late = [signed(place, replace(piece, expires_at=piece.expires_at + 300)) for piece in true]
        for ring in place.rings:
            for piece in (*soon, *late):
                await evil.store_at(ring.me, piece, None, share_list=place.overlay.share_list(place.bob, "bob"))
        await settle(place.upkeep)
        assert set(await readings(place, place.rings[:3])) == {place.bob.public}
