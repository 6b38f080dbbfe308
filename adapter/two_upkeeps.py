"""Keep one user's pieces in place in two rings.  I/O: dht.

Each ring has its own places, found by its own upkeep (`adapter.upkeep`). What the two share is whatever holders compare
with what they have: the lookup record and the sequence of releases, since a node in both rings is one holder with one
store. And neither upkeep has a piece released where the other one wants it: in rings of different nodes the two do not
agree on who owns a place.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from adapter.upkeep import Upkeep
from overlay.ring.two_rings import in_reach

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from overlay.ring.chord import Chord
    from overlay.ring.ids import Peer
    from overlay.ring.kademlia_ring import KademliaRing
    from overlay.trust.identity import PrivateBundle
    from overlay.trust.pieces import KeyPiece
    from overlay.trust.records import LookupRecord, Release, ShareList


class TwoUpkeeps:
    """The upkeeps of one user, as one."""

    def __init__(self, rings: Sequence[KademliaRing], make: Callable[[Chord, Upkeep | None], Upkeep]) -> None:
        """Take the two rings, and how to make the upkeep of one: with the other's, or alone."""
        self._rings = rings
        first, second = rings
        self._leader = make(cast("Chord", _Guarded(first, self, lambda: self._follower)), None)
        self._follower = make(cast("Chord", _Guarded(second, self, lambda: self._leader)), self._leader)

    @property
    def record(self) -> LookupRecord | None:
        """The lookup record published last."""
        return self._leader.record

    def placed(self) -> dict[int, Peer]:
        """Return piece index -> node, for each piece that lies at its place: in the first ring, else in the second."""
        return self._follower.placed() | self._leader.placed()

    def changed(self, peers: Collection[Peer]) -> None:
        """Say that these nodes came, went or fell silent."""
        for ring, upkeep in zip(self._rings, (self._leader, self._follower), strict=True):
            if near := in_reach(peers, ring):
                upkeep.changed(near)

    async def spoken(self) -> None:
        """Wait until both rings have the pieces and a record of this life of the adapter."""
        await self._leader.spoken()
        await self._follower.spoken()

    def release(self, holder: Peer, indices: Iterable[int]) -> Release:
        """Sign the leave for one holder to drop these pieces."""
        return self._leader.release(holder, indices)

    def stop(self) -> None:
        """End `run` after the rounds in progress."""
        self._leader.stop()
        self._follower.stop()

    async def run(self) -> None:
        """Run rounds in both rings until `stop`."""
        await asyncio.gather(self._leader.run(), self._follower.run())


class _Follower(Upkeep):
    """The upkeep that says what another one says."""

    def __init__(
        self,
        ring: Chord,
        leader: Upkeep,
        *,
        user: PrivateBundle,
        pieces: Sequence[KeyPiece],
        share_list: ShareList,
        succession: bytes,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(ring, user=user, pieces=pieces, share_list=share_list, succession=succession, clock=clock)
        self._leader = leader

    def record_above(self, sequence: int) -> LookupRecord:
        """Return the leader's record."""
        self._record = self._leader.record_above(sequence)
        return self._record

    def release(self, holder: Peer, indices: Iterable[int]) -> Release:
        """Let the leader sign, whose sequence it is."""
        return self._leader.release(holder, indices)

    def _is_good(self, record: LookupRecord) -> bool:
        """Whether the leader goes on with a record."""
        return self._leader.record_above(record.sequence) is record


class _Guarded:
    """A ring in which nothing is released that the other ring's upkeep wants where it is."""

    def __init__(self, ring: KademliaRing, both: TwoUpkeeps, other: Callable[[], Upkeep]) -> None:
        self._ring, self._both, self._other = ring, both, other

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ring, name)

    async def release_at(self, peer: Peer, release: Release) -> bool:
        """Bring a release to a holder; where the other ring has places there for some of the pieces, of the rest."""
        places = self._other().last.places
        wanted = {index for index, peers in places.items() if any(one.id == peer.id for one in peers)}
        if wanted.isdisjoint(release.indices):
            return await self._ring.release_at(peer, release)
        if rest := set(release.indices) - wanted:
            await self._ring.release_at(peer, self._both.release(peer, rest))
        return False


def upkeep_in(
    rings: Sequence[KademliaRing],
    *,
    user: PrivateBundle,
    pieces: Sequence[KeyPiece],
    share_list: ShareList,
    succession: bytes = b"",
    clock: Callable[[], float] = time.time,
) -> Upkeep | TwoUpkeeps:
    """Return what keeps a user's pieces in one ring, or in two; the record names our address in the first."""

    def make(ring: Chord, leader: Upkeep | None) -> Upkeep:
        kind = Upkeep if leader is None else partial(_Follower, leader=leader)
        return kind(ring, user=user, pieces=pieces, share_list=share_list, succession=succession, clock=clock)

    return make(rings[0], None) if len(rings) == 1 else TwoUpkeeps(rings, make)
