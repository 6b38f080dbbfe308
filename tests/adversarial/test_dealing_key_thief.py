"""Readers of a ring in which nodes testify for a thief of the dealing key, at places and beside them.

Nodes refuse what he feeds them (test_dealing_key_feeder). Here they are made to show it all the same, as a node does
that holds it from before: pieces are judged where they belong first, so even then they are no witnesses.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import cycle

import pytest

from overlay.trust.identity import PrivateBundle
from overlay.trust.pieces import KeyPiece
from tests.integration.directory_ring import K, town
from tests.support.evil import another_key, nothing

EVE = PrivateBundle.generate()


def holds_some(store):
    return not store.get("bob", time.time()).is_empty


def in_bobs_name(place, piece):
    """A piece of eve's key that names bob's: nodes that hold another piece of his keep it beside that."""
    blank = replace(piece, thumbprint=place.bob.public.thumbprint(), signature=bytes(64))
    return replace(blank, signature=place.overlay.dealing.sign(KeyPiece.domain(), blank.signed_bytes()))


def beside(piece):
    """Tell the truth, and one false piece with it."""
    return lambda _aor, truth: replace(truth, pieces=tuple(sorted((*truth.pieces, piece), key=lambda p: p.index)))


async def feed_idle_nodes(place, *, generation):
    """Make each node that holds nothing of bob show one false piece."""
    false = place.overlay.pieces(EVE, "bob", generation=generation)
    record = place.overlay.record(EVE, "bob", generation=generation, sequence=10**12)
    idle = [ring for ring, store in zip(place.rings, place.stores, strict=True) if not holds_some(store)]
    for ring, piece in zip(idle, cycle(false), strict=False):
        assert not await place.rings[0].store_at(ring.me, piece, record)
        place.store_of(ring).lie = another_key((piece,), record)
    return len(idle)


@pytest.mark.parametrize("generation", [1, 2])
@pytest.mark.parametrize("nodes", [12, 14])
async def test_honest_nodes_that_were_fed_are_no_witnesses(nodes, generation):
    async with town(nodes) as place:
        assert await feed_idle_nodes(place, generation=generation) >= 2 * K - 1
        holders = [ring for ring, store in zip(place.rings, place.stores, strict=True) if holds_some(store)]
        for ring in [ring for ring in holders if ring.me in place.upkeep.placed().values()][: K - 1]:
            place.store_of(ring).lie = nothing
        for reader in place.rings[:3]:
            found = await place.directory(reader).find("bob", full=True, record_needed=False)
            assert (found.bundle, found.generation, found.basis) == (place.bob.public, 1, "polynomial")


@pytest.mark.parametrize("liars", [0, K - 1])
async def test_honest_holders_that_were_fed_a_second_piece_do_not_block_the_name(liars):
    async with town(9) as place:
        false = [in_bobs_name(place, piece) for piece in place.overlay.pieces(EVE, "bob")]
        fed = [ring for ring in place.rings if holds_some(place.store_of(ring))]
        for ring in fed:
            (true,) = place.store_of(ring).get("bob", time.time()).pieces
            assert not await place.rings[0].store_at(ring.me, false[true.index % len(false)], None)
            place.store_of(ring).lie = beside(false[true.index % len(false)])
        for ring in fed[:liars]:
            place.store_of(ring).lie = nothing
        for reader in place.rings[:3]:
            found = await place.directory(reader).find("bob", full=True, record_needed=False)
            assert (found.bundle, found.basis) == (place.bob.public, "polynomial")
