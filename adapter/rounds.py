"""One round of upkeep: where pieces belong, who has them, what is stored and what is let go.

I/O: dht, through the Chord interface alone.  [paper §II.B]

The order of the steps is the safety of it.  Nothing is let go before its place has acknowledged it in this very round,
so whatever moment a round dies at, and whichever node with it, no piece has fewer copies than before.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from adapter.findings import fewest_holders
from overlay.ring.chord import Chord
from overlay.ring.ids import Peer, RingId, piece_position
from overlay.ring.placement import place
from overlay.ring.storage import Holding
from overlay.trust.pieces import KeyPiece
from overlay.trust.records import LookupRecord, Release, ShareList
from overlay.trust.seals import Seals

MAX_PARALLEL = 8
"""Questions and stores in flight at once."""
NEAR_NODES = 3
"""How many nodes clockwise of each place are asked for copies, besides those known to have some."""
COPIES_FROM = 4
"""In a ring of at least this many times n nodes a second copy of each piece is kept."""

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round found and did."""

    placed: dict[int, Peer]
    """Piece index -> the node at its place, where that node holds it by its own answer."""
    holders: dict[int, tuple[Peer, ...]]
    """Piece index -> every node seen to hold it at the end of the round."""
    missing: tuple[int, ...]
    """Indices that one of their places did not take."""
    moved: int
    """Pieces stored at a node that did not have them."""
    released: int
    """Pieces that old holders dropped."""
    kept_on: int
    """Pieces that old holders should drop and did not."""
    ring_size_known: int
    """Nodes known at the round, this one included."""
    attackers_needed: int
    """The fewest nodes that hold k distinct indices together, copies counted; 0 when k are not held."""

    @property
    def distinct_holders(self) -> int:
        """How many distinct nodes hold at least one piece."""
        return len({peer for peers in self.holders.values() for peer in peers})

    @property
    def settled(self) -> bool:
        """Whether every piece lay at its place, and nowhere else, before the round began."""
        return not (self.missing or self.moved or self.released or self.kept_on)


class Owner(Protocol):
    """What a round needs of the one whose pieces it moves."""

    @property
    def pieces(self) -> Mapping[int, KeyPiece]:
        """All n pieces, by index."""

    @property
    def share_list(self) -> ShareList:
        """The overlay key's word on the pieces, which holders ask for."""

    @property
    def seals(self) -> tuple[Seals, ...]:
        """What holders need to rebuild a lost piece while the owner is away."""

    @property
    def sealed(self) -> set[Peer]:
        """The nodes that hold these seals; a round adds to it and takes from it."""

    def record_above(self, sequence: int) -> LookupRecord:
        """Return the lookup record to lie beside every piece; its sequence is `sequence` or higher."""

    def release(self, holder: Peer, indices: Iterable[int]) -> Release:
        """Sign the leave for one holder to drop these pieces."""

    def has_signed(self, record: LookupRecord) -> bool:
        """Whether this record is the owner's own."""


