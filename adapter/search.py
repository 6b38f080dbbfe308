"""One lookup of a user: whom it asks for key pieces and lookup record, in which waves, and until when.

I/O: dht, through the Chord interface alone.  [paper §II.C]

1. The owners of 2k-1 *randomly drawn* pieces are asked at once: k of them rebuild the key, k-1 bear witness.
2. As soon as one of them is late, silent, without its piece or off the polynomial, everyone else who matters is asked
   too: every node of a ring of at most 2n nodes; in a larger one the owners of the other pieces, and the nodes right
   behind the places that gave none, where the second copies lie. Whom these are is asked of those on either side, and
   each of them that answers is heard: one liar who answers first hides no copy.
3. In a larger ring, a position whose owner and followers have all failed to give the piece is walked clockwise, without
   waiting for the other positions: a placement made a moment ago, by somebody who knew one node more or fewer, lies
   there, and so does what liars near the place deny.

Nodes that this adapter caught lying before are left out of the first wave where there are enough others, and asked last
in the second; what they say counts as before (`adapter.liars`).

What the answers are worth is decided in `adapter.evidence`.  A node may be asked once per lookup, whatever it owns, and
this adapter's own node is a node like the others.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from adapter.evidence import Evidence
from adapter.findings import Found, Key, KeyChanged, KeyUnverifiable, NameAway, NameRevoked, NameUnknown
from adapter.pins import Pin
from overlay.ring.chord import Chord, RingUnreachable
from overlay.ring.ids import Peer, RingId, clockwise, clockwise_from, id_from_bytes, id_to_bytes, piece_position
from overlay.ring.placement import place
from overlay.trust.acceptance import Liar
from overlay.trust.identity import KeyBundle
from overlay.trust.records import LookupRecord

HEDGE_S = 0.1
"""How long the first wave may take before the second one starts beside it, in seconds."""
LOOKUP_LIMIT_S = 2.4
"""When a lookup is decided over what has come by then, in seconds; a caller's phone is answered within 3."""
WALK_NODES = 4
"""How many nodes clockwise of a position are asked for a missing piece in a ring of more than 2n nodes."""
NEAR_NODES = 3
"""How many nodes after a position, as far as known, are asked for a missing piece as soon as the first wave is late."""
MAX_PARALLEL = 32
"""Questions in flight at once."""

Trace = Callable[[str, dict[str, Any]], None]
"""Told of each step: its name and its details, all of them fit for JSON."""

_PENDING_ID = bytes(20)


