"""Members of the ring that lie about the ring: the real node, subclassed, with real credentials and real sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from overlay.errors import RemoteError
from overlay.ring.contacts import encode_contacts, node_of
from overlay.ring.ids import RING_SIZE, Peer, RingId, id_from_bytes
from overlay.ring.kademlia_ring import KademliaRing
from overlay.ring.neighbourhood import NAMED, around
from overlay.ring.protocol import HardProtocol
from tests.support.evil import lend_tongue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Route = "Callable[[Peer, RingId, int], list[Peer]]"
"""Whom to name for an id to somebody who asks: asker, id, how many at most."""

FAKE_HOST = "10.66.6.6"
"""Where nobody is."""
MAX_NAMED = 20


class EvilProtocol(HardProtocol):
    """Answers what it likes about who is near an id; honest while it has no manner."""

    manner: Callable[[Peer, RingId, int], list[Peer]] | None = None

    def rpc_find_node(self, sender: Peer, nodeid: bytes, key: bytes) -> list[list[Any]]:
        if self.manner is None:
            return super().rpc_find_node(sender, nodeid, key)
        return encode_contacts(map(node_of, self.manner(sender, id_from_bytes(key), MAX_NAMED)))

    def rpc_around(self, sender: Peer, nodeid: bytes, key: bytes) -> list[list[Any]]:
        if self.manner is None:
            return super().rpc_around(sender, nodeid, key)
        return encode_contacts(map(node_of, self.manner(sender, id_from_bytes(key), 2 * NAMED)))


class EvilRing(KademliaRing):
    """A node that can turn evil."""

    def __init__(self, identity: Any, store: Any, **options: Any) -> None:
        super().__init__(identity, store, **options)
        self._server.protocol_class = EvilProtocol
        lend_tongue(self, store)

    def turn(self, manner: Callable[[Peer, RingId, int], list[Peer]] | None) -> None:
        """Answer questions about the ring in this manner from now on; None is the truth."""
        self._server.rpc.manner = manner


@dataclass
class Cabal:
    """Evil nodes that know each other."""

    members: Sequence[Peer]

    def drop(self, _asker: Peer, _place: RingId, _count: int) -> list[Peer]:
        """Answer nothing."""
        raise RemoteError("dropped")

    def reroute(self, asker: Peer, place: RingId, count: int) -> list[Peer]:
        """Name nobody but each other: the nearest of them on either side of the place."""
        return [peer for peer in around(self.members, place, count // 2) if peer != asker][:count]

    def invent(self, asker: Peer, place: RingId, count: int) -> list[Peer]:
        """Name nodes that do not exist, right beside the place, at addresses of each other and of nobody."""
        invented: list[Peer] = []
        near = [peer for peer in around(self.members, place, count // 4 or 1) if peer != asker]
        for number in range(count):
            # one before the place for each one after it, so that both ends of an interval are invented
            step = (number // 2 + 1) * (1 if number % 2 else -1)
            ring_id = RingId((place + step) % RING_SIZE)
            host, port = near[number].address if number < len(near) else (FAKE_HOST, 2000 + number)
            invented.append(Peer(id=ring_id, host=host, port=port))
        return invented
