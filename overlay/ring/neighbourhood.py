"""The nearest nodes on either side of this one, whatever the routing table has room for.  I/O: none.

Neighbours on the circle may be far apart by XOR, and a full far bucket takes in nobody. Yet an interval of the ring can
be confirmed only by two nodes that know of each other: so each remembers SIDE contacts before itself and SIDE after
[Chord 2001 §4.4, successor lists].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from overlay.ring.ids import RING_SIZE, Peer, RingId, clockwise

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SIDE: Final = 8
"""Contacts remembered on each side: a fifth of all nodes may die at once without leaving a side empty."""
NAMED: Final = 4
"""Contacts that an answer names on each side of a place."""


class Neighbourhood:
    """Contacts that proved their address and are near this node on the circle."""

    __slots__ = ("_farthest", "_known", "_me")

    def __init__(self, me: RingId) -> None:
        self._me = me
        self._known: dict[RingId, Peer] = {}
        self._farthest = (RING_SIZE, 0)
        """When full: steps clockwise from here to the last one after it, and to the first one before it."""

    def __iter__(self) -> Iterator[Peer]:
        return iter(self._known.values())

    def __len__(self) -> int:
        return len(self._known)

    def get(self, ring_id: RingId) -> Peer | None:
        """Return the neighbour with an id, None where no such one is near."""
        return self._known.get(ring_id)

    def meet(self, peer: Peer) -> bool:
        """Remember a contact if it is one of the SIDE nearest before or after this node; tell whether that is news."""
        known = self._known.get(peer.id)
        if known is peer or known == peer or peer.id == self._me:
            return False
        if len(self._known) == 2 * SIDE and self._farthest[0] < clockwise(self._me, peer.id) < self._farthest[1]:
            return False
        self._known[peer.id] = peer
        if len(self._known) > 2 * SIDE:
            keep = around(self._known.values(), self._me, SIDE)
            self._known = {near.id: near for near in keep}
            self._farthest = clockwise(self._me, keep[SIDE - 1].id), clockwise(self._me, keep[SIDE].id)
        return peer.id in self._known

    def forget(self, ring_id: RingId) -> bool:
        """Forget a contact that left or died; tell whether it was one."""
        self._farthest = RING_SIZE, 0
        return self._known.pop(ring_id, None) is not None


def around(peers: Iterable[Peer], place: RingId, count: int = NAMED) -> list[Peer]:
    """Return the `count` last peers strictly before a place and the `count` first ones at or after it, each once."""
    ordered = sorted(peers, key=lambda peer: clockwise(place, peer.id))
    return ordered if len(ordered) <= 2 * count else ordered[:count] + ordered[-count:]


def bracket(peers: Iterable[Peer], place: RingId) -> tuple[Peer, Peer]:
    """Return (the last of the peers strictly before a place, the first at or after it); of one peer, it twice."""
    known = list(peers)
    owner = min(known, key=lambda peer: clockwise(place, peer.id))
    # strictly before: a peer exactly at the place is as far before it as can be
    return min(known, key=lambda peer: (clockwise(peer.id, place) - 1) % RING_SIZE), owner
