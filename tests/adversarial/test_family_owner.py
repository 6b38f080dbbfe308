"""The owner of one family: every node that has IPv6 alone is evil and most holders in that ring are; IPv4 is honest."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from adapter.findings import LookupFailed
from adapter.two_directories import TwoDirectories
from adapter.two_upkeeps import TwoUpkeeps, upkeep_in
from overlay.ring.chord import RingUnreachable
from overlay.ring.ids import id_to_bytes
from overlay.trust.identity import PrivateBundle, SigningKey
from overlay.trust.pieces import deal
from overlay.trust.records import LookupRecord
from tests.support.evil import another_key, changed_shares, nothing
from tests.support.families import directory, mixed
from tests.support.members import TestOverlay
from tests.support.network import Network

BOTH, FOUR, SIX = 4, 6, 12
"""Nodes with both families, with IPv4 alone and with IPv6 alone: in each ring more than 2k-1 could be honest."""
HOME, READER = 1, 2
K, N = 3, 7
AOR = "dan"
SETTLE_S = 15


@dataclass
class Town:
    """A user with both families, who may be read by a node with both."""

    network: Network
    overlay: TestOverlay
    nodes: list
    user: PrivateBundle
    upkeep: TwoUpkeeps

    @property
    def evil(self) -> list:
        return self.nodes[BOTH + FOUR :]

    def evil_holders(self) -> int:
        """Return how many holders in the IPv6 ring are evil."""
        return len({peer.id for peer in self.upkeep._follower.placed().values()} & {node.me.id for node in self.evil})

    def deny(self) -> None:
        for node in self.evil:
            node._store.lie = nothing

    def spoil(self) -> None:
        for node in self.evil:
            node._store.lie = changed_shares

    def be_silent(self) -> None:
        there = {node.me.address for node in self.evil}
        self.network.cut = lambda source, target: bool({source, target} & there)

    def choose(self, dealing: SigningKey | None = None) -> PrivateBundle:
        """Let all evil nodes give out one key of their own, dealt with this dealing key or one of their own."""
        wished, now, thief = PrivateBundle.generate(), int(self.overlay.clock()), self.evil[0].me
        pieces = deal(
            wished.public,
            aor=AOR,
            generation=1,
            k=K,
            n=N,
            dealing=dealing or SigningKey.generate(),
            seed=bytes(32),
            issued_at=now,
            expires_at=now + 3600,
        )
        record = LookupRecord.issue(
            wished,
            aor=AOR,
            generation=1,
            node_id=id_to_bytes(thief.id),
            host=thief.host,
            port=thief.port,
            sequence=now + 1000,
            issued_at=now,
            expires_at=now + 600,
        )
        for node in self.evil:
            node._store.lie = another_key(pieces, record)
        return wished

    def reader(self, *, evil_first: bool) -> TwoDirectories:
        """Return a directory of a node with both families, which asks the one ring or the other first."""
        both = directory(self.overlay, self.nodes[READER])
        assert isinstance(both, TwoDirectories)
        if evil_first:
            both._order.reverse()
        return both


@asynccontextmanager
async def town(network: Network, seed: int):
    overlay = TestOverlay(clock=network.clock, seed=seed)
    async with mixed(overlay, both=BOTH, four=FOUR, six=SIX) as nodes:
        user, home = PrivateBundle.generate(), nodes[HOME]
        pieces, shares = overlay.pieces(user, AOR), overlay.share_list(user, AOR)
        upkeep = upkeep_in(home.views, user=user, pieces=pieces, share_list=shares, clock=overlay.clock)
        assert isinstance(upkeep, TwoUpkeeps)
        for view in home.views:
            view.on_change = upkeep.changed
        running = asyncio.ensure_future(upkeep.run())
        await asyncio.sleep(SETTLE_S)
        try:
            yield Town(network, overlay, nodes, user, upkeep)
        finally:
            upkeep.stop()
            await running


@pytest.mark.parametrize("evil_first", [False, True])
@pytest.mark.parametrize("turn", [Town.deny, Town.spoil, Town.be_silent, Town.choose])
def test_who_owns_one_family_forges_nothing_and_stops_no_call_between_hosts_of_both(turn, evil_first):
    network = Network(seed=3)

    async def program():
        async with town(network, 3) as there:
            # more than k-1 and more than n-k: the IPv6 ring alone promises nothing any more
            assert there.evil_holders() > N - K
            turn(there)
            found = await there.reader(evil_first=evil_first).find(AOR)
            return found.bundle == there.user.public, found.basis, found.contact.id == there.nodes[HOME].me.id

    assert network.run(program()) == (True, "polynomial", True)


def test_who_reads_in_the_evil_family_alone_is_given_no_false_key_either():
    network = Network(seed=3)

    async def program():
        async with town(network, 3) as there:
            there.choose()
            one_family = there.reader(evil_first=True)._order[0]
            try:
                return (await one_family.find(AOR)).bundle == there.user.public
            except (LookupFailed, RingUnreachable):
                return None

    assert network.run(program()) is not False


def test_with_the_dealing_key_who_owns_the_family_that_is_asked_first_does_forge():
    network = Network(seed=3)

    async def program():
        async with town(network, 3) as there:
            wished = there.choose(there.overlay.dealing)
            return [
                (await there.reader(evil_first=evil_first).find(AOR)).bundle == wished.public
                for evil_first in (False, True)
            ]

    # where the claim ends: k and more holders of one ring, and the key that signs pieces
    assert network.run(program()) == [False, True]
