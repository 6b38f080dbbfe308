"""Holders rebuild lost pieces among themselves while the owner is away: real members, virtual time, no bootstrap."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from adapter.directory import Directory
from adapter.upkeep import Upkeep
from overlay.ring.ids import piece_position
from overlay.ring.repair import REPAIR_PERIOD_S
from overlay.ring.storage import FORMER_S
from overlay.ring.watch import PLACES_GOOD_S
from overlay.trust.identity import PrivateBundle
from overlay.trust.seals import Seals
from overlay.trust.tombstone import Tombstone
from tests.support.evil import LyingStore, another_key, changed_shares, lend_tongue, nothing, silent
from tests.support.members import OVERLAY, TestOverlay
from tests.support.network import Network

if TYPE_CHECKING:
    from adapter.findings import Found
    from overlay.ring.ids import Peer
    from overlay.ring.kademlia_ring import KademliaRing
    from overlay.trust.records import LookupRecord

HOST = "10.0.0.1"
K, N = 3, 7
NODES = 13
BETWEEN_S = 3 * REPAIR_PERIOD_S
"""From one death to the next: long enough to bury a node and for a turn or two."""
AWAY_S = 40
"""The records of this file live so long; readers still count them for a quarter of an hour."""


@pytest.fixture(autouse=True)
def short_records(monkeypatch):
    monkeypatch.setattr("adapter.upkeep.RECORD_LIFETIME_S", AWAY_S)


class Town:
    """A ring whose members can lie, and bob, whose adapter is gone."""

    def __init__(self, seed: int) -> None:
        self.network = Network(seed=seed)
        self.overlay = TestOverlay(clock=self.network.clock, seed=seed)
        self.bob = PrivateBundle.generate()
        self.rings: list[KademliaRing] = []
        self.stores: dict[KademliaRing, LyingStore] = {}

    @asynccontextmanager
    async def running(self, *, sealed: bool = True, tongues: bool = False):
        """With `tongues` a store's lie is told to readers alone."""
        self.pieces = self.overlay.pieces(self.bob, "bob", k=K, n=N)
        try:
            for _ in range(NODES):
                store = LyingStore()
                ring = self.overlay.ring(store=store)
                self.rings.append(ring)
                self.stores[ring] = store
                if tongues:
                    lend_tongue(ring, store)
                await ring.open(HOST)
                await ring.join([self.rings[0].me] if len(self.rings) > 1 else [])
            await asyncio.sleep(30)
            upkeep = self.upkeep(self.rings[0])
            if not sealed:
                upkeep._seals = ()
            await upkeep.round()
            await upkeep.round()
            # the node that bob's adapter was, and the bootstrap server's with it
            await self.kill(self.rings[0])
            yield self
        finally:
            for ring in self.rings:
                await ring.close()

    def upkeep(self, ring: KademliaRing) -> Upkeep:
        return Upkeep(
            ring,
            user=self.bob,
            pieces=self.pieces,
            share_list=self.overlay.share_list(self.bob, "bob", k=K, n=N),
            clock=self.network.clock,
        )

    async def places(self) -> dict[int, Peer]:
        """Whose the places of bob are, by the walk of those who write."""
        positions = {index: piece_position("bob", index, N) for index in range(1, N + 1)}
        return await self.rings[0]._spread.owners(positions, N)

    async def stray(self) -> tuple[KademliaRing, KademliaRing, LookupRecord]:
        """Give a piece, and the record as it is, to a node that bob does not know of; return who did, it and that."""
        reader, stray = [ring for ring in self.rings if not self.held(ring)][:2]
        record = self.stores[self.holders()[0]].get("bob", self.network.clock()).record
        share_list = self.overlay.share_list(self.bob, "bob", k=K, n=N)
        assert await reader.store_at(stray.me, self.pieces[0], record, share_list=share_list)
        return reader, stray, record

    async def kill(self, ring: KademliaRing) -> None:
        self.rings.remove(ring)
        await ring.close()

    def held(self, ring: KademliaRing) -> tuple:
        """What a node truly holds of bob, whatever it says."""
        store = self.stores[ring]
        lie, store.lie = store.lie, None
        try:
            return store.get("bob", self.network.clock()).pieces
        finally:
            store.lie = lie

    def holders(self) -> list[KademliaRing]:
        return [ring for ring in self.rings if self.held(ring)]

    def did(self, what: str) -> int:
        return sum(ring.counters().get(f"ring: {what}", 0) for ring in self.rings)

    async def look(self) -> Found:
        reader = self.rings[0]
        directory = Directory(
            reader,
            dealing_public=self.overlay.dealing.public,
            k=K,
            n=N,
            clock=self.network.clock,
        )
        return await directory.find("bob")

    async def assert_proved(self) -> None:
        found = await self.look()
        assert found.bundle == self.bob.public
        assert found.basis == "polynomial"


