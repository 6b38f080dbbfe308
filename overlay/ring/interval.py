"""The early stop: who owns a place, confirmed by the owner and by its predecessor.  I/O: through the protocol.

    1. Of all contacts known, the last before the place and the first at or after it are asked who is around the place.
    2. Whoever they name nearer is asked next, until the two nearest of all have answered, each under a session whose
       credential lives, and neither has named anybody between them: then (predecessor, owner] contains the place.
    3. Whoever is late is not waited for alone: each late one has one more asked on either side, so that they have
       answered by the time it has. It stands in the interval until it answers, or until its last retransmission has
       gone by: a living node is not passed over for a lost datagram, and a dead one costs its own silence and no more.
    4. Where somebody failed, two ends are not enough: WITNESSES nodes around the place must have answered. Then nobody
       else is waited for, and on a side where ENOUGH have answered nobody farther away is asked.
    5. An answer names NAMED nodes on either side of the place. Where as many are dead between it and an end, that end
       is asked again, for those beside itself.
    6. An unsound answer by a node that lives, too many requests, or an interval too wide to be likely voids it: the
       full look-up goes on.

One liar hides nobody: what the other of the two knows of stands against it. Two liars side by side could; an interval
wider than MAX_GAPS times the usual one is not believed, so they must be neighbours of the very place already. Whoever
names a true id at a false address hides nobody either: each pair is a candidate of its own.
[Chord 2001 §4.2] [docs/adr/0009] [docs/adr/0021]
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from overlay.errors import LocalError
from overlay.ring.ids import RING_SIZE, Peer, RingId, clockwise
from overlay.ring.neighbourhood import NAMED, SIDE, around
from overlay.ring.stages import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from overlay.ring.datagrams import Outcome
    from overlay.ring.protocol import HardProtocol

MAX_REQUESTS: Final = 24
"""Nodes asked for one interval: a healthy one takes three, one with four dead nodes in a row a dozen."""
MAX_STEPS: Final = 6
"""How often somebody nearer may be named by who was named himself; a ring of 2,000 nodes takes two or three."""
WITNESSES: Final = 4
"""Nodes that must have answered where one failed, as far as there are so many: liars have to be as many to hide one."""
ENOUGH: Final = 3
"""Answers from one side of the place after which nobody farther away is asked there, however many are silent."""
MAX_GAPS: Final = 20
"""Widest interval believed, in mean gaps between neighbours here. Where those are half as far apart as elsewhere, which
happens, and a fifth has just died, an honest one is wider once in 3,000 times."""
MAX_NAMED: Final = 5
"""Addresses that others may name for one id."""


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
        self._stages: dict[Peer, Stage] = {}
        self._steps_to: dict[Peer, int] = {}
        self._named: dict[RingId, list[Peer]] = {}
        self._asked_again: set[Peer] = set()
        self._silent = 0
        self._is_void = False
        self.requests = 0
        self.steps = 0
        """Requests one after the other, each to somebody whom the one before had named."""

    async def find(self) -> Interval | None:
        """Return the confirmed interval around the place, None where the full look-up has to tell."""
        me = self._protocol.me
        self._learn_own()
        if not self._stages:
            return None
        self._learn([me], step=0)
        self._stages[me] = Stage.ANSWERED
        while not self._is_void:
            order = self._alive()
            self._ask_more(order)
            stages = [self._stages[peer] for peer in order]
            # where somebody fell silent more are asked than are needed: enough witnesses are waited for, and not all
            if (Stage.ASKED not in stages or self._silent) and self._is_confirmed(order):
                if not self._ask_again(order):
                    interval = Interval(predecessor=order[-1], owner=order[0])
                    return interval if self._is_likely(interval) else None
            elif Stage.NEW in (stages[0], stages[-1]):
                break
            if not self._can_go_on():
                break
            self._progress.clear()
            await self._progress.wait()
        # those still under way go on by themselves: their silence is worth knowing
        return None

    def _can_go_on(self) -> bool:
        """Tell whether it is worth waiting: where nobody may still answer, nothing would ever wake this search."""
        return not self._is_void and any(stage is Stage.ASKED or stage is Stage.LATE for stage in self._stages.values())

    def _alive(self) -> list[Peer]:
        """Return all that have not failed, clockwise from the place: the owner is the first, the predecessor last."""
        alive = (peer for peer, stage in self._stages.items() if stage is not Stage.FAILED)
        return sorted(alive, key=lambda peer: (peer.id - self._place) % RING_SIZE)

    def _ask_more(self, order: list[Peer]) -> None:
        """Ask the nearest on either side, and one more on each for every node that was late."""
        # no more than ENOUGH at a time are waited for beyond the nearest: who names many that do not exist gains little
        wanted = min(self._silent, ENOUGH)
        for side in (order, order[::-1]):
            prompt = answered = 0
            for peer in side:
                if prompt > wanted or answered == ENOUGH:
                    break
                if self._stages[peer] is Stage.NEW:
                    self._ask(peer)
                # who asks is no help where others fell silent
                is_help = peer != self._protocol.me or not self._silent
                prompt += is_help and self._stages[peer] is not Stage.LATE
                answered += is_help and self._stages[peer] is Stage.ANSWERED

    def _is_confirmed(self, order: list[Peer]) -> bool:
        """Tell whether both ends have answered, and enough others too where somebody failed."""
        if not self._stages[order[0]] is self._stages[order[-1]] is Stage.ANSWERED:
            return False
        if not self._silent:
            return True
        # this node is a witness only where it is an end itself: elsewhere it has heard of the place from others
        near = {*order[:SIDE], *order[-SIDE:]} - {self._protocol.me} | {order[0], order[-1]}
        return sum(self._stages[peer] is Stage.ANSWERED for peer in near) >= min(WITNESSES, len(near))

    def _ask_again(self, order: list[Peer]) -> bool:
        """Ask an end who is beside itself where so many are dead between it and the place that no others were named.

        Tell whether there was such an end; one that cannot be asked any more voids the interval.
        """
        failed = [peer for peer, stage in self._stages.items() if stage is Stage.FAILED]
        nearer = (
            sum(clockwise(self._place, peer.id) < clockwise(self._place, order[0].id) for peer in failed),
            sum(clockwise(self._place, peer.id) > clockwise(self._place, order[-1].id) for peer in failed),
        )
        asked = False
        for end, dead in zip((order[0], order[-1]), nearer, strict=True):
            if dead >= NAMED and end not in self._asked_again and end != self._protocol.me:
                self._asked_again.add(end)
                self._is_void = not self._ask(end, end.id) or self._is_void
                asked = True
        return asked

    def _ask(self, peer: Peer, place: RingId | None = None) -> bool:
        """Ask a node who is around a place; tell whether that was still possible."""
        step = self._steps_to[peer]
        if self.requests >= MAX_REQUESTS or step > MAX_STEPS:
            return False
        about = self._place if place is None else place
        try:
            outcome = self._protocol.ask_around(peer, about, on_late=lambda: self._late(peer))
        except LocalError:  # as in a full look-up, which goes on from here
            self._is_void = True
            return False
        self.requests += 1
        self.steps = max(self.steps, step)
        self._stages[peer] = Stage.ASKED
        outcome.add_done_callback(lambda done: self._done(peer, done))
        return True

    def _done(self, peer: Peer, outcome: asyncio.Future[Outcome]) -> None:
        answered, named = (False, ()) if outcome.cancelled() else self._protocol.named_around(outcome.result())
        stage = self._stages[peer]
        if answered and stage is not Stage.FAILED:
            for other in self._named[peer.id]:
                self._stages[other] = Stage.ANSWERED if other == peer else Stage.FAILED
            self._learn((one for one in named if not self._protocol.is_suspect(one)), step=self._steps_to[peer] + 1)
        elif stage is not Stage.FAILED:
            self._silent += stage is Stage.ASKED
            self._stages[peer] = Stage.FAILED
            self._is_void = self._is_void or self._protocol.lives(peer)
            self._learn_own()
        self._progress.set()

    def _late(self, peer: Peer) -> None:
        if self._stages[peer] is Stage.ASKED:
            self._stages[peer] = Stage.LATE
            self._silent += 1
            self._progress.set()

    def _learn_own(self) -> None:
        """Take in the contacts of this node: others come to the fore where those before them fell silent."""
        self._learn(self._protocol.around(self._place, SIDE), step=1)

    def _learn(self, peers: Iterable[Peer], *, step: int) -> None:
        """Take in who was named, unless that id has answered from another address already."""
        for peer in peers:
            known = self._named.setdefault(peer.id, [])
            is_settled = any(self._stages[other] is Stage.ANSWERED for other in known)
            if peer not in known and not is_settled and len(known) < MAX_NAMED:
                known.append(peer)
                self._stages[peer] = Stage.NEW
                self._steps_to[peer] = step

    def _is_likely(self, interval: Interval) -> bool:
        """Tell whether the interval is no wider than neighbours are apart; in a ring of few, any width is."""
        me = self._protocol.me.id
        near = around(self._protocol.neighbourhood, me, SIDE)
        if len(near) < 2 * SIDE:
            return True
        span = clockwise(near[SIDE].id, near[SIDE - 1].id)
        return (clockwise(interval.predecessor.id, interval.owner.id) or RING_SIZE) * 2 * SIDE <= MAX_GAPS * span
