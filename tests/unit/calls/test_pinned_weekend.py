"""A contact is pinned on Friday, changes his key on Saturday, renews all weekend, and is called again on Monday.

The ring is real, in memory; the wall clock of everybody jumps between two rounds of his upkeep by as much as a record
may ever be late.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from adapter.directory import Directory
from adapter.findings import KeyChanged, NameAway
from adapter.pins import Pins
from adapter.upkeep import RECORD_LIFETIME_S, Upkeep
from overlay.trust.identity import PrivateBundle, SigningKey
from overlay.trust.signed import CLOCK_SKEW_S
from overlay.trust.succession import Succession, encode_chain
from tests.support.evil import LyingStore, another_record
from tests.support.members import OVERLAY, TestOverlay
from tests.support.network import Network

if TYPE_CHECKING:
    from overlay.ring.kademlia_ring import KademliaRing

NODES = 6
K, N = 3, 7
HOUR = 3_600
STEP_S = RECORD_LIFETIME_S + CLOCK_SKEW_S - 300
"""Between two renewals: records have run out by then, and count just so much longer."""
MONDAY_S = 62 * HOUR
"""From six on Friday evening to eight on Monday morning."""
LIFE_S = 30 * 86_400


class Weekend:
    """The ring, bob, and those who have his key pinned."""

    def __init__(self, network: Network) -> None:
        self.passed_s = 0.0
        self.overlay = TestOverlay(clock=lambda: network.clock() + self.passed_s, seed=5)
        self.friday, self.saturday = (PrivateBundle.from_bytes(self.overlay.random_bytes(64)) for _ in range(2))
        self.rings: list[KademliaRing] = []
        self.stores: list[LyingStore] = []

    async def begin(self) -> None:
        for _ in range(NODES):
            identity = self.overlay.identity(SigningKey.from_bytes(self.overlay.random_bytes(32)), seconds=LIFE_S)
            self.stores.append(LyingStore())
            ring = self.overlay.ring(identity, store=self.stores[-1])
            self.rings.append(ring)
            await ring.open("10.0.0.1")
            await ring.join([self.rings[0].me] if len(self.rings) > 1 else [])

    def upkeep(self, keys: PrivateBundle, generation: int, *, succession: bytes = b"", sequence: int = 0) -> Upkeep:
        return Upkeep(
            self.rings[1],
            user=keys,
            pieces=self.overlay.pieces(keys, "bob", generation=generation, seconds=LIFE_S),
            share_list=self.overlay.share_list(keys, "bob", generation=generation, seconds=LIFE_S + 600),
            succession=succession,
            sequence=sequence,
            clock=self.overlay.clock,
        )

    def directory(self, pins: Pins, number: int) -> Directory:
        return Directory(
            self.rings[number],
            dealing_public=self.overlay.dealing.public,
            k=K,
            n=N,
            overlay=OVERLAY,
            overlay_public=self.overlay.private.public.ed25519,
            clock=self.overlay.clock,
            pin_of=pins.get,
        )

    async def call(self, pins: Pins, number: int) -> str:
        """Look bob up and pin what a call proves; return what the key rests on, and whether it followed."""
        found = await self.directory(pins, number).find("bob")
        pins.note("bob", found.bundle, found.generation, self.overlay.clock())
        return f"{found.basis}, followed" if found.followed else found.basis

    async def renew(self, upkeep: Upkeep, *, until_s: float) -> int:
        """Let time pass, a round of bob's upkeep after each jump; return how many."""
        rounds = 0
        while self.passed_s < until_s:
            self.passed_s += STEP_S
            await upkeep.round()
            rounds += 1
        return rounds

    async def end(self) -> None:
        for ring in self.rings:
            await ring.close()
        for store in self.stores:
            store.close()


async def story(weekend: Weekend) -> None:
    await weekend.begin()
    often, seldom = Pins(), Pins()
    upkeep = weekend.upkeep(weekend.friday, 1)
    await weekend.renew(upkeep, until_s=HOUR)
    assert [await weekend.call(often, 2), await weekend.call(seldom, 3)] == ["polynomial", "polynomial"]
    pinned_on_friday = seldom.get("bob")

    await weekend.renew(upkeep, until_s=16 * HOUR)
    assert await weekend.call(often, 2) == "polynomial"
    word = Succession.issue(weekend.friday, aor="bob", generation=2, new=weekend.saturday.public)
    changed = weekend.upkeep(weekend.saturday, 2, succession=encode_chain([word]), sequence=upkeep.sequence)
    await weekend.renew(changed, until_s=17 * HOUR)
    assert await weekend.call(often, 2) == "polynomial, followed"
    assert await weekend.call(often, 2) == "polynomial"
    assert often.get("bob").generation == 2

    await weekend.renew(changed, until_s=40 * HOUR)
    changed.renew(
        weekend.overlay.pieces(weekend.saturday, "bob", generation=2, seconds=LIFE_S),
        weekend.overlay.share_list(weekend.saturday, "bob", generation=2, seconds=LIFE_S + 600),
    )
    rounds = await weekend.renew(changed, until_s=MONDAY_S)
    assert rounds == 22 * HOUR // STEP_S

    # who stole the key of Friday publishes with it, at every node that shows what he likes
    stolen = weekend.overlay.record(weekend.friday, "bob", sequence=10**12)
    for store in weekend.stores[4:]:
        store.lie = another_record(stolen)
    assert await weekend.call(seldom, 3) == "polynomial, followed"
    assert await weekend.call(seldom, 3) == "polynomial"
    assert seldom.get("bob") == replace(pinned_on_friday, bundle=weekend.saturday.public.encode(), generation=2)
    assert seldom.get("bob") == replace(often.get("bob"), first_seen=pinned_on_friday.first_seen)

    # bob goes away: nobody else becomes him, not even to somebody who was not there all weekend
    weekend.passed_s += HOUR
    for store in weekend.stores[4:]:
        store.lie = another_record(weekend.overlay.record(weekend.friday, "bob", sequence=10**12))
    asleep = Pins([pinned_on_friday])
    for pins in (often, seldom, asleep):
        with pytest.raises((NameAway, KeyChanged)):
            await weekend.call(pins, 3)


def test_a_pinned_contact_through_a_change_of_his_key_and_a_weekend_of_renewals():
    network = Network(seed=2)

    async def program():
        weekend = Weekend(network)
        try:
            await story(weekend)
        finally:
            await weekend.end()

    network.run(program())
