"""Kademlia's routing table with the library's faults closed, by overriding.  I/O: none.

    find_neighbors  the k nearest by XOR, all of them and in order: the library stops at the first k that it meets while
                    walking buckets, and never names the node whose id is asked for
    get_bucket_for  buckets are aligned and their ends belong to them
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
from overlay.ring.ids import ID_BYTES, RING_BITS, RING_SIZE, RingId, id_to_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from kademlia.node import Node

    from overlay.ring.ids import Peer

BUCKET_CONTACTS: Final = 2 * MAX_CONTACTS
REPLACEMENT_FACTOR: Final = 1
"""Replacements remembered beside a full bucket, in buckets: each one proved its address, so few are needed."""


class ExactRoutingTable(RoutingTable):
    """Contacts that proved their address, in buckets by distance from this node."""

    def __init__(self, node: Node, *, probe: Callable[[Node], None]) -> None:
        """Take this node and what to do with the oldest contact of a full bucket: ask it whether it lives."""
        self._probe = probe
        self._last_ids: list[int]
        """Where each bucket ends."""
        self._ordered: tuple[list[int], list[Node]] | None = None
        """The ids of all contacts in order, and the contacts in the same order; None after one came or went."""
        super().__init__(None, BUCKET_CONTACTS, node)

    def flush(self) -> None:
        """Forget every contact. The range ends at the last id, so that halves are aligned blocks of ids."""
        self.buckets = [KBucket(0, RING_SIZE - 1, self.ksize, REPLACEMENT_FACTOR)]
        self._last_ids = [RING_SIZE - 1]
        self._ordered = None

    def __iter__(self) -> Iterator[Node]:
        """Go through all contacts, replacements not among them."""
        for bucket in self.buckets:
            yield from bucket.nodes.values()

    def __len__(self) -> int:
        return sum(map(len, self.buckets))

    def get(self, node: Node) -> Node | None:
        """Return the contact with the id of `node`."""
        return self.buckets[self.get_bucket_for(node)][node.id]

    def get_bucket_for(self, node: Node) -> int:
        """Return the index of the bucket in whose range the id lies, ends included."""
        return bisect_left(self._last_ids, node.long_id)

    def add_contact(self, node: Node) -> None:
        """Take in a contact that proved itself, as the youngest of its bucket; LocalError on any id but 20 bytes.

        One that is known under another address moves to the new one: it has just proved that it speaks from there.
        """
        if len(node.id) != ID_BYTES:
            raise LocalError(f"a ring id has {ID_BYTES} bytes")
        index = self.get_bucket_for(node)
        bucket = self.buckets[index]
        self._ordered = None
        while not bucket.add_node(node):
            if not bucket.has_in_range(self.node):
                self._probe(bucket.head())
                return
            # twenty different bytes cannot agree in all 160 bits: this ends after 160 splits at the latest
            self.split_bucket(index)
            index = self.get_bucket_for(node)
            bucket = self.buckets[index]

    def refresh(self, peer: Peer) -> bool:
        """Make a contact the youngest of its bucket; False when it is none, or at another address."""
        bucket = self.buckets[bisect_left(self._last_ids, peer.id)]
        ring_id = id_to_bytes(peer.id)
        known = bucket.nodes.get(ring_id)
        if known is None or known.ip != peer.host or known.port != peer.port:
            return False
        bucket.nodes.move_to_end(ring_id)
        return True

    def remove_contact(self, node: Node) -> None:
        """Forget a contact; the latest replacement of its bucket takes its place."""
        self._ordered = None
        super().remove_contact(node)

    def split_bucket(self, index: int) -> None:
        """Halve a bucket; replacements find their room in the half where they belong."""
        super().split_bucket(index)
        self._last_ids = [bucket.range[1] for bucket in self.buckets]
        for half in self.buckets[index : index + 2]:
            half.max_replacement_nodes = self.ksize * REPLACEMENT_FACTOR

    def find_neighbors(self, node: Node, k: int | None = None, exclude: Node | None = None) -> list[Node]:
        """Return the k contacts nearest to the id by XOR, nearest first, one with that very id included.

        `exclude` is left out: the node that asks, by id.
        """
        self.buckets[self.get_bucket_for(node)].touch_last_updated()
        return self.nearest(
            RingId(node.long_id), k or MAX_CONTACTS, exclude=None if exclude is None else RingId(exclude.long_id)
        )

    def nearest(self, wanted: RingId, count: int, *, exclude: RingId | None = None) -> list[Node]:
        """Return the `count` contacts nearest to an id, as find_neighbors does; no bucket counts as looked up."""
        ids, contacts = self._in_order()
        low, high = _block(ids, wanted, count if exclude is None else count + 1)
        # whoever is inside an aligned block around the id is nearer to it than whoever is outside
        nearest = [ring_id ^ wanted for ring_id in ids[low:high]]
        if exclude is not None and exclude ^ wanted in nearest:
            nearest.remove(exclude ^ wanted)
        nearest.sort()
        at = dict(zip(ids[low:high], contacts[low:high], strict=True))
        return [at[distance ^ wanted] for distance in nearest[:count]]

    def around(self, place: RingId, count: int, *, without: Container[int] = ()) -> list[Node]:
        """Return the `count` last contacts before a place and the `count` first at or after it, some ids left out."""
        ids, contacts = self._in_order()
        start = bisect_left(ids, place)
        found: dict[int, Node] = {}
        for steps in (range(start, start + len(ids)), range(start - 1, start - 1 - len(ids), -1)):
            left = count
            for step in steps:
                node = contacts[step % len(ids)]
                if node.long_id not in without:
                    found[node.long_id] = node
                    left -= 1
                    if not left:
                        break
        return list(found.values())

    def _in_order(self) -> tuple[list[int], list[Node]]:
        if self._ordered is None:
            contacts = sorted(self, key=lambda contact: contact.long_id)
            self._ordered = [contact.long_id for contact in contacts], contacts
        return self._ordered


def _block(ids: list[int], wanted: int, count: int) -> tuple[int, int]:
    """Return where the smallest aligned block around an id that has `count` members begins and ends; else all `ids`.

    `ids` ascend. Blocks lie inside one another: where one has too few, so have all that are smaller.
    """
    low, high = 0, len(ids)
    for bits in range(RING_BITS - 1, -1, -1):
        start = wanted >> bits << bits
        inner_low = bisect_left(ids, start, low, high)
        inner_high = bisect_left(ids, start + (1 << bits), inner_low, high)
        if inner_high - inner_low < count:
            break
        low, high = inner_low, inner_high
    return low, high
