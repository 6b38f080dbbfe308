"""The look-up: the K living nodes nearest to an id, without rounds and with a bound.  I/O: through the protocol.

The rules:
1. ALPHA requests are under way at a time; one that is overdue no longer takes a place, so a silent node holds nothing
   up. Every silent one widens the look-up by one more place: who names twenty dead contacts costs one timeout or two,
   not seven.
2. It is over when the K nearest candidates that did not fail have answered: an overdue one among them is still waited
   for until its last retransmission, because a node that is passed over for one lost datagram makes a wrong successor.
   Those who would take its place are asked meanwhile: many dead nodes cost as much time as one.
3. Suspects are not asked, unless whoever starts it knows nobody else.
4. At most MAX_REQUESTS are sent, an answer names K contacts at most, each address once.
5. Whoever names a true id at a false address, or a false id at a true one, hides nobody: each pair is a candidate of
   its own, MAX_NAMED for one id and for one address, and the first that answers for an id ends the others.
6. Only nodes that answered come back, under the id that they proved.
7. A look-up may be one of several on disjoint paths (paths.py): what it hears is its own, whom it asks is shared.

The library's spider works in rounds, each as slow as its slowest node, recursively, without a bound.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections import Counter
from typing import TYPE_CHECKING, Final

from kademlia.crawling import SpiderCrawl

from overlay.errors import LocalError
from overlay.ring.contacts import MAX_CONTACTS, peer_of
from overlay.ring.stages import Stage

if TYPE_CHECKING:
    from kademlia.node import Node

    from overlay.ring.datagrams import Outcome
    from overlay.ring.ids import Peer, RingId
    from overlay.ring.protocol import HardProtocol

ALPHA: Final = 3
MAX_REQUESTS: Final = 200
MAX_UNDER_WAY: Final = 32
"""However many are overdue, so many datagrams at most are in the air for one look-up."""
MAX_NAMED: Final = 5
"""Addresses that others may name for one id, and ids for one address: an answer adds one, so it takes as many liars to
hide a node."""


class Asked:
    """Who has been asked, on however many paths, and what became of it."""

    def __init__(self) -> None:
        self.stages: dict[Peer, Stage] = {}
        self.proved: dict[RingId, Peer] = {}
        """Who answered first for each id."""
        self.requests = 0
        """How many have been sent."""
        self.spiders: list[FlowSpider] = []

    def in_air(self) -> int:
        """Return how many requests wait for an answer."""
        return sum(stage is Stage.ASKED or stage is Stage.LATE for stage in self.stages.values())

    def prove(self, peer: Peer) -> None:
        """Take note that a node answered for its id: no other address that was named for it is of interest."""
        if self.proved.setdefault(peer.id, peer) == peer:
            self.stages[peer] = Stage.ANSWERED
            for spider in self.spiders:
                spider.settle(peer)

    def progress(self) -> None:
        """Let every path look at what has changed."""
        for spider in self.spiders:
            spider.wake()


class FlowSpider(SpiderCrawl):
    """One look-up, or one path of it."""

    protocol: HardProtocol

    def __init__(
        self,
        protocol: HardProtocol,
        node: Node,
        peers: list[Node],
        *,
        ksize: int = MAX_CONTACTS,
        alpha: int = ALPHA,
        asked: Asked | None = None,
    ) -> None:
        """Take the id that is looked up, as a node, and the contacts to begin with; `asked`: what paths share."""
        super().__init__(protocol, node, [], ksize, alpha)
        self._asked = Asked() if asked is None else asked
        self._asked.spiders.append(self)
        self._stages = self._asked.stages
        self._mine: set[Peer] = set()
        self._candidates: list[tuple[int, Peer]] = []
        self._ids_at: Counter[tuple[str, int]] = Counter()
        self._named: dict[RingId, list[Peer]] = {}
        self._progress = asyncio.Event()
        self._silent = 0
        self._learn(tuple(map(peer_of, peers)), anyway=True)

    async def find(self) -> list[Peer]:
        """Return up to K living nodes, nearest first, this one not among them. Raises for nothing that is remote."""
        while not self._is_over():
            self._progress.clear()
            self._ask_more()
            if not self._asked.in_air():
                break
            await self._progress.wait()
        return [peer for peer in self._nearest() if self._stages[peer] is Stage.ANSWERED]

    def wake(self) -> None:
        """Go on: a node answered or is late."""
        self._progress.set()

    def settle(self, peer: Peer) -> None:
        """Give up the other addresses that were named for an id, once one has answered."""
        for other in self._named.get(peer.id, ()):
            if other != peer:
                self._stages[other] = Stage.FAILED

    def _nearest(self, *, but: Stage = Stage.FAILED) -> list[Peer]:
        """Return the K nearest candidates that have not failed, those in some other stage left out too."""
        stages, nearest = self._stages, []
        for _, peer in self._candidates:
            stage = stages[peer]
            if stage is not Stage.FAILED and stage is not but:
                nearest.append(peer)
                if len(nearest) == self.ksize:
                    break
        return nearest

    def _is_over(self) -> bool:
        return all(self._stages[peer] is Stage.ANSWERED for peer in self._nearest())

    def _ask_more(self) -> None:
        """Ask the nearest candidates not asked yet, as far as there is room."""
        under_way = sum(self._stages[peer] is Stage.ASKED for peer in self._mine)
        room = min(
            self.alpha + self._silent - under_way,
            MAX_UNDER_WAY - self._asked.in_air(),
            MAX_REQUESTS - self._asked.requests,
        )
        for peer in self._nearest(but=Stage.LATE) if room > 0 else ():
            if room <= 0:
                return
            if self._stages[peer] is Stage.NEW:
                room -= 1
                self._asked.requests += 1
                self._ask(peer)

    def _ask(self, peer: Peer) -> None:
        """Ask one node; whatever becomes of that, the look-up goes on."""
        try:
            outcome = self.protocol.find_node(peer, self.node, on_late=lambda: self._late(peer))
        except LocalError:  # too much is under way: our own code has run away, and this is not the place to say so
            self._stages[peer] = Stage.FAILED
            return
        self._stages[peer] = Stage.ASKED
        self._mine.add(peer)
        outcome.add_done_callback(lambda done: self._done(peer, done))

    def _done(self, peer: Peer, outcome: asyncio.Future[Outcome]) -> None:
        answered, contacts = (False, ()) if outcome.cancelled() else self.protocol.named(outcome.result())
        if not answered and self._stages[peer] is Stage.ASKED:
            self._silent += 1
        if not answered:
            self._stages[peer] = Stage.FAILED
        elif self._stages[peer] is not Stage.FAILED:
            self._asked.prove(peer)
        self._learn(contacts)
        self._asked.progress()

    def _late(self, peer: Peer) -> None:
        if self._stages[peer] is Stage.ASKED:
            self._stages[peer] = Stage.LATE
            self._silent += 1
            self._asked.progress()

    def _learn(self, contacts: tuple[Peer, ...], *, anyway: bool = False) -> None:
        """Add candidates, nearest first, without suspects; `anyway`: whoever starts the look-up chose them."""
        # most of what is named has been named before
        fresh = [peer for peer in contacts if peer not in self._named.get(peer.id, ())]
        for peer in fresh if anyway else {peer.address: peer for peer in fresh}.values():
            named = self._named.setdefault(peer.id, [])
            is_settled = self._asked.proved.get(peer.id, peer) != peer
            if is_settled or peer in named or max(len(named), self._ids_at[peer.address]) >= MAX_NAMED:
                continue
            if self.protocol.is_suspect(peer) and not anyway:
                continue
            named.append(peer)
            self._stages.setdefault(peer, Stage.NEW)
            self._ids_at[peer.address] += 1
            insort(self._candidates, (peer.id ^ self.node.long_id, peer))