async def bury(town: Town) -> None:
    """Let those who hold a piece at first die one by one, as far as seven nodes stay."""
    for ring in town.holders()[: len(town.rings) - N]:
        await town.kill(ring)
        await asyncio.sleep(BETWEEN_S)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_name_outlives_its_holders_who_die_one_by_one_while_the_owner_is_away(seed):
    town = Town(seed)

    async def program():
        async with town.running():
            await asyncio.sleep(AWAY_S)
            await bury(town)
            assert len(town.rings) == N
            assert town.did("piece rebuilt") > 0
            held = {piece for ring in town.rings for piece in town.held(ring)}
            # signatures and all: nobody can tell a rebuilt piece from the one that was dealt
            assert held == set(town.pieces)
            assert len(town.holders()) == N
            await town.assert_proved()

    town.network.run(program())


def test_without_seals_the_same_deaths_leave_too_few_pieces_for_the_rule():
    town = Town(1)

    async def program():
        async with town.running(sealed=False):
            await asyncio.sleep(AWAY_S)
            await bury(town)
            assert town.did("piece rebuilt") == 0
            assert town.did("piece past repair") > 0
            assert len({piece.index for ring in town.rings for piece in town.held(ring)}) < 2 * K - 1

    town.network.run(program())


def test_nobody_mends_for_an_owner_whose_record_lives(monkeypatch):
    monkeypatch.setattr("adapter.upkeep.RECORD_LIFETIME_S", 600)
    town = Town(3)

    async def program():
        async with town.running():
            await town.kill(town.holders()[0])
            await asyncio.sleep(BETWEEN_S)
            assert town.did("piece rebuilt") == town.did("piece copied") == 0

    town.network.run(program())


def test_who_holds_a_piece_by_chance_hears_that_its_owner_is_there_and_rests():
    town = Town(6)

    async def program():
        async with town.running():
            reader, stray, record = await town.stray()
            await asyncio.sleep(AWAY_S)
            # bob is there again and tells those whom he knows of
            told = town.overlay.record(town.bob, "bob", sequence=record.sequence + 1)
            for ring in town.holders():
                if ring is not stray:
                    assert await reader.store_at(ring.me, None, told)
            await asyncio.sleep(BETWEEN_S)
            assert town.stores[stray].get("bob", town.network.clock()).record == told
            assert stray.counters()["ring: owner heard of"] == 1
            before = stray.counters()["ring: asked fetch"]
            await asyncio.sleep(BETWEEN_S)
            assert stray.counters()["ring: asked fetch"] == before

    town.network.run(program())


def test_a_quiet_absence_costs_the_nodes_at_the_places_a_question_to_each_other_and_nobody_else():
    town = Town(7)

    async def program():
        async with town.running():
            reader, _, _ = await town.stray()
            await asyncio.sleep(AWAY_S + BETWEEN_S)
            owners = [await reader.find_successor(piece_position("bob", index, N)) for index in range(1, N + 1)]
            at_places = [ring for ring in town.rings if ring.me in owners]
            assert len(at_places) == N
            before = {ring: ring.counters().get("ring: asked fetch", 0) for ring in town.rings}
            await asyncio.sleep(BETWEEN_S)
            asked = {ring: ring.counters().get("ring: asked fetch", 0) - before[ring] for ring in town.rings}
            rounds = {N - 1, 2 * (N - 1), 3 * (N - 1)}
            assert {asked.pop(ring) for ring in at_places} <= rounds
            assert set(asked.values()) == {0}

    town.network.run(program())


def test_who_holds_a_piece_of_a_changed_key_by_chance_offers_it_once_in_a_while():
    town = Town(8)

    async def program():
        async with town.running():
            reader, stray, record = await town.stray()
            # the stray is away while bob changes his key
            other = PrivateBundle.generate()
            later = town.overlay.pieces(other, "bob", generation=2, k=K, n=N)
            listed = town.overlay.share_list(other, "bob", generation=2, k=K, n=N)
            for ring in town.rings:
                if ring is not stray and town.held(ring):
                    for piece in later:
                        assert await reader.store_at(ring.me, piece, None, share_list=listed)
                    for sequence in (1, 2):
                        word = town.overlay.record(other, "bob", generation=2, sequence=record.sequence + sequence)
                        assert await reader.store_at(ring.me, None, word)
            await asyncio.sleep(FORMER_S + PLACES_GOOD_S)
            assert [piece.generation for piece in town.held(stray)] == [1]
            before = stray.counters()["ring: asked store"]
            await asyncio.sleep(2 * PLACES_GOOD_S)
            # nobody takes the old key's pieces
            assert 0 < stray.counters()["ring: asked store"] - before <= 2 * N

    town.network.run(program())


