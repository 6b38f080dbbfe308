"""Chord's successors out of Kademlia's look-ups, exactly.  I/O: none.

A look-up of x returns the K living nodes nearest to x by XOR. Everything nearer than the last of them is known, so
whole aligned blocks of ids around x are known completely (all of the ring where fewer than K came back). The walk takes
the nodes at or after x out of the largest known block around x, then goes on block by block clockwise, looks up the
next unknown block's first id where knowledge ends, and stops when it has enough nodes or has come round.  [Chord 2001
§4.2] [Maymounkov & Mazieres 2002 §2.1] [docs/adr/0002]

Seen in a mirror (id -> 2^160 - 1 - id) XOR distances stay what they are and clockwise is anticlockwise: the
predecessors of x are the successors of the mirrored x - 1 among mirrored nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from overlay.errors import LocalError
from overlay.ring.ids import RING_BITS, RING_SIZE, Peer, RingId

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_LOOKUPS: Final = 24
"""Look-ups of one walk: 40 successors take 4 or so."""


class SuccessorWalk:
    """Collects the nodes at or after a place, in clockwise order; anticlockwise at or before it when mirrored.

    Ask next_lookup() for an id, look it up, give the result to learn(); until next_lookup() is None.
    """

    def __init__(self, start: RingId, *, count: int, mirrored: bool = False) -> None:
        """Take the place to start at and how many nodes are wanted; LocalError unless at least one is."""
        if count < 1 or not 0 <= start < RING_SIZE:
            raise LocalError("a walk starts on the ring and wants nodes")
        self._mask = RING_SIZE - 1 if mirrored else 0
        self._start = start ^ self._mask
        self._count = count
        self._covered = 0
        self._lookups = 0
        self._found: dict[int, Peer] = {}
        self.whole_ring: tuple[Peer, ...] | None = None
        """All nodes of the ring, where a look-up showed that it has fewer than K."""

    @property
    def found(self) -> list[Peer]:
        """The nodes found so far, in the order of the walk."""
        return list(self._found.values())[: self._count]

    def next_lookup(self) -> RingId | None:
        """Return the id whose K nearest nodes are needed next, None when the walk is over."""
        if len(self._found) >= self._count or self._covered >= RING_SIZE or self._lookups >= MAX_LOOKUPS:
            return None
        return RingId(self._edge() ^ self._mask)

    def learn(self, nearest: Sequence[Peer], *, me: Peer, complete_at: int) -> None:
        """Take the result of the look-up that was asked for.

        `nearest`: living nodes, nearest to the id first, without `me`; fewer than `complete_at` of them are all there
        are.
        """
        self._lookups += 1
        members = sorted((peer.id ^ self._mask, peer) for peer in {*nearest, me})
        if len(nearest) < complete_at:
            self.whole_ring = tuple(peer for _, peer in members)
            self._take(members, self._edge(), RING_SIZE)
            return
        target = self._edge()
        radius = (nearest[-1].id ^ self._mask ^ target) + 1
        while len(self._found) < self._count and self._covered < RING_SIZE:
            size = _known_block(self._edge(), target, radius, first=self._covered == 0)
            if size == 0:
                return
            self._take(members, self._edge(), size)

    def _edge(self) -> int:
        """Return the first place of which nothing is known yet."""
        return (self._start + self._covered) % RING_SIZE

    def _take(self, members: list[tuple[int, Peer]], edge: int, size: int) -> None:
        """Take the members of a known stretch of ids that begins at the edge."""
        ahead = sorted(((place - edge) % RING_SIZE, place, peer) for place, peer in members)
        for distance, place, peer in ahead:
            if distance < size:
                self._found.setdefault(place, peer)
        self._covered += size


def _known_block(edge: int, target: int, radius: int, *, first: bool) -> int:
    """Return how many ids from `edge` on are known, 0 when not even the edge is.

    Everything at XOR distance < radius from the target is. At the very start the edge lies somewhere inside its block;
    later it is the first id of one.
    """
    if first:
        block = 1 << (radius.bit_length() - 1)
        return block - edge % block
    best = 0
    for bits in range(_alignment(edge) + 1):
        block = 1 << bits
        farthest = ((edge ^ target) | (block - 1)) + 1
        if farthest > radius:
            break
        best = block
    return best


def _alignment(edge: int) -> int:
    """Return the number of trailing zero bits of an id: the largest block that can begin there."""
    return RING_BITS if edge == 0 else (edge & -edge).bit_length() - 1
