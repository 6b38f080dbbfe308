"""A key is changed or revoked on a whole ring in memory, in the presence of somebody who has the old one."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from adapter.directory import Directory
from adapter.findings import KeyChanged, KeyUnverifiable, NameAway, NameRevoked
from adapter.pins import Pin
from adapter.upkeep import Upkeep
from overlay.ring.holding import Holding
from overlay.ring.storage import FORMER_S
from overlay.trust.identity import PrivateBundle
from overlay.trust.succession import Succession, encode_chain, leads_from
from overlay.trust.tombstone import Tombstone
from tests.support.evil import LyingStore, another_record, changed_shares
from tests.support.members import OVERLAY, TestOverlay
from tests.support.network import Network

if TYPE_CHECKING:
    from overlay.ring.kademlia_ring import KademliaRing

HOST = "10.0.0.1"
AWAY_S = 1_600.0
"""By then the record of an owner who is away counts for nobody."""
NODES = 9
K, N = 3, 7
WIDE = 4 * N + 4
"""A ring with room for second copies."""


@dataclass
class Town:
    """A ring on which bob lives at the second node, in the first generation."""

    overlay: TestOverlay
    rings: list[KademliaRing]
    old: PrivateBundle
    new: PrivateBundle

    def directory(self, number: int = 0, *, pin: Pin | None = None, later_s: float = 0.0) -> Directory:
        return Directory(
            self.rings[number],
            dealing_public=self.overlay.dealing.public,
            k=K,
            n=N,
            overlay=OVERLAY,
            overlay_public=self.overlay.private.public.ed25519,
            clock=lambda: self.overlay.clock() + later_s,
            pin_of=lambda _aor: pin,
        )

    def upkeep(self, key: PrivateBundle, generation: int, *, at: int = 1) -> Upkeep:
        return Upkeep(
            self.rings[at],
            user=key,
            pieces=self.overlay.pieces(key, "bob", generation=generation, seconds=30 * 86_400),
            share_list=self.overlay.share_list(key, "bob", generation=generation, seconds=31 * 86_400 - 100),
            succession=self.chain() if generation > 1 else b"",
            clock=self.overlay.clock,
        )

    def chain(self) -> bytes:
        return encode_chain([Succession.issue(self.old, aor="bob", generation=2, new=self.new.public)])

    async def store_new(self, before: Upkeep, *indices: int) -> None:
        """Do what the bootstrap does for the new generation, with some of the pieces."""
        after = self.upkeep(self.new, 2)
        record = after.record_above(0)
        for index in indices:
            holder = before.placed()[index]
            taken = await self.rings[0].store_at(holder, after.pieces[index], record, share_list=after.share_list)
            assert taken


async def settle(upkeep: Upkeep) -> None:
    for _ in range(8):
        if (await upkeep.round()).settled:
            return
    raise AssertionError("not settled")


@asynccontextmanager
async def town(network: Network, nodes: int):
    overlay = TestOverlay(clock=network.clock, seed=11)
    async with overlay.running(nodes, host=HOST, make_store=LyingStore) as rings:
        here = Town(
            overlay=overlay,
            rings=rings,
            old=PrivateBundle.from_bytes(overlay.random_bytes(64)),
            new=PrivateBundle.from_bytes(overlay.random_bytes(64)),
        )
        before = here.upkeep(here.old, 1)
        await settle(before)
        yield here, before


def run(story, *, nodes: int = NODES) -> None:
    network = Network(seed=3)

    async def program():
        async with town(network, nodes) as (here, before):
            await story(here, before)

    network.run(program())


@pytest.mark.parametrize("stored", range(N + 1))
def test_a_reader_gets_one_key_or_the_other_wherever_the_change_stops(stored):
    async def story(here, before):
        await here.store_new(before, *range(1, stored + 1))
        found = await here.directory().find("bob")
        possible = [here.old] if stored < 2 * K - 1 else [here.new] if stored == N else [here.old, here.new]
        assert found.bundle in [key.public for key in possible]
        assert found.basis == "polynomial"
        assert found.liars == ()
        assert found.record.bundle == found.bundle.encode()

    run(story)


def test_a_change_that_stopped_half_way_stays_readable_for_days():
    async def story(here, before):
        await here.store_new(before, 1, 2, 3)
        for ring in here.rings:
            ring._store.sweep(here.overlay.clock() + 3 * 86_400)
        assert (await here.directory().find("bob", record_needed=False)).bundle == here.old.public

    run(story)


def test_the_old_generation_vanishes_when_its_owner_goes_on_from_wherever_it_lay():
    async def story(here, before):
        stray = next(ring for ring in here.rings if ring.me not in before.placed().values())
        assert await stray.store_at(stray.me, before.pieces[1], before.record, share_list=before.share_list)
        await here.store_new(before, *range(1, N + 1))
        after = here.upkeep(here.new, 2)
        await settle(after)
        later = here.overlay.clock() + FORMER_S
        holdings = [ring._store.get("bob", later) for ring in here.rings]
        assert {piece.generation for holding in holdings for piece in (*holding.pieces, *holding.former)} == {2}
        assert sum(len(holding.pieces) for holding in holdings) == N

    run(story)


def test_who_kept_the_old_key_gets_nowhere_after_the_change():
    async def story(here, before):
        await here.store_new(before, *range(1, N + 1))
        thief = here.upkeep(here.old, 1, at=5)
        for _ in range(3):
            await thief.round()
            await settle(here.upkeep(here.new, 2))
        found = await here.directory().find("bob")
        assert (found.bundle, found.generation) == (here.new.public, 2)
        assert found.record.node_id == here.rings[1].me.id.to_bytes(20, "big")

    run(story)


def test_a_pin_of_the_old_key_follows_the_record_to_the_new_one_and_to_no_other():
    async def story(here, before):
        await here.store_new(before, *range(1, N + 1))
        found = await here.directory().find("bob")
        part = leads_from(found.record.successions(), here.old.public.thumbprint())
        assert part[-1].new_bundle == found.bundle.encode()
        assert leads_from(found.record.successions(), b"\x01" * 16) == ()

    run(story)


@pytest.mark.parametrize("shown", ["the old key's own record", "a key that the old one signed"])
def test_a_pin_of_the_old_key_does_not_lead_to_its_thief_while_the_owner_is_away(shown):
    async def story(here, before):
        await here.store_new(before, *range(1, N + 1))
        await settle(here.upkeep(here.new, 2))
        if shown == "the old key's own record":
            record = here.overlay.record(here.old, "bob", sequence=10**12, later_s=AWAY_S)
        else:
            evil = PrivateBundle.from_bytes(here.overlay.random_bytes(64))
            word = Succession.issue(here.old, aor="bob", generation=3, new=evil.public)
            record = here.overlay.record(
                evil, "bob", generation=3, sequence=10**12, later_s=AWAY_S, succession=encode_chain([word])
            )
        here.rings[6]._store.lie = another_record(record)
        pin = Pin(aor="bob", bundle=here.old.public.encode(), generation=1, first_seen=1.0)
        directory = here.directory(pin=pin, later_s=AWAY_S)
        with pytest.raises(NameAway):
            await directory.find("bob", full=True)
        with pytest.raises(KeyChanged):
            await directory.find("bob", record_needed=False, full=True)
        # when too many holders lie as well, one that is honest is enough
        for number, ring in enumerate(here.rings):
            if ring.me not in list(before.placed().values())[:1] and number != 6:
                ring._store.lie = lambda _aor, _truth: Holding()
        with pytest.raises((KeyChanged, KeyUnverifiable)):
            await directory.find("bob", full=True)

    run(story)


def test_a_pin_follows_its_owner_through_a_change_as_ever():
    async def story(here, before):
        await here.store_new(before, *range(1, N + 1))
        await settle(here.upkeep(here.new, 2))
        pin = Pin(aor="bob", bundle=here.old.public.encode(), generation=1, first_seen=1.0)
        found = await here.directory(pin=pin).find("bob")
        assert (found.bundle, found.basis, found.followed) == (here.new.public, "polynomial", True)
        for ring in here.rings:
            ring._store.lie = changed_shares
        found = await here.directory(pin=pin).find("bob")
        assert (found.bundle, found.basis, found.followed) == (here.new.public, "pin", True)

    run(story)


def test_a_revoked_key_is_refused_as_long_as_one_holder_is_honest_whatever_its_thief_publishes():
    async def story(here, before):
        stone = Tombstone.issue(here.old, overlay=OVERLAY, aor="bob", generation=1, bundle=here.old.public, issued_at=1)
        one = before.placed()[4]
        assert await here.rings[0].store_at(one, None, stone)
        thief = here.upkeep(here.old, 1, at=5)
        for _ in range(2):
            await thief.round()
        with pytest.raises(NameRevoked):
            await here.directory().find("bob", full=True)
        holders = await here.rings[0].get("bob")
        kept = [await here.rings[0].store_at(peer, None, stone) for peer in holders]
        assert all(kept)
        await thief.round()
        with pytest.raises(NameRevoked):
            await here.directory().find("bob")
        assert {holding.record for holding in (await here.rings[0].get("bob")).values()} == {None}

    run(story)


def test_a_revocation_reaches_the_second_copies_too_and_their_holders_take_nothing_more_from_the_thief():
    async def story(here, before):
        stone = Tombstone.issue(here.old, overlay=OVERLAY, aor="bob", generation=1, bundle=here.old.public, issued_at=1)
        now = here.overlay.clock()
        holders = {ring.me.id: ring for ring in here.rings if ring._store.get("bob", now).pieces}
        owners = {peer.id for peer in before.placed().values()}
        assert len(holders) >= 2 * N > len(owners)
        before.stop()
        assert await here.rings[7].bury(stone) == holders.keys()
        thief = here.upkeep(here.old, 1, at=5)
        for _ in range(2):
            await thief.round()
        for ring in holders.values():
            holding = ring._store.get("bob", here.overlay.clock())
            assert (holding.tombstone, holding.record) == (stone, None)

    run(story, nodes=WIDE)


def test_the_thief_of_a_key_cannot_revoke_or_follow_another_s():
    async def story(here, before):
        false = Tombstone.issue(here.new, overlay=OVERLAY, aor="bob", generation=1, bundle=here.old.public, issued_at=1)
        for peer in await here.rings[0].get("bob"):
            assert not await here.rings[0].store_at(peer, None, false)
        mine = here.overlay.pieces(here.new, "bob", generation=2)
        for peer in before.placed().values():
            # without the overlay key's word on generation 2, the dealing key's is nothing
            assert not await here.rings[0].store_at(peer, mine[0], None, share_list=before.share_list)
        assert (await here.directory().find("bob")).bundle == here.old.public

    run(story)
