"""The early stop: who owns a place, confirmed by the owner and by its predecessor.  I/O: through the protocol.

    1. Of all contacts known, the last before the place and the first at or after it are asked who is around the place.
    2. Whoever they name nearer is asked next, until the two nearest of all have answered, each under a session whose
       credential lives, and neither has named anybody between them: then (predecessor, owner] contains the place.
    3. A missing, late or unsound answer, too many steps, or an interval too wide to be likely voids it: the full
       look-up goes on, as if nothing had been asked.

One liar hides nobody: what the other of the two knows of stands against it. Two liars side by side could; an interval
wider than MAX_GAPS times the usual one is not believed, so they must be neighbours of the very place already.
[Chord 2001 §4.2] [docs/adr/0009]
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from overlay.ring.ids import RING_SIZE, Peer, RingId, clockwise
from overlay.ring.neighbourhood import SIDE, around, bracket

if TYPE_CHECKING:
    from overlay.ring.protocol import HardProtocol

MAX_STEPS: Final = 6
"""Pairs asked one after the other; a ring of 2,000 nodes takes two or three."""
MAX_GAPS: Final = 12
"""Widest interval believed, in mean gaps between neighbours here: an honest one is wider once in 100,000 times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A stretch of the ring that both of its ends confirmed."""

    predecessor: Peer
    """The last living node strictly before the place."""
    owner: Peer
    """The first living node at or after it."""


class IntervalSearch:
    """One attempt to have an interval confirmed."""

    def __init__(self, protocol: HardProtocol, place: RingId) -> None:
        """Take the node that asks, and the place whose owner is wanted."""
        self._protocol = protocol
        self._place = place
        self._progress = asyncio.Event()
        self._is_void = False
        self.requests = 0
        self.steps = 0

    async def find(self) -> Interval | None:
        """Return the confirmed interval around the place, None where the full look-up has to tell."""
        me = self._protocol.me
        known = {peer.id: peer for peer in self._protocol.around(self._place)}
        if not known:
            return None
        known[me.id] = me
        answered = {me.id}
        while self.steps < MAX_STEPS:
            ends = bracket(known.values(), self._place)
            asked = sorted({peer for peer in ends if peer.id not in answered})
            if not asked:
                interval = Interval(predecessor=ends[0], owner=ends[1])
                return interval if self._is_likely(interval) else None
            named = await self._ask(asked)
            if named is None:
                return None
            answered.update(peer.id for peer in asked)
            for peer in named:
                if not self._protocol.is_suspect(peer):
                    known.setdefault(peer.id, peer)
        return None

    async def _ask(self, peers: list[Peer]) -> list[Peer] | None:
        """Ask some nodes at once; None as soon as one of them is late, silent or unsound."""
        self.steps += 1
        self.requests += len(peers)
        asked = [
            self._protocol.spawn(
                self._protocol.call_around(peer, self._place, on_late=self._late), name="ring interval"
            )
            for peer in peers
        ]
        tasks = [task for task in asked if task is not None]
        if len(tasks) < len(peers):
            return None
        for task in tasks:
            task.add_done_callback(lambda _: self._progress.set())
        while not (self._is_void or all(task.done() for task in tasks)):
            self._progress.clear()
            await self._progress.wait()
        # those still under way go on by themselves: their silence is worth knowing
        if self._is_void or any(task.cancelled() or task.exception() is not None for task in tasks):
            return None
        answers = [task.result() for task in tasks]
        if not all(answered for answered, _ in answers):
            return None
        return [peer for _, named in answers for peer in named]

    def _late(self) -> None:
        self._is_void = True
        self._progress.set()

    def _is_likely(self, interval: Interval) -> bool:
        """Tell whether the interval is no wider than neighbours are apart; in a ring of few, any width is."""
        me = self._protocol.me.id
        near = around(self._protocol.neighbourhood, me, SIDE)
        if len(near) < 2 * SIDE:
            return True
        span = clockwise(near[SIDE].id, near[SIDE - 1].id)
        return (clockwise(interval.predecessor.id, interval.owner.id) or RING_SIZE) * 2 * SIDE <= MAX_GAPS * span