class RoundRun:
    """One round, to be run once."""

    def __init__(self, ring: Chord, owner: Owner, *, known_holders: Iterable[Peer]) -> None:
        """`known_holders` are the nodes that held a piece at the end of the last round."""
        self._ring, self._owner = ring, owner
        self._pieces = owner.pieces
        first = self._pieces[1]
        self._aor, self._k, self._n = first.aor, first.k, first.n
        self._known_holders = list(known_holders)
        self._slots = asyncio.Semaphore(MAX_PARALLEL)

    async def run(self) -> Round:
        """Do the four steps of `adapter.upkeep` and return what came of them."""
        known = {self._ring.me, *self._ring.peers()}
        places, near = await self._places(len(known))
        answers = await self._ask(known, places, near)
        stored = await self._store_all(places, answers)
        holders: dict[int, dict[Peer, None]] = {
            index: {peer: None for peer, holding in answers.items() if self._holds(holding, index)}
            | {peer: None for peer, indices in stored.items() if index in indices}
            for index in self._pieces
        }
        surplus = {
            peer: indices
            for peer in answers
            if (indices := [index for index in holders if self._may_leave(peer, places[index], holders[index])])
        }
        released = await self._each(surplus, self._release_from(surplus, answers))
        for peer, done in released.items():
            for index in surplus[peer] if done else ():
                del holders[index][peer]
        held = {index: tuple(peers) for index, peers in holders.items()}
        return Round(
            placed={index: peers[0] for index, peers in places.items() if peers[0] in held[index]},
            holders=held,
            missing=tuple(index for index, peers in places.items() if not set(peers) <= set(held[index])),
            moved=sum(map(len, stored.values())),
            released=sum(len(surplus[peer]) for peer, done in released.items() if done),
            kept_on=sum(len(surplus[peer]) for peer, done in released.items() if not done),
            ring_size_known=len(known | set(answers)),
            attackers_needed=fewest_holders(held, k=self._k),
        )

    async def _places(self, ring_size: int) -> tuple[dict[int, tuple[Peer, ...]], set[Peer]]:
        """Return the nodes that each piece belongs to, its owner first, and the nodes just behind them."""
        positions = {index: piece_position(self._aor, index, self._n) for index in self._pieces}
        copies = ring_size >= COPIES_FROM * self._n
        # a second copy per piece needs a walk that can step over 2n - 1 taken nodes
        reach = 2 * self._n if copies else self._n

        async def successors_of(position: RingId) -> list[Peer]:
            return await self._ring.successor_list(position, reach)

        lists = await self._each(positions.values(), successors_of)
        successors = {index: lists[position] for index, position in positions.items()}
        owners = place(positions, successors)
        places: dict[int, tuple[Peer, ...]] = {index: (owners[index],) for index in sorted(owners)}
        taken = set(owners.values())
        for index in places if copies else ():
            spare = next((peer for peer in successors[index] if peer not in taken), None)
            if spare is not None:
                taken.add(spare)
                places[index] = (*places[index], spare)
        return places, {peer for peers in successors.values() for peer in peers[:NEAR_NODES]}

    async def _ask(
        self, known: set[Peer], places: Mapping[int, tuple[Peer, ...]], near: set[Peer]
    ) -> dict[Peer, Holding | None]:
        concerned = {peer for peers in places.values() for peer in peers} | near | set(self._known_holders)
        if len(known) <= 2 * self._n:
            concerned |= known

        async def fetch(peer: Peer) -> Holding | None:
            return await self._ring.fetch_at(peer, self._aor)

        return await self._each(sorted(concerned), fetch)

    async def _store_all(
        self, places: Mapping[int, tuple[Peer, ...]], answers: Mapping[Peer, Holding | None]
    ) -> dict[Peer, list[int]]:
        """Store what is missing at its place, the record beside it; return which node took which piece."""
        record = self._owner.record_above(self._highest_sequence(answers))
        wanted: dict[Peer, list[int]] = {}
        for index, peers in places.items():
            for peer in peers:
                wanted.setdefault(peer, []).append(index)

        for peer, holding in answers.items():
            if peer not in wanted and self._has_older(holding):
                # one new piece is what makes a holder let the old ones go; the next round takes it back
                wanted[peer] = [min(piece.index for piece in holding.pieces)] if holding is not None else []

        self._owner.sealed.intersection_update(wanted)

        async def store(peer: Peer) -> list[int]:
            holding = answers[peer]
            if holding is None:
                return []  # it did not answer a moment ago; the next round asks again, if it is still a member
            lacking = [index for index in wanted[peer] if not self._is_current(holding, index)]
            fresh = holding.record is not None and holding.record.sequence >= record.sequence
            took: list[int] = []
            for index in lacking:
                beside = None if fresh or took else record
                if await self._ring.store_at(peer, self._pieces[index], beside, share_list=self._owner.share_list):
                    took.append(index)
            if not fresh and not took:
                await self._ring.store_at(peer, None, record)
            await self._seal(peer, again=bool(took))
            return [index for index in took if not self._holds(holding, index)]

        return await self._each(wanted, store)

    async def _seal(self, peer: Peer, *, again: bool) -> None:
        """Leave the seals with a node that holds a piece, where it does not have them yet."""
        if peer in self._owner.sealed and not again:
            return
        if all([await self._ring.store_at(peer, None, seals) for seals in self._owner.seals]):
            self._owner.sealed.add(peer)
        else:
            self._owner.sealed.discard(peer)

    def _highest_sequence(self, answers: Mapping[Peer, Holding | None]) -> int:
        # a record counts only if the owner signed it: a liar could else push the sequence to its end
        return max(
            (
                holding.record.sequence
                for holding in answers.values()
                if holding is not None and holding.record is not None and self._owner.has_signed(holding.record)
            ),
            default=0,
        )

    def _release_from(
        self, surplus: Mapping[Peer, list[int]], answers: Mapping[Peer, Holding | None]
    ) -> Callable[[Peer], Awaitable[bool]]:
        async def release(peer: Peer) -> bool:
            holding = answers[peer]
            if holding is None or holding.record is None:
                # a holder knows whose leave counts from the record beside the pieces
                await self._ring.store_at(peer, None, self._owner.record_above(0))
            return await self._ring.release_at(peer, self._owner.release(peer, surplus[peer]))

        return release

    @staticmethod
    def _may_leave(peer: Peer, places: tuple[Peer, ...], holders: Iterable[Peer]) -> bool:
        """Whether this node holds a piece that it should drop, and every place of that piece has it."""
        return peer in holders and peer not in places and set(places) <= set(holders)

    def _holds(self, holding: Holding | None, index: int) -> bool:
        mine = self._pieces[index]
        return holding is not None and any(
            (piece.index, piece.generation, piece.share) == (index, mine.generation, mine.share)
            for piece in holding.pieces
        )

    def _has_older(self, holding: Holding | None) -> bool:
        """Whether a node knows of an older generation of this user and of no piece of ours."""
        if holding is None or not holding.pieces:
            return False
        return all(piece.generation < self._pieces[1].generation for piece in holding.pieces)

    def _is_current(self, holding: Holding, index: int) -> bool:
        mine = self._pieces[index]
        return any(
            (piece.index, piece.generation, piece.share) == (index, mine.generation, mine.share)
            and piece.expires_at >= mine.expires_at
            for piece in holding.pieces
        )

    async def _each(self, items: Iterable[_T], work: Callable[[_T], Awaitable[_R]]) -> dict[_T, _R]:
        """Do the same to each item, a few at a time, and return the results by item."""

        async def one(item: _T) -> tuple[_T, _R]:
            async with self._slots:
                return item, await work(item)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(item)) for item in dict.fromkeys(items)]
        return dict(task.result() for task in tasks)
