"""Liars among the n nodes that hold a user's pieces: fixed placements, another choice of liars every few calls.

The ring has n + 2 nodes. Alice's and bob's own are the two that hold nothing of either, so the n others hold one piece
of each of them, and a liar lies about both: each call needs two look-ups, alice's of bob and bob's of alice.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any

from adapter.directory import Directory
from overlay.ring.ids import clockwise_from, id_to_bytes, piece_position
from overlay.ring.placement import place
from overlay.trust.identity import PrivateBundle
from overlay.trust.records import LookupRecord
from overlay.trust.signed import MAX_SEQUENCE
from tests.attack.lies import Gang, Victim
from tests.attack.paper import PaperDirectory
from tests.attack.rows import Cell, Tally
from tests.attack.sides import Side
from tests.support.evil import LyingStore, lend_tongue
from tests.support.members import TestOverlay
from tests.support.network import Network

if TYPE_CHECKING:
    from overlay.ring.ids import Peer
    from overlay.ring.kademlia_ring import KademliaRing

HOST = "10.0.0.1"
ONE_WAY_S = 0.010
"""Delay of every datagram: a network with a round trip of 20 ms."""
PAUSE_S = 0.1
"""Between two calls, so that nothing of the first is still under way, and no limit on floods is met."""
SAME_LIARS_CALLS = 10
"""So many calls in a row meet the same liars: what the adapters learn of them in one call helps or harms the next."""
FORGIVEN_WITHIN_S = 30
"""By then every node that was silent and now speaks is known to speak."""
FRESH_CALLS = 100
"""After so many calls the users publish a new record, as their adapters would at its half-life."""
PHONE_PORTS = (6001, 6002)
LEFT_PORT = 9
"""Where nobody listens any more."""


def run(cell: Cell) -> dict[str, Any]:
    """Play one cell."""
    rng = random.Random(cell.name)
    network = Network(seed=rng.getrandbits(32), delay_s=(ONE_WAY_S, ONE_WAY_S))
    return network.run(_play(cell, network, rng))


async def _play(cell: Cell, network: Network, rng: random.Random) -> dict[str, Any]:
    tally = Tally()
    async with town(cell, network, rng) as place_:
        for number in range(cell.calls):
            if number % FRESH_CALLS == 0:
                place_.publish(sequence=2 + number)
            if number % SAME_LIARS_CALLS == 0:
                await place_.appoint_liars(cell.attack, cell.liars)
            verdict, took_ms = await place_.call()
            tally.add(verdict, took_ms)
            await asyncio.sleep(PAUSE_S)  # virtual, and no condition hangs on it
    return tally.row(cell)


class Town:
    """The nodes, alice, bob, and who of the others lies."""

    def __init__(self, cell: Cell, network: Network, rng: random.Random, rings: list[KademliaRing]) -> None:
        self.k, self.n, self.network, self.rng, self.rings = cell.k, cell.n, network, rng, rings
        self.overlay = TestOverlay(clock=network.clock, seed=rng.getrandbits(32))
        self.stores: dict[int, LyingStore] = {}
        self.owners: dict[str, dict[int, Peer]] = {}
        self.victims: dict[str, Victim] = {}
        self.sides: list[Side] = []
        self.newest = 0

    def settle(self, variant: str) -> None:
        """Give alice and bob names whose pieces leave the same two nodes out, and put the pieces where they belong."""
        self.owners = self._names()
        held = {peer for owners in self.owners.values() for peer in owners.values()}
        homes = [ring for ring in self.rings if ring.me not in held]
        for port, aor, ring in zip(PHONE_PORTS, self.owners, homes, strict=True):
            keys, impostor = (PrivateBundle.from_bytes(self.overlay.random_bytes(64)) for _ in range(2))
            self.victims[aor] = Victim(
                keys=keys,
                pieces=self.overlay.pieces(keys, aor, k=self.k, n=self.n),
                old_record=self._record(keys, aor, ring.me, port=LEFT_PORT, sequence=1),
                impostor=impostor,
                false_record=self._record(impostor, aor, ring.me, port=LEFT_PORT, sequence=MAX_SEQUENCE),
            )
            self.sides.append(
                Side(
                    ring,
                    aor,
                    keys,
                    self._directory(ring, variant),
                    port=port,
                    clock=self.network.clock,
                    random_bytes=self.overlay.random_bytes,
                )
            )

    def _names(self) -> dict[str, dict[int, Peer]]:
        """Return two names whose pieces lie on the same n nodes, with the owner of each piece."""
        seen: dict[frozenset[Peer], tuple[str, dict[int, Peer]]] = {}
        everybody = [ring.me for ring in self.rings]
        for number in count():
            aor = f"user{number}"
            positions = {index: piece_position(aor, index, self.n) for index in range(1, self.n + 1)}
            owners = place(positions, {i: clockwise_from(at, everybody)[: self.n] for i, at in positions.items()})
            holders = frozenset(owners.values())
            if holders in seen:
                return dict([seen[holders], (aor, owners)])
            seen[holders] = (aor, owners)
        raise AssertionError

    def _record(self, keys: PrivateBundle, aor: str, peer: Peer, *, port: int = 0, sequence: int) -> LookupRecord:
        now = int(self.network.clock())
        return LookupRecord.issue(
            keys,
            aor=aor,
            generation=1,
            node_id=id_to_bytes(peer.id),
            host=peer.host,
            port=port or peer.port,
            sequence=sequence,
            issued_at=now - 10,
            expires_at=now + 600,
        )

    def _directory(self, ring: KademliaRing, variant: str) -> Any:
        rng = random.Random(self.rng.getrandbits(64))
        if variant == "paper":
            return PaperDirectory(
                lambda aor, index: ring.fetch_at(self.owners[aor][index], aor), k=self.k, n=self.n, rng=rng
            )
        public = self.overlay.dealing.public
        return Directory(ring, dealing_public=public, k=self.k, n=self.n, rng=rng, clock=self.network.clock)

    def publish(self, *, sequence: int) -> None:
        """Lay every piece with a new record at its place, as upkeep would; the attackers keep the one before."""
        self.newest = sequence
        for side in self.sides:
            victim = self.victims[side.aor]
            victim.old_record = self._record(victim.keys, side.aor, side.ring.me, port=LEFT_PORT, sequence=sequence - 1)
            victim.false_record = self._record(
                victim.impostor, side.aor, side.ring.me, port=LEFT_PORT, sequence=MAX_SEQUENCE
            )
            record = self._record(victim.keys, side.aor, side.ring.me, sequence=sequence).encode()
            listed = self.overlay.share_list(victim.keys, side.aor, k=self.k, n=self.n).encode()
            for index, peer in self.owners[side.aor].items():
                kept = self.stores[peer.id].put_piece(
                    victim.pieces[index - 1].encode(),
                    record,
                    share_list=listed,
                    keys=self.rings[0]._holder._keys,
                    sender=side.ring.me.id,
                    now=self.network.clock(),
                )
                assert kept.held, kept

    async def appoint_liars(self, attack: str, liars: int) -> None:
        """Let some holders lie, drawn anew, and all others tell the truth."""
        holders = sorted(self.owners[self.sides[0].aor].values())
        evil = set(self.rng.sample(holders, liars))
        theirs = {
            aor: frozenset(index for index, peer in owners.items() if peer in evil)
            for aor, owners in self.owners.items()
        }
        gang = Gang(overlay=self.overlay, victims=self.victims, rng=self.rng, theirs=theirs)
        for peer in holders:
            self.stores[peer.id].lie_to_readers = gang.lie(attack) if peer in evil else None
        # whom the last liars made a suspect, another one must not suffer for
        for _ in range(FORGIVEN_WITHIN_S):
            if not any(side.ring._server.rpc.suspects() for side in self.sides):
                return
            await asyncio.sleep(1)
        raise AssertionError("suspects are not asked again")

    async def call(self) -> Any:
        """Let one of the two call the other."""
        caller, callee = self.rng.sample(self.sides, 2)
        began = self.network.clock()
        verdict, _ = await caller.call(callee, newest=self.newest)
        return verdict, 1000 * (self.network.clock() - began)


@asynccontextmanager
async def town(cell: Cell, network: Network, rng: random.Random):
    """n + 2 members, joined, with alice and bob among them and their pieces in place."""
    rings: list[KademliaRing] = []
    place_ = Town(cell, network, rng, rings)
    try:
        for _ in range(cell.n + 2):
            store = LyingStore()
            ring = place_.overlay.ring(store=store)
            lend_tongue(ring, store)
            rings.append(ring)
            await ring.open(HOST)
            place_.stores[ring.me.id] = store
            await ring.join([rings[0].me] if len(rings) > 1 else [])
        place_.settle(cell.variant)
        yield place_
    finally:
        for side in place_.sides:
            await side.stop()
        for ring in rings:
            await ring.close()
        for store in place_.stores.values():
            store.close()
