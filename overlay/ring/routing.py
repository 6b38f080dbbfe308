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

import heapq
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from kademlia.routing import KBucket, RoutingTable

from overlay.errors import LocalError
from overlay.ring.contacts import MAX_CONTACTS
from overlay.ring.ids import ID_BYTES, RING_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kademlia.node import Node

BUCKET_CONTACTS: Final = 2 * MAX_CONTACTS
REPLACEMENT_FACTOR: Final = 1
"""Replacements remembered beside a full bucket, in buckets: each one proved its address, so few are needed."""


class ExactRoutingTable(RoutingTable):
    """Contacts that proved their address, in buckets by distance from this node."""

    def __init__(self, node: Node, *, probe: Callable[[Node], None]) -> None:
        """Take this node and what to do with the oldest contact of a full bucket: ask it whether it lives."""
        self._probe = probe
        super().__init__(None, BUCKET_CONTACTS, node)

    def flush(self) -> None:
        """Forget every contact. The range ends at the last id, so that halves are aligned blocks of ids."""
        self.buckets = [KBucket(0, RING_SIZE - 1, self.ksize, REPLACEMENT_FACTOR)]

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
        return bisect_left(self.buckets, node.long_id, key=lambda bucket: bucket.range[1])

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
            # twenty different bytes cannot agree in all 160 bits: this ends after 160 splits at the latest
            self.split_bucket(index)
            index = self.get_bucket_for(node)
            bucket = self.buckets[index]

    def split_bucket(self, index: int) -> None:
        """Halve a bucket; replacements find their room in the half where they belong."""
        super().split_bucket(index)
        for half in self.buckets[index : index + 2]:
            half.max_replacement_nodes = self.ksize * REPLACEMENT_FACTOR

    def find_neighbors(self, node: Node, k: int | None = None, exclude: Node | None = None) -> list[Node]:
        """Return the k contacts nearest to the id by XOR, nearest first, one with that very id included.

        `exclude` is left out: the node that asks, by id.
        """
        wanted = node.long_id
        self.buckets[self.get_bucket_for(node)].touch_last_updated()
        contacts = self if exclude is None else (contact for contact in self if contact.id != exclude.id)
        # ids are unique, so no two distances are equal and nodes themselves are never compared
        return heapq.nsmallest(k or MAX_CONTACTS, contacts, key=lambda contact: contact.long_id ^ wanted)
