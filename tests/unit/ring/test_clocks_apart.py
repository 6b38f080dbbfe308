"""A ring whose machines' clocks are ten minutes apart, in virtual time: everybody is found by everybody."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from adapter.directory import Directory
from adapter.findings import NameAway
from adapter.upkeep import RECORD_LIFETIME_S, Upkeep
from overlay.trust.identity import PrivateBundle
from overlay.trust.signed import CLOCK_SKEW_S
from tests.support.members import TestOverlay
from tests.support.network import Network

if TYPE_CHECKING:
    from overlay.ring.kademlia_ring import KademliaRing

HOST = "10.0.0.1"
APART_S = 600
"""How far the slowest clock and the fastest are apart."""
NODES = 7
K, N = 3, 7
LOOKS = 9
LOOK_EVERY_S = 97
"""Often enough to meet records at every age between two renewals."""


@dataclass
class Machine:
    """One node and the clock on its wall."""

    ring: KademliaRing
    offset_s: float
    network: Network

    def clock(self) -> float:
        return self.network.clock() + self.offset_s

    def directory(self, overlay: TestOverlay) -> Directory:
        return Directory(self.ring, dealing_public=overlay.dealing.public, k=K, n=N, clock=self.clock)


def offset_of(number: int) -> float:
    """Clocks from APART_S / 2 behind to APART_S / 2 ahead."""
    return APART_S * (number / (NODES - 1) - 0.5)


@asynccontextmanager
async def machines(network: Network, overlay: TestOverlay):
    found: list[Machine] = []
    try:
        for number in range(NODES):
            offset_s = offset_of(number)
            # its credential was signed by the bootstrap's clock; a holder judges by its own
            identity = overlay.identity()
            ring = overlay.ring(identity, clock=lambda offset_s=offset_s: network.clock() + offset_s)
            found.append(Machine(ring=ring, offset_s=offset_s, network=network))
            await ring.open(HOST)
            await ring.join([found[0].ring.me] if len(found) > 1 else [])
        yield found
    finally:
        for machine in found:
            await machine.ring.close()


@asynccontextmanager
async def living(machine: Machine, overlay: TestOverlay, user: PrivateBundle, aor: str):
    upkeep = Upkeep(
        machine.ring,
        user=user,
        pieces=overlay.pieces(user, aor),
        share_list=overlay.share_list(user, aor),
        clock=machine.clock,
    )
    running = asyncio.create_task(upkeep.run())
    try:
        yield upkeep
    finally:
        upkeep.stop()
        await running


@pytest.mark.parametrize(("home", "reader"), [(0, NODES - 1), (NODES - 1, 0), (NODES // 2, 0)])
def test_a_user_is_found_at_every_moment_by_clocks_ten_minutes_apart(home, reader):
    network = Network(seed=home)
    overlay = TestOverlay(clock=network.clock, seed=home)
    alice = PrivateBundle.generate()

    async def program():
        async with machines(network, overlay) as found, living(found[home], overlay, alice, "alice") as upkeep:
            await upkeep.round()
            directory = found[reader].directory(overlay)
            for _ in range(LOOKS):
                await asyncio.sleep(LOOK_EVERY_S)
                answer = await directory.find("alice")
                assert answer.bundle == alice.public
                assert answer.basis == "polynomial"
                assert answer.contact == found[home].ring.me

    network.run(program())


def test_a_machine_that_is_gone_is_away_for_every_clock_before_long():
    network = Network(seed=7)
    overlay = TestOverlay(clock=network.clock, seed=7)
    alice = PrivateBundle.generate()

    async def program():
        async with machines(network, overlay) as found:
            async with living(found[3], overlay, alice, "alice") as upkeep:
                await upkeep.round()
            await asyncio.sleep(RECORD_LIFETIME_S + CLOCK_SKEW_S + APART_S)
            for reader in (0, NODES - 1):
                with pytest.raises(NameAway):
                    await found[reader].directory(overlay).find("alice")

    network.run(program())
