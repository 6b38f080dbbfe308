"""Users whose pieces and records lie at their places, put there without the traffic that upkeep would cost."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adapter.directory import Directory
from overlay.ring.ids import clockwise_from, id_to_bytes, piece_position
from overlay.ring.placement import place
from overlay.trust.identity import PrivateBundle
from overlay.trust.records import LookupRecord
from overlay.trust.signed import MAX_SEQUENCE
from tests.attack.lies import Victim
from tests.attack.paper import PaperDirectory
from tests.attack.sides import CALLS_PER_S, Side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from overlay.ring.ids import Peer
    from overlay.ring.kademlia_ring import KademliaRing
    from tests.support.evil import LyingStore
    from tests.support.members import TestOverlay
    from tests.support.network import Network

FIRST_PHONE_PORT = 6001
LEFT_PORT = 9
"""Where nobody listens any more."""

Places = dict[int, tuple["Peer", ...]]
"""Piece index -> the nodes that keep it, its owner first."""


def places_of(aor: str, everybody: Sequence[Peer], *, n: int, copies: bool = False) -> Places:
    """Return where the pieces of a name belong, as every writer works it out; `copies` asks for a second node each."""
    positions = {index: piece_position(aor, index, n) for index in range(1, n + 1)}
    walks = {index: clockwise_from(at, everybody)[: 2 * n] for index, at in positions.items()}
    owners = place(positions, {index: walk[:n] for index, walk in walks.items()})
    places: Places = {index: (owner,) for index, owner in owners.items()}
    taken = set(owners.values())
    for index, walk in walks.items() if copies else ():
        spare = next(peer for peer in walk if peer not in taken)
        taken.add(spare)
        places[index] = (*places[index], spare)
    return places


@dataclass
class Registered:
    """The users of one ring, their adapters, and what attackers know of them."""

    overlay: TestOverlay
    network: Network
    rng: random.Random
    k: int
    n: int
    rings: list[KademliaRing] = field(default_factory=list)
    stores: dict[int, LyingStore] = field(default_factory=dict)
    """By ring id."""
    sides: list[Side] = field(default_factory=list)
    places: dict[str, Places] = field(default_factory=dict)
    victims: dict[str, Victim] = field(default_factory=dict)
    calls_per_node: float = CALLS_PER_S
    newest: int = 0
    """The sequence of the records published last."""

    def register(self, aor: str, ring: KademliaRing, places: Places, directory: Any) -> Side:
        """Give a name to a user whose adapter is that node; nothing is stored yet."""
        keys, impostor = (PrivateBundle.from_bytes(self.overlay.random_bytes(64)) for _ in range(2))
        self.places[aor] = places
        self.victims[aor] = Victim(
            keys=keys,
            pieces=self.overlay.pieces(keys, aor, k=self.k, n=self.n),
            old_record=self.record(keys, aor, ring.me, port=LEFT_PORT, sequence=1),
            impostor=impostor,
            false_record=self.record(impostor, aor, ring.me, port=LEFT_PORT, sequence=MAX_SEQUENCE),
        )
        side = Side(
            ring,
            aor,
            keys,
            directory,
            port=FIRST_PHONE_PORT + len(self.sides),
            clock=self.network.clock,
            random_bytes=self.overlay.random_bytes,
            calls_per_node=self.calls_per_node,
        )
        self.sides.append(side)
        return side

    def directory(self, ring: KademliaRing) -> Directory:
        """Return what this project's adapters look names up with."""
        return Directory(
            ring,
            dealing_public=self.overlay.dealing.public,
            k=self.k,
            n=self.n,
            rng=self._dice(),
            clock=self.network.clock,
        )

    def paper_directory(self, ask: Any) -> PaperDirectory:
        """Return the scheme as printed."""
        return PaperDirectory(ask, k=self.k, n=self.n, rng=self._dice())

    def record(self, keys: PrivateBundle, aor: str, peer: Peer, *, port: int = 0, sequence: int) -> LookupRecord:
        """Sign a record that leads to a node, or to another port of its host."""
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

    def publish(self) -> None:
        """Lay every piece with a new record at its places; the attackers keep the one before."""
        self.newest += 2
        for side in self.sides:
            aor, home, victim = side.aor, side.ring.me, self.victims[side.aor]
            victim.old_record = self.record(victim.keys, aor, home, port=LEFT_PORT, sequence=self.newest - 1)
            victim.false_record = self.record(victim.impostor, aor, home, port=LEFT_PORT, sequence=MAX_SEQUENCE)
            record = self.record(victim.keys, aor, home, sequence=self.newest).encode()
            listed = self.overlay.share_list(victim.keys, aor, k=self.k, n=self.n).encode()
            for index, peers in self.places[aor].items():
                for peer in peers:
                    kept = self.stores[peer.id].put_piece(
                        victim.pieces[index - 1].encode(),
                        record,
                        share_list=listed,
                        keys=side.ring._holder._keys,
                        sender=home.id,
                        now=self.network.clock(),
                    )
                    assert kept.held, kept

    async def call(self, caller: Side, callee: Side) -> Any:
        """Let one call another; return the verdict and the milliseconds that it took."""
        began = self.network.clock()
        verdict, _ = await caller.call(callee, newest=self.newest)
        return verdict, 1000 * (self.network.clock() - began)

    async def stop(self) -> None:
        for side in self.sides:
            await side.stop()
        for store in self.stores.values():
            store.close()

    def _dice(self) -> random.Random:
        return random.Random(self.rng.getrandbits(64))
