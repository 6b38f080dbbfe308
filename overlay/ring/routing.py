"""Kademlia's routing table with the library's faults closed, by overriding.  I/O: none.

    find_neighbors  the k nearest by XOR, all of them and in order: the library stops at the first k that it meets while
                    walking buckets, and never names the node whose id is asked for
    get_bucket_for  buckets are aligned and their ends belong to them
    split           a bucket's replacements go with it
    add_contact     ids of 20 bytes only; a bucket splits where this node's own id lies in it; a full one has its oldest
                    contact probed, by a task that somebody keeps

Buckets hold twice as many contacts as an answer has, so in a ring of up to BUCKET_CONTACTS + 1 nodes everyone knows
everyone.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from kademlia.routing import KBucket, RoutingTable

from overlay.errors import LocalError
from overlay.ring.contacts import MAX_CONTACTS
from overlay.ring.ids import ID_BYTES, RING_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from kademlia.node import Node

    from overlay.ring.ids import Peer, RingId

BUCKET_CONTACTS: Final = 2 * MAX_CONTACTS
REPLACEMENT_FACTOR: Final = 1
"""Replacements remembered beside a full bucket, in buckets: each one proved its address, so few are needed."""


class Bucket(KBucket):
    """The library's bucket in half the room: a dictionary keeps the order in which contacts spoke."""

    def __init__(self, low: int, high: int, ksize: int) -> None:
        """Take the first and the last id of the block, and how many contacts it holds."""
        super().__init__(low, high, ksize, REPLACEMENT_FACTOR)
        self.nodes: dict[bytes, Node] = {}  # type: ignore[assignment] # what the library does with it works on both
        self.replacement_nodes: dict[bytes, Node] = {}  # type: ignore[assignment] # but for add_node

    def add_node(self, node: Node) -> bool:
        """Make a contact the youngest; False where the bucket is full, which remembers it as a replacement."""
        known = self.nodes.pop(node.id, None)
        if known is not None or len(self.nodes) < self.ksize:
            self.nodes[node.id] = node
            return True
        self.replacement_nodes.pop(node.id, None)
        self.replacement_nodes[node.id] = node
        if len(self.replacement_nodes) > self.max_replacement_nodes:
            del self.replacement_nodes[next(iter(self.replacement_nodes))]
        return False

    def split(self) -> tuple[KBucket, KBucket]:
        """Return both halves; replacements find their room in the half where they belong."""
        low, high = self.range
        middle = (low + high) // 2
        halves = Bucket(low, middle, self.ksize), Bucket(middle + 1, high, self.ksize)
        for node in (*self.nodes.values(), *self.replacement_nodes.values()):
            halves[node.long_id > middle].add_node(node)
        return halves