@pytest.mark.parametrize("manner", ["changed shares", "the thief's pieces", "nothing", "shares without signatures"])
def test_fewer_than_k_liars_make_no_honest_node_keep_a_false_share(manner):
    town = Town(4)

    async def program():
        async with town.running():
            eve = PrivateBundle.generate()
            # signed with the dealing key, in bob's name and under his thumbprint
            thiefs = tuple(
                replace(piece, signature=town.overlay.dealing.sign(piece.domain(), piece.signed_bytes()))
                for piece in (
                    replace(piece, thumbprint=town.bob.public.thumbprint())
                    for piece in town.overlay.pieces(eve, "bob", k=K, n=N)
                )
            )
            lie = {
                "changed shares": changed_shares,
                "the thief's pieces": another_key(thiefs, None),
                "nothing": nothing,
                # whoever reads k pieces computes the others' shares, and has no signature to them
                "shares without signatures": another_key(
                    tuple(replace(piece, signature=bytes(64)) for piece in town.pieces), None
                ),
            }[manner]
            liars = town.holders()[: K - 1]
            for liar in liars:
                town.stores[liar].lie = lie
            await asyncio.sleep(AWAY_S)
            honest = [ring for ring in town.holders() if ring not in liars]
            await town.kill(honest[0])
            await asyncio.sleep(BETWEEN_S)
            assert town.did("piece rebuilt") + town.did("piece copied") > 0
            for ring in town.rings:
                assert set(town.held(ring)) <= set(town.pieces)
            await town.assert_proved()

    town.network.run(program())


def test_false_seals_are_kept_by_nobody():
    town = Town(5)

    async def program():
        async with town.running():
            eve = PrivateBundle.generate()
            holder, evil = town.holders()[:2]
            true = town.stores[holder].seals("bob", town.network.clock())
            assert true == Seals.issue(town.bob, town.pieces)
            hers = Seals.issue(eve, town.overlay.pieces(eve, "bob", k=K, n=N, seconds=90_000))
            in_his_name = replace(hers[0], bundle=town.bob.public.encode())
            for false in (*hers, in_his_name):
                assert not await evil.store_at(holder.me, None, false)
            assert town.stores[holder].seals("bob", town.network.clock()) == true

    town.network.run(program())


@pytest.mark.parametrize("seed", [9, 10])
def test_who_was_away_while_a_key_was_revoked_hears_of_it_and_does_not_bring_it_back(seed):
    town = Town(seed)

    async def program():
        async with town.running():
            reader, stray = [ring for ring in town.rings if not town.held(ring)][:2]
            record = town.stores[town.holders()[0]].get("bob", town.network.clock()).record
            tombstone = Tombstone.issue(
                town.bob,
                overlay=OVERLAY,
                aor="bob",
                generation=1,
                bundle=town.bob.public,
                issued_at=record.issued_at,
            )
            assert len(await reader.bury(tombstone)) >= N
            share_list = town.overlay.share_list(town.bob, "bob", k=K, n=N)
            assert await stray.store_at(stray.me, town.pieces[0], record, share_list=share_list)
            for seals in Seals.issue(town.bob, town.pieces):
                assert await stray.store_at(stray.me, None, seals)
            await asyncio.sleep(AWAY_S)
            for ring in [ring for ring in town.holders() if ring is not stray][: len(town.rings) - N]:
                await town.kill(ring)
                await asyncio.sleep(BETWEEN_S)
            # a thief of the key finds nobody who takes a word of it
            stolen = town.overlay.record(town.bob, "bob", sequence=record.sequence + 10)
            assert not any([await reader.store_at(ring.me, None, stolen) for ring in town.rings])
            assert town.did("piece rebuilt") == town.did("piece copied") == 0
            assert stray.counters()["ring: key revoked"] == 1

    town.network.run(program())


@pytest.mark.parametrize("manner", ["silent", "denies and takes", "denies and refuses"])
def test_liars_at_places_do_not_keep_the_others_from_rest(manner):
    town = Town(12)

    async def program():
        async with town.running(tongues=True):
            await town.stray()
            owners = (await town.places()).values()
            liars = [ring for ring in town.rings if ring.me in owners][: K - 1]
            for liar in liars:
                town.stores[liar].lie_to_readers = silent if manner == "silent" else nothing
                town.stores[liar].takes_nothing = manner == "denies and refuses"
            # everybody has had a turn, and strays one more rest
            await asyncio.sleep(AWAY_S + (N + 3) * REPAIR_PERIOD_S + PLACES_GOOD_S)
            honest = [ring for ring in town.rings if ring not in liars]
            before = {ring: ring.counters().get("ring: asked fetch", 0) for ring in honest}
            await asyncio.sleep(2 * PLACES_GOOD_S)
            asked = {ring: ring.counters().get("ring: asked fetch", 0) - before[ring] for ring in honest}
            # a question to each place each time, and a full look every ten times; who has no place asks then alone
            times = 2 * PLACES_GOOD_S / REPAIR_PERIOD_S + 1
            for ring in honest:
                assert asked[ring] <= (N + 1) * (times + 3 if ring.me in owners else 3)
            # and what dies is still put back
            await town.kill(next(ring for ring in honest if ring.me in owners))
            await asyncio.sleep(2 * BETWEEN_S)
            for index, peer in (await town.places()).items():
                ring = next(ring for ring in town.rings if ring.me == peer)
                assert ring in liars or index in {piece.index for piece in town.held(ring)}

    town.network.run(program())
