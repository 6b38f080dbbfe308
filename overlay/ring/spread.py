"""A user's pieces as a whole, spread over the ring: put at their places, got from there, buried.  I/O: udp.

Writers follow the walk of placement.py; readers who need more than this (random indices, hedges, verdicts) ask holders
one by one [paper §II.B].
"""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import TYPE_CHECKING, Final

from overlay.errors import LocalError, RemoteError
from overlay.ring.contacts import MAX_CONTACTS
from overlay.ring.ids import Peer, RingId, clockwise_from, piece_position, position_of
from overlay.ring.placement import place
from overlay.ring.reading import Reading
from overlay.ring.successors import SuccessorWalk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from overlay.ring.chord_server import ChordServer
    from overlay.ring.holder_calls import HolderCalls
    from overlay.ring.holding import Holding
    from overlay.trust.pieces import KeyPiece
    from overlay.trust.records import LookupRecord, ShareList
    from overlay.trust.tombstone import Tombstone

COPY_NODES: Final = 4
"""A piece lies, with its second copy, on two of so many nodes from its place on [docs/protocol.md §8]."""
HOME_NODES: Final = 4
"""Nodes asked for a user's last piece, whose place is the user's own position, to learn how many pieces there are."""


class Spread:
    """Puts and gets all pieces of a user."""

    __slots__ = ("_calls", "_clock", "_dealing_public", "_server")

    def __init__(
        self, server: ChordServer, calls: HolderCalls, *, dealing_public: bytes, clock: Callable[[], float]
    ) -> None:
        """Take the ring, the calls to holders, the 32-byte key that signs pieces, and the wall clock for expiry."""
        self._server = server
        self._calls = calls
        self._dealing_public = dealing_public
        self._clock = clock

    async def put(
        self,
        aor: str,
        pieces: Sequence[KeyPiece],
        record: LookupRecord | None,
        *,
        share_list: ShareList | None = None,
    ) -> dict[int, Peer]:
        """Store the pieces of one user at their places; return the owner of each index that acknowledged.

        LocalError when a piece is another user's.
        """
        if any(piece.aor != aor for piece in pieces):
            raise LocalError("pieces of another user")
        positions = {piece.index: piece_position(aor, piece.index, piece.n) for piece in pieces}
        owners = await self.owners(positions, max((piece.n for piece in pieces), default=1))
        held = await asyncio.gather(
            *(self._calls.store_at(owners[piece.index], piece, record, share_list=share_list) for piece in pieces)
        )
        return {piece.index: owners[piece.index] for piece, kept in zip(pieces, held, strict=True) if kept}

    async def get(self, aor: str) -> dict[Peer, Holding]:
        """Return what the owners of the user's places hold of that user, nodes that hold nothing left out.

        How many places there are says a piece that the overlay signed.
        """
        found = await self._fetch(await self._server.successors(position_of(aor), HOME_NODES), aor)
        for n in self._counts(found):
            positions = {index: piece_position(aor, index, n) for index in range(1, n + 1)}
            owners = await self.owners(positions, n)
            found.update(await self._fetch(sorted(set(owners.values()) - found.keys()), aor))
        return {peer: holding for peer, holding in found.items() if not holding.is_empty}

    async def bury(self, tombstone: Tombstone) -> frozenset[RingId]:
        """Bring a tombstone to everybody who should have pieces of its key; return the ids of those that keep it.

        That is the owners of the places and, where the second copies lie, the next nodes behind each place. They need
        not be asked first: who has no piece of the key keeps no tombstone.
        """
        found = await self.get(tombstone.aor)
        places = {piece_position(tombstone.aor, index, n) for n in self._counts(found) for index in range(1, n + 1)}
        runs = await asyncio.gather(*(self._server.successors(at, COPY_NODES) for at in sorted(places)))
        peers = sorted({*found, *chain.from_iterable(runs)})
        kept = await asyncio.gather(*(self._calls.store_at(peer, None, tombstone) for peer in peers))
        return frozenset(peer.id for peer, keeps in zip(peers, kept, strict=True) if keeps)

    async def read(
        self, aor: str, n: int, enough: Callable[[Mapping[Peer, Holding]], bool], *, first: int | None = None
    ) -> dict[Peer, Holding]:
        """Return what nodes hold of a user of n places, as soon as that is enough."""
        first = n if first is None else min(first, n)
        reading = Reading(
            self._server, self._calls, aor=aor, n=n, first=first, enough=enough, is_signed=self._is_signed
        )
        await reading.run()
        return dict(reading.found)

    async def owners(self, positions: Mapping[int, RingId], count: int) -> dict[int, Peer]:
        """Return who should keep each piece; in a ring smaller than a look-up one look-up tells them all.

        In a larger one the places' successors are it, unless two places have the same.
        """
        if not positions:
            return {}
        if self._server.rpc.count() >= MAX_CONTACTS:
            nearest = await asyncio.gather(*(self._server.successor(at) for at in positions.values()))
            if len(set(nearest)) == len(positions):
                return dict(zip(positions, nearest, strict=True))
        first = SuccessorWalk(next(iter(positions.values())), count=count)
        await self._server.walk(first)
        if first.whole_ring is not None:
            whole = first.whole_ring
            return place(positions, {index: clockwise_from(at, whole)[:count] for index, at in positions.items()})
        lists = await asyncio.gather(*(self._server.successors(at, count) for at in positions.values()))
        return place(positions, dict(zip(positions, lists, strict=True)))

    async def _fetch(self, peers: Sequence[Peer], aor: str) -> dict[Peer, Holding]:
        holdings = await asyncio.gather(*(self._calls.fetch_at(peer, aor) for peer in peers))
        return {peer: holding for peer, holding in zip(peers, holdings, strict=True) if holding is not None}

    def _counts(self, found: Mapping[Peer, Holding]) -> set[int]:
        """Return how many places the user has, as the pieces say that the overlay signed: most often one number."""
        return {piece.n for holding in found.values() for piece in holding.pieces if self._is_signed(piece)}

    def _is_signed(self, piece: KeyPiece) -> bool:
        """Tell whether the overlay signed a piece, so that its count of pieces is the true one."""
        try:
            piece.verify(self._dealing_public, now=self._clock())
        except RemoteError:
            return False
        return True