class ExactRoutingTable(RoutingTable):
    """Contacts that proved their address, in buckets by distance from this node."""

    def __init__(self, node: Node, *, probe: Callable[[Node], None]) -> None:
        """Take this node and what to do with the oldest contact of a full bucket: ask it whether it lives."""
        self._probe = probe
        super().__init__(None, BUCKET_CONTACTS, node)

    def flush(self) -> None:
        """Forget every contact. The range ends at the last id, so that halves are aligned blocks of ids."""
        self.buckets = [Bucket(0, RING_SIZE - 1, self.ksize)]
        self._last_ids = [RING_SIZE - 1]
        """The last id of each bucket, so that the one of an id is found without looking into them."""
        self._in_order: list[Node] | None = None

    def in_order(self) -> list[Node]:
        """Return all contacts in order of id; not to be changed."""
        if self._in_order is None:
            self._in_order = sorted(self, key=_long_id)
        return self._in_order

    def __iter__(self) -> Iterator[Node]:
        """Go through all contacts, replacements not among them."""
        for bucket in self.buckets:
            yield from bucket.nodes.values()

    def __len__(self) -> int:
        return sum(map(len, self.buckets))

    def get(self, node: Node) -> Node | None:
        """Return the contact with the id of `node`."""
        return self.buckets[self.get_bucket_for(node)][node.id]

    def knows(self, ring_id: RingId) -> bool:
        """Tell whether a contact has this id."""
        return ring_id.to_bytes(ID_BYTES, "big") in self._bucket_of(ring_id).nodes

    def _bucket_of(self, ring_id: int) -> KBucket:
        return self.buckets[bisect_left(self._last_ids, ring_id)]

    def split_bucket(self, index: int) -> None:
        """Put both halves of a bucket in its place."""
        super().split_bucket(index)
        self._last_ids = [bucket.range[1] for bucket in self.buckets]

    def get_bucket_for(self, node: Node) -> int:
        """Return the index of the bucket in whose range the id lies, ends included."""
        return bisect_left(self._last_ids, node.long_id)

    def refresh(self, peer: Peer) -> bool:
        """Make a contact the youngest of its bucket; False where it is none, or another address than this one's."""
        nodes = self._bucket_of(peer.id).nodes
        node_id = peer.id.to_bytes(ID_BYTES, "big")
        known = nodes.get(node_id)
        if known is None or known.ip != peer.host or known.port != peer.port:
            return False
        del nodes[node_id]
        nodes[node_id] = known
        return True

    def add_contact(self, node: Node) -> None:
        """Take in a contact that proved itself, as the youngest of its bucket; LocalError on any id but 20 bytes.

        One that is known under another address moves to the new one: it has just proved that it speaks from there.
        """
        if len(node.id) != ID_BYTES:
            raise LocalError(f"a ring id has {ID_BYTES} bytes")
        index = self.get_bucket_for(node)
        bucket = self.buckets[index]
        while not bucket.add_node(node):
            if not bucket.has_in_range(self.node):
                self._probe(bucket.head())
                return
            self._in_order = None  # a half may have room for replacements
            # twenty different bytes cannot agree in all 160 bits: this ends after 160 splits at the latest
            self.split_bucket(index)
            index = self.get_bucket_for(node)
            bucket = self.buckets[index]
        self._in_order = None

    def remove_contact(self, node: Node) -> None:
        """Forget a contact; a replacement takes its place."""
        self._in_order = None
        super().remove_contact(node)

    def find_neighbors(self, node: Node, k: int | None = None, exclude: Node | None = None) -> list[Node]:
        """Return the k contacts nearest to the id by XOR, nearest first, one with that very id included.

        `exclude` is left out: the node that asks, by id.
        """
        self.buckets[self.get_bucket_for(node)].touch_last_updated()
        return self.nearest(node.long_id, k or MAX_CONTACTS, exclude=None if exclude is None else exclude.long_id)

    def nearest(self, wanted: int, count: int, *, exclude: int | None = None) -> list[Node]:
        """Return the `count` contacts nearest to an id, as find_neighbors does; no bucket counts as looked up."""
        found = list(self._bucket_of(wanted).nodes.values())
        # Buckets are aligned blocks, so all ids of one are nearer than all of another: nearest block first, and no
        # more blocks than are needed.
        others = [] if len(found) > count else sorted(self.buckets, key=lambda bucket: _distance(bucket, wanted))[1:]
        for bucket in others:
            found += bucket.nodes.values()
            if len(found) > count:
                break
        # ids are unique, so no two distances are equal and nodes themselves are never compared
        found.sort(key=lambda contact: contact.long_id ^ wanted)
        if exclude is not None:
            found = [contact for contact in found[: count + 1] if contact.long_id != exclude]
        return found[:count]

    def around(self, place: int, count: int, *, without: Collection[int] = ()) -> list[Node]:
        """Return the last contacts before a place and the first at or after it, `count` each, some ids left out.

        Each once, in order of the circle: the one farthest before the place first; where there are fewer than that, the
        first at or after the place.
        """
        ordered = self.in_order()
        if without:
            ordered = [node for node in ordered if node.long_id not in without]
        if len(ordered) < 2 * count:
            start = bisect_left(ordered, place, key=_long_id)
            return ordered[start:] + ordered[:start]
        start = bisect_left(ordered, place, key=_long_id) - count
        return [ordered[at % len(ordered)] for at in range(start, start + 2 * count)]


def _long_id(node: Node) -> int:
    return node.long_id


def _distance(bucket: KBucket, wanted: int) -> int:
    """Return the least XOR distance from an id to those of a bucket's block."""
    low, high = bucket.range
    return (low ^ wanted) & ~(high - low)
