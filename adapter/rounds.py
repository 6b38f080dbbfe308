"""One round of upkeep: where pieces belong, who has them, what is stored and what is let go.

I/O: dht, through the Chord interface alone.  [paper §II.B]

The first round walks the ring from every place. A later one, where the places are known, is about those alone whose
neighbourhood has moved, and has each node that it finds there confirmed by the one before it.

The order of the steps is the safety of it.  Nothing is let go before its place has acknowledged it in this very round,
so whatever moment a round dies at, and whichever node with it, no piece has fewer copies than before.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from adapter.findings import fewest_holders
from overlay.ring.chord import Chord
from overlay.ring.ids import Peer, RingId, clockwise_from, piece_position, shift
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

_Places = dict[int, tuple[Peer, ...]]

_T = TypeVar("_T")
_R = TypeVar("_R")


def has_copies(ring_size: int, n: int) -> bool:
    """Tell whether a ring of that many nodes has room for a second copy of each of n pieces."""
    return ring_size >= COPIES_FROM * n


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one round found and did."""

    placed: dict[int, Peer]
    """Piece index -> the node at its place, where that node holds it by its own answer."""
    places: dict[int, tuple[Peer, ...]]
    """Piece index -> the nodes that should hold it, the owner of its place first."""
    runs: dict[int, tuple[Peer, ...]]
    """Piece index -> the nodes at and after its place, as far as the last one that should hold it."""
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
    def copies(self) -> bool | None:
        """Whether each piece has a second place; None before the first round."""
        return any(len(peers) > 1 for peers in self.places.values()) if self.places else None

    @property
    def unsettled(self) -> frozenset[int]:
        """The indices that some place did not take, or that lie where they should not."""
        return frozenset(
            index
            for index, peers in self.places.items()
            if index in self.missing or not set(self.holders[index]) <= set(peers)
        )

    @property
    def settled(self) -> bool:
        """Whether every piece lay at its place, and nowhere else, before the round began."""
        return not (self.missing or self.moved or self.released or self.kept_on)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a round is about, where not everything."""

    indices: frozenset[int]
    """The pieces whose holders are asked."""
    moved: frozenset[int]
    """Those of them whose places have to be found anew."""
    nearby: Mapping[int, tuple[Peer, ...]]
    """Piece index -> the nodes at and after its place, by hearsay."""


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

    def __init__(self, ring: Chord, owner: Owner, *, before: Round, about: About | None = None) -> None:
        """`before` is the last round; without `about` every place is walked to and its holders are asked."""
        self._ring, self._owner, self._before, self._about = ring, owner, before, about
        self._pieces = owner.pieces
        first = self._pieces[1]
        self._aor, self._k, self._n = first.aor, first.k, first.n
        self._slots = asyncio.Semaphore(MAX_PARALLEL)

    async def run(self) -> Round:
        """Do the four steps of `adapter.upkeep` and return what came of them."""
        known = {self._ring.me, *self._ring.peers()}
        runs, places, near = await self._places(len(known))
        answers = await self._ask(known, places, near)
        stored = await self._store_all(places, answers)
        holders: dict[int, dict[Peer, None]] = {
            index: {peer: None for peer in self._before.holders.get(index, ()) if peer not in answers}
            | {peer: None for peer, holding in answers.items() if self._holds(holding, index)}
            | {peer: None for peer, indices in stored.items() if index in indices}
            for index in self._pieces
        }
        # what nobody was asked about in this round, nobody acknowledged in it either
        asked = self._pieces if self._about is None else self._about.indices
        surplus = {
            peer: indices
            for peer in answers
            if (indices := [index for index in asked if self._may_leave(peer, places[index], holders[index])])
        }
        released = await self._each(surplus, self._release_from(surplus, answers))
        for peer, done in released.items():
            for index in surplus[peer] if done else ():
                del holders[index][peer]
        held = {index: tuple(peers) for index, peers in holders.items()}
        return Round(
            placed={index: peers[0] for index, peers in places.items() if peers[0] in held[index]},
            places=places,
            runs=runs,
            holders=held,
            missing=tuple(index for index, peers in places.items() if not set(peers) <= set(held[index])),
            moved=sum(map(len, stored.values())),
            released=sum(len(surplus[peer]) for peer, done in released.items() if done),
            kept_on=sum(len(surplus[peer]) for peer, done in released.items() if not done),
            ring_size_known=len(known | set(answers)),
            attackers_needed=fewest_holders(held, k=self._k),
        )

    async def _places(self, ring_size: int) -> tuple[_Places, _Places, set[Peer]]:
        """Return the nodes from each place on, those of them that its piece belongs to, and who else may have it."""
        copies = has_copies(ring_size, self._n)
        if self._about is not None and (runs := await self._confirmed(self._about.moved, copies=copies)) is not None:
            return runs, runs, await self._named_near(runs)
        self._about = None
        return await self._walked(copies=copies)

    async def _confirmed(self, moved: Iterable[int], *, copies: bool) -> _Places | None:
        """Find the owners of some places anew, and who follows each; None where pieces would have to step aside."""
        before = self._before
        if before.places != before.runs or before.copies not in {None, copies}:
            return None

        async def from_place(index: int) -> tuple[Peer, ...]:
            owner = await self._ring.find_successor(piece_position(self._aor, index, self._n))
            return (owner, await self._ring.find_successor(shift(owner.id, 1))) if copies else (owner,)

        runs = before.places | await self._each(moved, from_place)
        taken = [peer for peers in runs.values() for peer in peers]
        return runs if len(taken) == len(set(taken)) else None

    async def _named_near(self, runs: _Places) -> set[Peer]:
        """Return those near the places in question, by hearsay; where nobody was asked yet, the owners are."""
        about = self._about or About(indices=frozenset(), moved=frozenset(), nearby={})

        async def after(index: int) -> list[Peer]:
            at, owner = piece_position(self._aor, index, self._n), runs[index][0]
            return clockwise_from(at, [owner, *(await self._ring.around(owner, at) or ())])

        heard = await self._each(about.indices.difference(about.nearby), after)
        return {peer for index in about.indices for peer in (heard.get(index) or about.nearby[index])[:NEAR_NODES]}

    async def _walked(self, *, copies: bool) -> tuple[_Places, _Places, set[Peer]]:
        positions = {index: piece_position(self._aor, index, self._n) for index in self._pieces}
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
        runs = {
            index: tuple(peers[: 1 + max(peers.index(peer) for peer in places[index])])
            for index, peers in successors.items()
        }
        return runs, places, {peer for peers in successors.values() for peer in peers[:NEAR_NODES]}

    async def _ask(
        self, known: set[Peer], places: Mapping[int, tuple[Peer, ...]], near: set[Peer]
    ) -> dict[Peer, Holding | None]:
        indices = self._pieces if self._about is None else self._about.indices
        concerned = near.union(*(places[index] for index in indices))
        concerned.update(*(self._before.holders.get(index, ()) for index in indices))
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
        wanted = self._wanted(places, answers)
        self._owner.sealed.intersection_update({peer for peers in places.values() for peer in peers}.union(wanted))

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

    def _wanted(
        self, places: Mapping[int, tuple[Peer, ...]], answers: Mapping[Peer, Holding | None]
    ) -> dict[Peer, list[int]]:
        """Return which of the nodes that were asked should hold which pieces."""
        wanted: dict[Peer, list[int]] = {}
        for index, peers in places.items():
            for peer in peers:
                if peer in answers:
                    wanted.setdefault(peer, []).append(index)
        for peer, holding in answers.items():
            if peer not in wanted and self._has_older(holding):
                # one new piece is what makes a holder let the old ones go; the next round takes it back
                wanted[peer] = [min(piece.index for piece in holding.pieces)] if holding is not None else []
        return wanted

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