class Search:
    """One lookup: who has been asked, what they said, whether that is enough."""

    def __init__(
        self,
        ring: Chord,
        evidence: Evidence,
        *,
        aor: str,
        n: int,
        order: tuple[int, ...],
        drawn: int,
        shunned: set[RingId],
        wanted: int | None,
        clock: Callable[[], float],
        trace: Trace,
        pin: Pin | None,
    ) -> None:
        self._pin = pin
        self._proved: Key | None = None
        self._ring, self._evidence, self._aor, self._n = ring, evidence, aor, n
        self._wanted, self._clock, self._trace = wanted, clock, trace
        # by address too: whoever names a true id at a false address must not keep the true one from being asked
        self._asks: dict[Peer, asyncio.Task[None]] = {}
        self._askings: dict[int, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(MAX_PARALLEL)
        self._news = asyncio.Event()
        self._lacking = False
        self._pursuits = self._pursued = 0
        self._is_known = asyncio.Event()
        """Set when something of the name was heard, or all around its places were asked."""
        self._waves = 1
        self._began = asyncio.get_running_loop().time()
        self._known = {peer.id: peer for peer in (*ring.peers(), ring.me)}
        self._positions = {index: piece_position(aor, index, n) for index in range(1, n + 1)}
        self._knows_all = len(self._known) <= 2 * n
        self._owners: dict[int, Peer] = {}
        if self._knows_all:
            walks = {at: clockwise_from(at, self._known.values())[:n] for at in self._positions.values()}
            owners = place(self._positions, {index: walks[at] for index, at in self._positions.items()})
            self._owners = owners
            for index, owner in owners.items():
                evidence.place(index, owner)
        self._shunned = shunned - {ring.me.id}
        self._avoided = self._places_of_liars()
        self._drawn = tuple(self._liars_last(order)[:drawn])

    async def run(self, *, full: bool) -> Found:
        """Ask, and return what the answers make; `full` asks every known node. Raises what `Directory.find` does."""
        try:
            everyone = await self._ask_in_waves(full=full)
        finally:
            for task in (*self._tasks, *self._asks.values()):
                task.cancel()
            await asyncio.gather(*self._tasks, *self._asks.values(), return_exceptions=True)
        return self._conclude(everyone=everyone)

    async def _ask_in_waves(self, *, full: bool) -> bool:
        """Ask until it is enough; return whether nobody is left to ask."""
        self._trace("pieces", {"drawn": list(self._drawn)})
        self._ask_owners(self._drawn)
        if await self._listen(limit_s=HEDGE_S, first=True) and not full:
            return False
        self._waves = 2
        others = set(range(1, self._n + 1)).difference(self._drawn)
        self._ask_owners(self._liars_last(sorted(others)))
        if full or self._knows_all:
            everybody = sorted(self._known.values(), key=lambda peer: peer.id in self._shunned)
            self._start(self._ask(peer) for peer in everybody)
        if not self._knows_all:
            # a copy lies right behind an owner that is gone, and a look-up past the dead takes long
            without = [index for index in self._positions if not self._evidence.has(index)]
            self._pursuits = len(without)
            self._start([self._pursue(index) for index in without])
        self._trace("widen", {"nodes_known": len(self._known), "took_ms": self._took_ms()})
        enough = await self._listen(limit_s=LOOKUP_LIMIT_S, until_all=full)
        return full or not enough

    def _places_of_liars(self) -> dict[int, RingId]:
        """Return the pieces that lie with nodes which lied before, as far as this node knows the ring."""
        if not self._shunned:
            return {}
        owners = {index: owner.id for index, owner in self._owners.items()} or {
            index: min((*self._known, *self._shunned), key=lambda node: clockwise(at, node))
            for index, at in self._positions.items()
        }
        return {index: owner for index, owner in owners.items() if owner in self._shunned}

    def _liars_last(self, indices: Iterable[int]) -> list[int]:
        return sorted(indices, key=lambda index: index in self._avoided)

    def _ask_owners(self, indices: Iterable[int]) -> None:
        for index in indices:
            self._askings[index] = asyncio.ensure_future(self._ask_owner(index))
            self._tasks.add(self._askings[index])

    def _start(self, questions: Iterable[Any]) -> None:
        self._tasks.update(asyncio.ensure_future(question) for question in questions)

    async def _listen(self, *, limit_s: float, first: bool = False, until_all: bool = False) -> bool:
        """Wait for answers until they are enough (True), all in, or late; in the first wave also until one is poor."""
        loop = asyncio.get_running_loop()
        pending = {task for task in self._tasks if not task.done()}
        while pending:
            left = self._began + limit_s - loop.time()
            # an answer may be enough while whoever asked for it has others to wait for
            self._news.clear()
            news = asyncio.ensure_future(self._news.wait())
            try:
                done, _ = await asyncio.wait(
                    {news, *pending}, timeout=max(0.0, left), return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                news.cancel()
            for task in done & pending:
                task.result()
            pending = {task for task in self._tasks if not task.done()}
            if not done:
                return self._enough()
            if not until_all and (self._enough() or (first and self._lacking)):
                break
        return self._enough()

    def _enough(self) -> bool:
        key = self._decided(everyone=False)
        if key is None or not self._agrees(key):
            return False
        if self._evidence.is_revoked(key):
            return True
        return self._wanted is None or self._record(key) is not None

    def _decided(self, *, everyone: bool) -> Key | None:
        return self._evidence.decide(everyone=everyone, agreed=not self._knows_all and self._waves > 1)

    def _agrees(self, key: Key) -> bool:
        """Whether a key is what the pin means or leads to; without a pin any key that was proved is."""
        if self._pin is None or (key.bundle.encode(), key.generation) == (self._pin.bundle, self._pin.generation):
            return True
        record, _ = self._evidence.newest_record(key, self._clock())
        return record is not None and self._pin.leads_to(record)

    def _key(self, *, everyone: bool) -> Key:
        """Return the key that the pieces and the pin make; with a pin, its owner's fresh word is enough."""
        key = self._decided(everyone=everyone)
        if key is not None and self._agrees(key):
            return key
        if self._pin is not None:
            by_pin = self._evidence.pinned_key(self._pin, self._clock())
            # of two generations the one that was proved counts: the pin's may be a key that was given up, and stolen
            if by_pin is not None and (key is None or key.generation <= self._pin.generation):
                return by_pin
            if key is not None:
                is_newer = key.generation > self._pin.generation
                if is_newer and self._wanted is not None and not self._evidence.heard_record_of(key, self._clock()):
                    # what would tell whether the newer key follows is in its owner's record
                    raise NameAway(f"{self._aor} is registered with a newer key and has no live address")
                raise KeyChanged(f"{self._aor}'s key is another than the one known here, which does not name it")
        raise self._no_key()

    def _record(self, key: Key) -> LookupRecord | None:
        record, _ = self._evidence.newest_record(key, self._clock())
        return record if record is not None and record.sequence >= (self._wanted or 0) else None

    async def _ask_owner(self, index: int) -> None:
        if self._knows_all:
            # no look-up: where this node has missed a join or a death, the second wave asks everybody
            await self._ask(self._owners[index])
        else:
            at = self._positions[index]
            # most often it is the one; what it says counts at this place only if the ring confirms that it is
            self._begin(min(self._known.values(), key=lambda peer: clockwise(at, peer.id)))
            owner = await self._ring.find_successor(at)
            self._evidence.place(index, owner)
            await self._ask(owner)
        self._lacking = self._lacking or not self._evidence.has(index)

    async def _pursue(self, index: int) -> None:
        """Ask for the copy of a piece beside its owner; where neither gives it, ask whom a whole look-up finds."""
        await asyncio.gather(self._ask_near(index), asyncio.shield(self._askings[index]))
        self._pursued += 1
        if self._pursued == self._pursuits:
            self._is_known.set()
        if self._evidence.has(index):
            return
        await self._is_known.wait()
        # where all owners and all beside them answered that they have nothing of the name at all, nobody has: the walks
        # would cost three quarters of the look-up, and names that do not exist are what floods are made of
        evidence = self._evidence
        if evidence.heard_pieces or evidence.is_contradictory or not all(evidence.answered.values()):
            await self._walk(index)

    async def _ask_near(self, index: int) -> None:
        """Ask those who follow a position as far as this node knows, and as far as each one near there says."""
        at = self._positions[index]
        asked = {self._begin(peer) for peer in clockwise_from(at, self._known.values())[:NEAR_NODES]}
        async for named in self._ring.hearsay(at, NEAR_NODES):
            asked.update(self._begin(peer) for peer in named)
        await asyncio.gather(*map(asyncio.shield, asked))

    async def _walk(self, index: int) -> None:
        self._waves = 3
        self._trace("walk", {"missing": [index], "took_ms": self._took_ms()})
        evidence = self._evidence
        # where all answered and nobody lied, one path is as good as three
        apart = evidence.is_contradictory or not all(evidence.answered.values())
        peers = await self._ring.successor_list(self._positions[index], WALK_NODES, apart=apart)
        await asyncio.gather(*(self._ask(peer) for peer in peers))

    async def _ask(self, peer: Peer) -> None:
        # two indices may have one owner: who waits for the shared answer must not cancel it for the other
        await asyncio.shield(self._begin(peer))

    def _begin(self, peer: Peer) -> asyncio.Task[None]:
        if peer not in self._asks:
            self._asks[peer] = asyncio.ensure_future(self._fetch(peer))
        return self._asks[peer]

    async def _fetch(self, peer: Peer) -> None:
        async with self._slots:
            holding = await self._ring.fetch_at(peer, self._aor)
        self._evidence.hear(peer, holding, self._clock())
        if self._evidence.heard_pieces:
            self._is_known.set()
        self._news.set()
        indices = [] if holding is None else sorted({piece.index for piece in holding.pieces})
        detail = {"node": str(peer), "answered": holding is not None, "indices": indices, "took_ms": self._took_ms()}
        self._trace("piece", detail)

    def _conclude(self, *, everyone: bool) -> Found:
        evidence = self._evidence
        self._proved = key = self._key(everyone=everyone)
        if evidence.is_revoked(key):
            raise NameRevoked(f"the key of {self._aor} is revoked")
        record, record_liars = evidence.newest_record(key, self._clock())
        if self._wanted is not None and (record is None or record.sequence < self._wanted):
            raise NameAway(f"{self._aor} is registered but has no live address")
        found = Found(
            aor=self._aor,
            bundle=key.bundle,
            generation=key.generation,
            record=record,
            contact=None if record is None else self._contact(record),
            basis=key.basis,
            support=key.support,
            drawn=self._drawn,
            holders=key.holders,
            verdicts=key.verdicts,
            liars=key.liars + record_liars,
            conflicts=evidence.conflicts(),
            attackers_needed=key.attackers_needed,
            asked_everyone=set(self._known) <= {peer.id for peer in evidence.answered},
            asked=tuple(evidence.answered),
            silent=tuple(peer for peer, answered in evidence.answered.items() if not answered),
            waves=self._waves,
            ring_size_known=len(self._known),
            took_ms=self._took_ms(),
            avoided=tuple(
                dict.fromkeys(id_to_bytes(node) for index, node in self._avoided.items() if index not in self._drawn)
            ),
            followed=self._pin is not None and key.bundle.encode() != self._pin.bundle,
        )
        self._trace("key", {"basis": found.basis, "support": found.support, "took_ms": found.took_ms})
        return found

    def heard(self) -> tuple[int, KeyBundle | None]:
        """Return the newest generation that was heard of, and the key that the rule proved, if it did."""
        key = self._decided(everyone=True)
        is_proved = key is not None and key.basis == "polynomial"
        return self._evidence.newest_generation, key.bundle if key is not None and is_proved else None

    def caught(self) -> tuple[Liar, ...]:
        """Return the nodes that lied for certain, by what was proved so far; never this one."""
        me = id_to_bytes(self._ring.me.id)
        return tuple(liar for liar in self._evidence.caught(self._proved) if liar.node != me)

    def _no_key(self) -> Exception:
        evidence = self._evidence
        me = self._ring.me.id
        others = [answered for peer, answered in evidence.answered.items() if peer.id != me]
        # pieces of our own alone contradict nobody: then the ring is away, and no key was refused
        if evidence.heard_pieces and any(others):
            # what is missing contradicts nobody either: an overloaded ring must not look like a lying one
            is_outlived = self._pin is not None and evidence.newest_generation > self._pin.generation
            is_away = len(self._asks) > sum(evidence.answered.values())
            if is_away and not is_outlived and not evidence.is_contradictory:
                return RingUnreachable(f"too few holders of {self._aor}'s key answer")
            return KeyUnverifiable(f"the pieces of {self._aor}'s key that were found do not make one key")
        silent = others.count(False)
        # a name lies on min(n, nodes) nodes: with that many silent, "nobody has it" would be a guess
        if not any(others) or silent >= min(self._n, len(evidence.answered)):
            return RingUnreachable("too few nodes of the ring answer")
        return NameUnknown(f"nobody on the ring knows {self._aor}")

    def _contact(self, record: LookupRecord) -> Peer | None:
        if record.node_id != _PENDING_ID:
            return Peer(id=id_from_bytes(record.node_id), host=record.host, port=record.port)
        # published before its node had an id: the ring knows by now who answers at that address
        nodes = (*self._known.values(), *self._evidence.answered)
        return next((peer for peer in nodes if peer.address == (record.host, record.port)), None)

    def _took_ms(self) -> float:
        return round((asyncio.get_running_loop().time() - self._began) * 1000, 1)
