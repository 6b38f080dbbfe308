"""A pinned contact on a real ring: found though every holder lies, followed by signature, refused otherwise."""

from dataclasses import replace

import pytest

from adapter.directory import Directory
from adapter.findings import KeyChanged, LookupFailed
from adapter.pins import Pin
from overlay.trust.identity import PrivateBundle
from overlay.trust.succession import Succession, encode_chain
from tests.integration.directory_ring import K, N, town
from tests.support import evil

EVE = PrivateBundle.generate()


def directory(place, ring, pin):
    return Directory(
        ring, dealing_public=place.overlay.dealing.public, k=K, n=N, pin_of=lambda aor: pin if aor == pin.aor else None
    )


def pin_of(keys, generation=1):
    return Pin(aor="bob", bundle=keys.public.encode(), generation=generation, first_seen=1.0)


async def test_a_pinned_contact_is_found_as_ever_where_nobody_lies():
    async with town(8) as place:
        found = await directory(place, place.rings[4], pin_of(place.bob)).find("bob")
        assert (found.basis, found.bundle, found.followed) == ("polynomial", place.bob.public, False)


async def test_a_pinned_contact_is_found_though_every_holder_lies_about_the_pieces():
    async with town(8) as place:
        for store in place.stores:
            store.lie = evil.changed_shares
        reader = place.rings[4]
        with pytest.raises(LookupFailed):
            await place.directory(reader).find("bob")
        found = await directory(place, reader, pin_of(place.bob)).find("bob")
        assert (found.basis, found.bundle, found.support) == ("pin", place.bob.public, 0)
        assert found.record == place.upkeep.record
        assert found.liars


async def test_another_key_is_refused_though_every_holder_and_the_dealing_key_back_it():
    async with town(8) as place:
        lie = evil.another_key(place.overlay.pieces(EVE, "bob"), place.overlay.record(EVE, "bob", sequence=10**12))
        for store in place.stores:
            store.lie = lie
        reader = place.rings[4]
        assert (await place.directory(reader).find("bob")).bundle == EVE.public  # who knows no better is deceived
        for record_needed in (True, False):
            with pytest.raises(KeyChanged):
                await directory(place, reader, pin_of(place.bob)).find("bob", record_needed=record_needed)


@pytest.mark.parametrize("signer", ["the pinned key", "another"])
async def test_a_new_key_is_followed_only_where_the_pinned_one_signed_it(signer):
    async with town(8) as place:
        new = PrivateBundle.generate()
        link = Succession.issue(place.bob, aor="bob", generation=2, new=new.public)
        if signer == "another":
            link = replace(link, signature=EVE.sign(Succession.domain(), link.signed_bytes()))
        blank = replace(
            place.overlay.record(new, "bob", generation=2, sequence=10**12), succession=encode_chain([link])
        )
        record = replace(blank, signature=new.sign(type(blank).domain(), blank.signed_bytes()))
        for store in place.stores:
            store.lie = evil.another_key(place.overlay.pieces(new, "bob", generation=2), record)
        asked = directory(place, place.rings[4], pin_of(place.bob))
        if signer == "another":
            with pytest.raises(KeyChanged):
                await asked.find("bob")
            return
        for record_needed in (True, False):
            found = await asked.find("bob", record_needed=record_needed)
            assert (found.basis, found.bundle, found.generation) == ("polynomial", new.public, 2)
            assert found.followed
