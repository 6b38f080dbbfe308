"""One node in two rings, that of IPv4 and that of IPv6, under one id and with one store.  I/O: through both.

Nodes that have one family alone never reach those that have the other alone, so they cannot be one Chord ring: each
would see another successor of the same place. Each family is therefore a ring of its own, exact in itself, and who has
both families is in both [BEP 32] [docs/adr/0026]. Nothing on the wire tells of it: a node of the one ring sees a member
of both as any other, at the address that it proved there.

What is asked of a node by its id goes over the family that worked last with it, and over the other one as well once
that is late [RFC 8305 §5].
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, OrderedDict
from functools import partial
from itertools import zip_longest
from typing import TYPE_CHECKING, Final, TypeVar

from overlay.errors import LocalError
from overlay.ring.chord import RingUnreachable
from overlay.ring.ids import is_in_reach

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from overlay.ring.handshake import RingIdentity
    from overlay.ring.holding import Holding
    from overlay.ring.ids import Peer, RingId
    from overlay.ring.kademlia_ring import KademliaRing
    from overlay.trust.pieces import KeyPiece
    from overlay.trust.records import LookupRecord, Release, ShareList
    from overlay.trust.seals import Seals
    from overlay.trust.tombstone import Tombstone

LATE_S: Final = 0.25
"""How long one family has before the other is tried beside it [RFC 8305 §5]."""
SAME_LINE_S: Final = 4.0
"""A line that comes once more within this time, from the same node, came over both families."""
MAX_REMEMBERED: Final = 1024
"""Lines that came, and nodes whose family is remembered; the oldest go first."""

T = TypeVar("T")


class TwoRings:
    """The same node in both; what one ring can do alone is done through `views`."""

    def __init__(self, first: KademliaRing, second: KademliaRing) -> None:
        """Take two open rings of one identity, with one store, one at an address of each family."""
        if first.me.id != second.me.id or (":" in first.me.host) is (":" in second.me.host):
            raise LocalError("two rings are one node at an address of each family")
        self.views: tuple[KademliaRing, ...] = (first, second)
        """The rings, the one whose address this node's records name first."""
        self._on_line: Callable[[Peer, bytes], None] | None = None
        self._lines: OrderedDict[tuple[RingId, bytes], float] = OrderedDict()
        self._worked: OrderedDict[RingId, KademliaRing] = OrderedDict()
        self._counters: Counter[str] = Counter()

    # --- membership ----------------------------------------------------------------------------------------------

    @property
    def me(self) -> Peer:
        """This node at the address that its records name."""
        return self.views[0].me

    async def join(self, contacts: Sequence[Peer]) -> None:
        """Become a member of each ring through those of its family; RingUnreachable when no contact answers in any."""
        have_met = await asyncio.gather(*(self._join(ring, contacts) for ring in self.views))
        if contacts and not any(have_met):
            raise RingUnreachable(f"none of {len(contacts)} nodes of the ring answered")

    @staticmethod
    async def _join(ring: KademliaRing, contacts: Sequence[Peer]) -> bool:
        try:
            await ring.join(in_reach(contacts, ring))
        except RingUnreachable:
            return False
        return ring.size() > 1

    async def leave(self) -> None:
        """Leave both; names that came by both are handed over twice only where the second ring has other nodes."""
        first, second = self.views
        met = {peer.id for peer in first.peers()}
        twice = any(peer.id not in met for peer in second.peers())
        await first.leave()
        await second.leave(hand_over=twice or not second.came_by() <= first.came_by())

    async def close(self) -> None:
        """Close both without a word."""
        await asyncio.gather(*(ring.close() for ring in self.views))

    def renew(self, identity: RingIdentity) -> None:
        """Go on with a newer credential of this node in both."""
        for ring in self.views:
            ring.renew(identity)

    # --- what comes ----------------------------------------------------------------------------------------------

    @property
    def on_line(self) -> Callable[[Peer, bytes], None] | None:
        """Called with each line that came, once whatever families it came over."""
        return self._on_line

    @on_line.setter
    def on_line(self, take: Callable[[Peer, bytes], None] | None) -> None:
        self._on_line = take
        for ring in self.views:
            ring.on_line = None if take is None else self._take_line

    def _take_line(self, sender: Peer, line: bytes) -> None:
        now, key = asyncio.get_running_loop().time(), (sender.id, hashlib.sha256(line).digest())
        came_at = self._lines.pop(key, None)
        self._lines[key] = now
        if len(self._lines) > MAX_REMEMBERED:
            self._lines.popitem(last=False)
        if came_at is not None and now - came_at < SAME_LINE_S:
            self._counters["families: line came over both"] += 1
        elif self._on_line is not None:
            self._on_line(sender, line)

    # --- what is asked -------------------------------------------------------------------------------------------

    async def put(
        self,
        aor: str,
        pieces: Sequence[KeyPiece],
        record: LookupRecord | None,
        *,
        share_list: ShareList | None = None,
    ) -> dict[int, Peer]:
        """Store the pieces at their places in each ring; return an owner of each index that acknowledged."""
        puts = (ring.put(aor, pieces, record, share_list=share_list) for ring in self.views)
        first, second = await asyncio.gather(*puts)
        return {**second, **first}

    async def get(self, aor: str) -> dict[Peer, Holding]:
        """Return what the owners of the user's places in either ring hold; who is in both counts twice."""
        first, second = await asyncio.gather(*(ring.get(aor) for ring in self.views))
        return {**second, **first}

    async def bury(self, tombstone: Tombstone) -> frozenset[RingId]:
        """Bring a tombstone to whoever should have pieces of its key in either ring; return who keeps it, each once."""
        first, second = await asyncio.gather(*(ring.bury(tombstone) for ring in self.views))
        return first | second

    async def fetch_at(self, peer: Peer, aor: str) -> Holding | None:
        """Return everything that one node holds of a user, asked at the address that is given."""
        return await self._of(peer).fetch_at(peer, aor)

    async def store_at(
        self,
        peer: Peer,
        piece: KeyPiece | None,
        record: LookupRecord | Tombstone | Seals | None,
        *,
        share_list: ShareList | None = None,
    ) -> bool:
        """Ask one node to keep a piece, a record or both, at the address that is given."""
        return await self._of(peer).store_at(peer, piece, record, share_list=share_list)

    async def release_at(self, peer: Peer, release: Release) -> bool:
        """Bring a release to the holder that it names."""
        return await self._of(peer).release_at(peer, release)

    async def deliver(self, peer: Peer, line: bytes) -> bool:
        """Bring a line to a node over the family that works; its adapter hears it once."""
        first = self._worked.get(peer.id) or self._of(peer)
        order = sorted(self.views, key=lambda ring: ring is not first)

        async def over(ring: KademliaRing) -> KademliaRing | None:
            return ring if await ring.deliver(peer, line) else None

        ends = await staggered([partial(over, ring) for ring in order], enough=lambda ring: ring is not None)
        done = next((ring for ring in ends if ring is not None), None)
        self._worked.pop(peer.id, None)
        if done is not None:
            self._worked[peer.id] = done
            if len(self._worked) > MAX_REMEMBERED:
                self._worked.popitem(last=False)
        return done is not None

    # --- what this node knows ------------------------------------------------------------------------------------

    def peers(self) -> list[Peer]:
        """Return the contacts that live, each node once, in order of id."""
        return sorted({peer.id: peer for ring in reversed(self.views) for peer in ring.peers()}.values())

    def size(self) -> int:
        """Return how many living nodes are known here, this one included."""
        return len(self.peers()) + 1

    def seeds(self) -> list[Peer]:
        """Return whom to join through another time, by turns of either ring; a node in both is named twice."""
        turns = zip_longest(*(ring.seeds() for ring in self.views))
        return [peer for turn in turns for peer in turn if peer is not None]

    def rtt(self, peer: Peer) -> float | None:
        """Return the round-trip time to a peer at the address that is given."""
        return self._of(peer).rtt(peer)

    def since(self, peer: Peer) -> float | None:
        """Return since when this node has known a peer at that address."""
        return self._of(peer).since(peer)

    def held(self) -> list[tuple[str, int]]:
        """Return user and index of each piece that this node stores."""
        return self.views[0].held()

    def counters(self) -> dict[str, int]:
        """Return what happened in both rings, how often; the store is one."""
        counts = Counter(self._counters)
        for number, ring in enumerate(self.views):
            counts.update({why: n for why, n in ring.counters().items() if not (number and why.startswith("store: "))})
        return dict(counts)

    def _of(self, peer: Peer) -> KademliaRing:
        """Return the ring in which an address is one; the first where it is none."""
        return next((ring for ring in self.views if is_in_reach(peer.host, ring.me.host)), self.views[0])


def in_reach(peers: Collection[Peer], ring: KademliaRing) -> list[Peer]:
    """Return those of the peers whose addresses a ring's socket can send to."""
    return [peer for peer in peers if is_in_reach(peer.host, ring.me.host)]


async def staggered(tries: Sequence[Callable[[], Awaitable[T]]], *, enough: Callable[[T], bool]) -> list[T]:
    """Run one try, and the next beside it once that is late or not enough; return what came, until it is enough.

    What is still under way then is cancelled, as everything is with the caller.
    """
    running: set[asyncio.Future[T]] = set()
    ends: list[T] = []
    try:
        for number, begin in enumerate(tries, start=1):
            running.add(asyncio.ensure_future(begin()))
            loop = asyncio.get_running_loop()
            until = loop.time() + LATE_S
            while running:
                left = until - loop.time() if number < len(tries) else None
                done, running = await asyncio.wait(running, timeout=left, return_when=asyncio.FIRST_COMPLETED)
                ends += [task.result() for task in done]
                if any(map(enough, ends)):
                    return ends
                if not done or number < len(tries):
                    break
        return ends
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
