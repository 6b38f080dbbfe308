"""Disjoint look-ups: several spiders, none of which asks or hears whom another asked.  I/O: through the protocol.

The rules:
1. The contacts to begin with are dealt out, one to each path in turn, nearest first: no path depends on one node.
2. Each node is asked on one path only, the first that wants it; what it names is a candidate of that path alone. So a
   liar leads one path astray, fills one path's places for an id and an address, and hides nobody from the others.
3. Whether a node answered is known to all paths: one that waits for it to know its K nearest need not ask again.
4. The paths share one budget of requests and of datagrams in the air.
5. What they found is merged: only nodes that answered under the id that they proved count.

[S/Kademlia §4.2] [docs/adr/0017]
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from overlay.ring.contacts import MAX_CONTACTS, target
from overlay.ring.crawl import Asked, FlowSpider

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kademlia.node import Node

    from overlay.ring.ids import Peer, RingId
    from overlay.ring.protocol import HardProtocol

PATHS: Final = 3
"""With 30 % of all nodes evil, what one liar in three can reach still leaves a path of honest ones most often."""


class DisjointLookUp:
    """One look-up on PATHS paths."""

    def __init__(self, protocol: HardProtocol, ring_id: RingId, start: Sequence[Node], *, paths: int = PATHS) -> None:
        """Take the id that is looked up and the contacts to begin with, nearest first; fewer than paths make fewer."""
        self._ring_id = ring_id
        self._asked = Asked()
        count = max(1, min(paths, len(start)))
        self._spiders = [
            FlowSpider(protocol, target(ring_id), list(start[number::count]), asked=self._asked)
            for number in range(count)
        ]

    @property
    def requests(self) -> int:
        """How many requests all paths have sent."""
        return self._asked.requests

    async def find(self) -> list[Peer]:
        """Return up to K living nodes, nearest first, this one not among them. Raises for nothing that is remote."""
        found = await asyncio.gather(*(spider.find() for spider in self._spiders))
        merged = {peer for path in found for peer in path}
        return sorted(merged, key=lambda peer: peer.id ^ self._ring_id)[:MAX_CONTACTS]
