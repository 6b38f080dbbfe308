"""Keep one user's pieces and lookup record where readers look for them, without the bootstrap.

I/O: dht, through the Chord interface alone.  [paper §II.B]

The owner's adapter got all n signed pieces at registration.  From then on it alone moves them: on a change of the ring
near one of its places, and every `ROUND_S` in any case, it runs one *round*:

1. compute the placement from the ring's successor lists (`overlay.ring.placement`);
2. ask the nodes concerned what they hold;
3. store what is missing at its place, the lookup record beside every piece;
4. only where a place has acknowledged its piece, let the old holders drop theirs, by a signed release each.

In a ring of more than 2n nodes it first takes a look at the places (`adapter.lookout`), and the round is about those
alone where something has moved, or about all of them where the record is due.

A round that is repeated does nothing, a round that is cut short leaves more copies than needed and never fewer, and two
rounds never run at once (`adapter.rounds`).  Every figure shown to a user (`holders`, `attackers_needed`) comes from
what holders answered, in this round or since the record was renewed last, not from what was once stored.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from adapter.lookout import look
from adapter.pace import RETRY_S, Pace
from adapter.rounds import About, Round, RoundRun, has_copies
from overlay.errors import LocalError, RemoteError
from overlay.ring.chord import Chord
from overlay.ring.ids import Peer, clockwise, id_to_bytes, piece_position
from overlay.trust.identity import PrivateBundle
from overlay.trust.pieces import KeyPiece
from overlay.trust.records import LookupRecord, Release, ShareList
from overlay.trust.seals import Seals

ROUND_S = 10.0
"""The longest time between two rounds, in seconds."""
WIDE_ROUND_S = 30.0
"""From one look at the places to the next in a ring of more than 2n nodes, where a round costs lookups."""
DEBOUNCE_S = 0.3
"""How long the ring has to be quiet before a change starts a round, in seconds."""
MAX_DEBOUNCE_S = 1.5
"""How long a restless ring can put a round off, in seconds."""
RECORD_LIFETIME_S = 600
"""How long a lookup record lives, in seconds; renewed at half of it."""

_log = logging.getLogger(__name__)


class Upkeep:
    """Keeps the pieces and the lookup record of one user alive and in place."""

    def __init__(
        self,
        ring: Chord,
        *,
        user: PrivateBundle,
        pieces: Sequence[KeyPiece],
        share_list: ShareList,
        succession: bytes = b"",
        clock: Callable[[], float] = time.time,
        sequence: int = 0,
        on_round: Callable[[Round], None] | None = None,
    ) -> None:
        """`pieces` are all n pieces of this user, `share_list` the overlay key's word on them.

        `sequence` is the highest one ever published, as far as known; `succession` the links that lead to this key.
        """
        self._ring, self._user, self._clock, self._on_round = ring, user, clock, on_round
        self._pieces = _complete(pieces, share_list, user)
        self._share_list, self._succession = share_list, succession
        self._seals = Seals.issue(user, [self._pieces[index] for index in sorted(self._pieces)])
        self._sealed: set[Peer] = set()
        self._aor, self._generation, self._n = pieces[0].aor, pieces[0].generation, pieces[0].n
        self._sequence = sequence
        self._record: LookupRecord | None = None
        self._release_sequence = 0
        self._last = Round(
            placed={},
            places={},
            runs={},
            holders={},
            missing=tuple(self._pieces),
            moved=0,
            released=0,
            kept_on=0,
            ring_size_known=1,
            attackers_needed=0,
        )
        self._positions = {index: piece_position(self._aor, index, self._n) for index in self._pieces}
        self._is_wide = False
        """Whether the ring was too large, at the last turn, to ask everybody in every round."""
        self._due: set[int] = set()
        """The indices near which something has changed."""
        self._look_at = 0.0
        """When to look at all of them, on the loop's clock."""
        self._told: LookupRecord | None = None
        """The record that a round has brought to every place."""
        self._pace = Pace()
        self._changed = asyncio.Event()
        self._spoken = asyncio.Event()
        self._stopped = False
        self._running = asyncio.Lock()
        self.counters: Counter[str] = Counter()
        """Rounds, moved and released pieces, published records so far."""

    @property
    def last(self) -> Round:
        """What the latest round found."""
        return self._last

    @property
    def record(self) -> LookupRecord | None:
        """The lookup record published last, None before the first round."""
        return self._record

    @property
    def sequence(self) -> int:
        """The highest sequence published or seen; to be kept across restarts."""
        return self._sequence

    @property
    def distinct_holders(self) -> int:
        """How many distinct nodes held a piece at the end of the latest round."""
        return self._last.distinct_holders

    def placed(self) -> dict[int, Peer]:
        """Return piece index -> node, for each piece that lies at its place."""
        return dict(self._last.placed)

    def renew(self, pieces: Sequence[KeyPiece], share_list: ShareList) -> None:
        """Take the same pieces with a later expiry, from the bootstrap; the next round stores them."""
        renewed = _complete(pieces, share_list, self._user)
        if any(renewed[i].share != piece.share or renewed[i].aor != piece.aor for i, piece in self._pieces.items()):
            raise LocalError("a renewal brings the same shares again")
        self._pieces, self._share_list = renewed, share_list
        self._seals = Seals.issue(self._user, [renewed[index] for index in sorted(renewed)])
        self._sealed.clear()
        self._told = None
        self._changed.set()

    def changed(self, peers: Collection[Peer]) -> None:
        """Say that these nodes came, went or fell silent: where one is near a place, a turn starts when it is quiet."""
        near = set(self._pieces)
        if self._is_wide:
            near = {index for index in self._pieces if any(self._is_near(peer, index) for peer in peers)}
        if near:
            self._due |= near
            self._changed.set()

    async def spoken(self) -> None:
        """Wait until a round has brought every place the pieces and a record of this life of the adapter."""
        await self._spoken.wait()

    def stop(self) -> None:
        """End `run` after the round in progress."""
        self._stopped = True
        self._changed.set()

    async def run(self) -> None:
        """Run rounds until `stop`."""
        while not self._stopped:
            try:
                has_moved, is_settled = await self._turn()
            except Exception:  # noqa: BLE001 - it is logged, and whatever it was:
                # a round that fails must not be the last one: the pieces would lie where they lie until they expire
                _log.exception("a round of %s's upkeep failed", self._aor)
                self.counters["failed rounds"] += 1
                await self._wait(RETRY_S)
                continue
            longest_s = WIDE_ROUND_S if self._is_wide else ROUND_S
            pause_s = self._pace.after(
                has_moved=has_moved, is_settled=is_settled, quiet_s=self._quiet_s(), longest_s=longest_s
            )
            await self._wait(pause_s)

    async def round(self) -> Round:
        """Run a whole round, after the one in progress if there is one, and return what it found and did."""
        async with self._running:
            return await self._run(None)

    async def _turn(self) -> tuple[bool, bool]:
        """Do what is due; return whether something was moved, and whether there is nothing left to do."""
        ring_size = self._ring.size()
        self._is_wide = ring_size > 2 * self._n
        if not self._is_wide or self._last.copies not in {None, has_copies(ring_size, self._n)}:
            done = await self.round()
            return bool(done.moved or done.released), done.settled
        async with self._running:
            about = await self._what_moved() if self._last.runs else self._everything()
            if not about.indices:
                return False, True
            done = await self._run(about)
        return bool(done.moved or done.released), not done.unsettled

    async def _what_moved(self) -> About:
        """Look at the places where something has changed, or at all of them if it is time; say what to do about it."""
        now = asyncio.get_running_loop().time()
        due, self._due = set(self._pieces) if now >= self._look_at else self._due, set()
        if len(due) == self._n:
            self._look_at = now + WIDE_ROUND_S
        restless = self._last.unsettled
        sight = await look(self._ring, {index: self._positions[index] for index in due}, self._last.runs)
        self.counters["looks"] += 1
        moved = sight.moved | restless
        return About(indices=moved if self._is_told() else moved.union(self._pieces), moved=moved, nearby=sight.nearby)

    def _everything(self) -> About:
        everything = frozenset(self._pieces)
        return About(indices=everything, moved=everything, nearby={})

    async def _run(self, about: About | None) -> Round:
        whole = about is None or about.indices.issuperset(self._pieces)
        if about is None or len(about.moved) == self._n:
            self._due, self._look_at = set(), asyncio.get_running_loop().time() + WIDE_ROUND_S
        self._last = await RoundRun(self._ring, self, before=self._last, about=about).run()
        self._told = self._record if whole else self._told
        if whole:
            self._spoken.set()
        self.counters.update(rounds=1, moved=self._last.moved, released=self._last.released)
        if self._on_round is not None:
            self._on_round(self._last)
        return self._last

    async def _wait(self, limit_s: float) -> None:
        """Wait until the next round is due anyway, or a change of the ring asks for one."""
        loop = asyncio.get_running_loop()
        due = loop.time() + limit_s
        try:
            async with asyncio.timeout_at(due):
                await self._changed.wait()
        except TimeoutError:
            return
        begin = min(due, loop.time() + self._pace.hurry(loop.time()))
        end = max(begin, loop.time() + MAX_DEBOUNCE_S)
        while not self._stopped and loop.time() < (end if self._changed.is_set() else begin):
            self._changed.clear()
            await asyncio.sleep(DEBOUNCE_S)
        self._changed.clear()

    def _quiet_s(self) -> float:
        """Return how long to wait where nothing is left to do and nothing changes."""
        if not self._is_wide:
            return ROUND_S
        return max(0.0, self._look_at - asyncio.get_running_loop().time())

    def _is_near(self, peer: Peer, index: int) -> bool:
        """Whether a node holds a piece, or stands where it could be the owner of its place or follow that one."""
        run = self._last.runs.get(index)
        if run is None or peer in run or peer in self._last.holders[index]:
            return True
        at = self._positions[index]
        return clockwise(at, peer.id) <= clockwise(at, run[-1].id)

    def _is_told(self) -> bool:
        """Whether every place was brought the record, and that is good for a while."""
        return self._told is not None and self._told is self._record and self._is_good(self._told)

    def _is_good(self, record: LookupRecord) -> bool:
        """Whether a record is young, and true."""
        me, age_s = self._ring.me, self._clock() - record.issued_at
        is_true = (record.node_id, record.host, record.port) == (id_to_bytes(me.id), me.host, me.port)
        return is_true and 0 <= age_s < RECORD_LIFETIME_S / 2

    # what a round asks of its owner

    @property
    def pieces(self) -> Mapping[int, KeyPiece]:
        """All n pieces, by index."""
        return self._pieces

    @property
    def share_list(self) -> ShareList:
        """The overlay key's word on the pieces, which holders ask for."""
        return self._share_list

    @property
    def seals(self) -> tuple[Seals, ...]:
        """What holders need to rebuild a lost piece while this user is away."""
        return self._seals

    @property
    def sealed(self) -> set[Peer]:
        """The nodes that hold these seals, by their own answer."""
        return self._sealed

    def record_above(self, sequence: int) -> LookupRecord:
        """Return the record to lie beside every piece: the last one, or a new one where that is old or untrue."""
        now, me, last = self._clock(), self._ring.me, self._record
        # somebody may hold a newer one, of an earlier life of this adapter
        if last is None or last.sequence < sequence or not self._is_good(last):
            # the clock keeps the sequence growing where the state of an earlier life was lost
            self._sequence = max(self._sequence + 1, sequence + 1, int(now))
            self._record = last = LookupRecord.issue(
                self._user,
                aor=self._aor,
                generation=self._generation,
                node_id=id_to_bytes(me.id),
                host=me.host,
                port=me.port,
                sequence=self._sequence,
                issued_at=int(now),
                expires_at=int(now) + RECORD_LIFETIME_S,
                succession=self._succession,
            )
            self.counters["records"] += 1
        return last

    def release(self, holder: Peer, indices: Iterable[int]) -> Release:
        """Sign the leave for one holder to drop these pieces."""
        # milliseconds since the epoch: above whatever an earlier life of this adapter has signed
        self._release_sequence = max(self._release_sequence + 1, int(self._clock() * 1000))
        return Release.issue(
            self._user,
            aor=self._aor,
            generation=self._generation,
            node_id=id_to_bytes(holder.id),
            indices=tuple(sorted(indices)),
            sequence=self._release_sequence,
        )

    def has_signed(self, record: LookupRecord) -> bool:
        """Whether a record is this user's own, of this generation, and counts now."""
        if (record.aor, record.generation, record.bundle) != (self._aor, self._generation, self._user.public.encode()):
            return False
        try:
            record.verify(now=self._clock())
        except RemoteError:
            return False
        return True


def _complete(pieces: Sequence[KeyPiece], share_list: ShareList, user: PrivateBundle) -> dict[int, KeyPiece]:
    """Return the pieces by index; LocalError unless they are all n pieces of one generation of this user's key.

    The share list must be of these very pieces.
    """
    by_index = {piece.index: piece for piece in pieces}
    dealt = {(piece.aor, piece.generation, piece.k, piece.n, piece.thumbprint) for piece in pieces}
    if len(dealt) != 1 or len(by_index) != len(pieces) or len(pieces) != pieces[0].n:
        raise LocalError("upkeep needs every piece of one generation once")
    if pieces[0].thumbprint != user.public.thumbprint():
        raise LocalError("upkeep needs the pieces of this user's own key")
    if not all(share_list.names(piece) for piece in pieces):
        raise LocalError("upkeep needs the share list of these pieces")
    return by_index
