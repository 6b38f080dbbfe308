"""The requests of this node that are not answered yet: matches answers, sends again, gives up.  I/O: none.

An answer counts only from the address that was asked and, where one was asked for, from the id that was asked. While a
session is still being agreed on, a request is held: the handshake has its own retransmission, so this one's clock
starts when the session stands. Whatever the end of a request, nothing of it stays behind.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from typing import TYPE_CHECKING, Final

from overlay.errors import LocalError
from overlay.ring.retransmission import INITIAL_RTO_S, Patience

if TYPE_CHECKING:
    from overlay.ring.ids import Peer, RingId

HELD_LIMIT_S: Final = 1.0
"""A handshake that is neither done nor failed after this long fails the requests that wait for it."""
MAX_CALLS: Final = 4096
"""Requests under way at once; beyond it our own code has run away."""


@dataclass(slots=True, kw_only=True, eq=False)
class Call:
    """One request under way."""

    message_id: bytes
    """20 bytes that its answer must bear."""
    address: tuple[str, int]
    """Where it was sent; the answer must come from there."""
    expected: RingId | None
    """Whose answer counts; None where any member at that address will do."""
    payload: bytes
    """The encoded request, the same in each transmission."""
    patience: Patience
    """How often and how long."""
    begun_at: float
    """When it was asked for, seconds on the caller's clock."""
    held_until: float = 0.0
    """While it waits for a session: when it is given up."""
    sent_at: float = 0.0
    """When it was first transmitted inside a session."""
    transmissions: int = 0
    """How often it was transmitted inside a session."""
    is_late: bool = False
    """Whether an answer is overdue by one timeout."""
    agenda: list[float] = field(default_factory=list)
    """Times still to come, the last one being the end; empty while held."""


class Verdict(Enum):
    """What a timer found out about a call."""

    LATE = "late"
    """Overdue: wait for it no longer if something else can be done. Said once."""
    AGAIN = "again"
    """To be transmitted once more."""
    OVER = "over"
    """Given up; the table has forgotten it."""


class Calls:
    """All requests under way, by message id."""

    __slots__ = ("_calls", "_order", "_timers")

    def __init__(self) -> None:
        self._calls: dict[bytes, Call] = {}
        self._timers: list[tuple[float, int, bytes]] = []
        self._order = count()

    def __len__(self) -> int:
        return len(self._calls)

    def hold(self, call: Call, now: float, rto_s: float = INITIAL_RTO_S) -> None:
        """Take in a request that waits for a session; LocalError when there are too many or the id is in use.

        It is late after `rto_s` seconds.
        """
        self._admit(call)
        call.held_until = now + HELD_LIMIT_S
        self._arm(call, now + rto_s)
        self._arm(call, call.held_until)

    def start(self, call: Call, now: float, rto_s: float) -> None:
        """Take in a request that is being transmitted now; LocalError as in hold()."""
        self._admit(call)
        self._run(call, now, rto_s)

    def release(self, peer: Peer, now: float, rto_s: float) -> None:
        """Start the clocks of all that were held for a session with this peer: they leave at this moment."""
        for call in self._calls.values():
            if call.address == peer.address and call.expected in {None, peer.id} and not call.agenda:
                self._run(call, now, rto_s)

    def answer(self, message_id: bytes, sender: Peer) -> Call | None:
        """Return and forget the request that this answer settles; None when it settles none of ours."""
        call = self._calls.get(message_id)
        if call is None or call.address != sender.address or call.expected not in {None, sender.id}:
            return None
        del self._calls[message_id]
        return call

    def discard(self, message_id: bytes) -> None:
        """Forget a request that nobody waits for any more."""
        self._calls.pop(message_id, None)

    def fail(self, address: tuple[str, int], expected: RingId | None) -> list[Call]:
        """Forget and return the requests to somebody who cannot be reached."""
        failed = [call for call in self._calls.values() if (call.address, call.expected) == (address, expected)]
        for call in failed:
            del self._calls[call.message_id]
        return failed

    def next_deadline(self) -> float | None:
        """Return when handle_timer() has something to do, None when it never has."""
        while self._timers and self._timers[0][2] not in self._calls:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def handle_timer(self, now: float) -> list[tuple[Verdict, Call]]:
        """Return what is due by `now`, in order of time."""
        due: list[tuple[Verdict, Call]] = []
        while self._timers and self._timers[0][0] <= now:
            at, _, message_id = heapq.heappop(self._timers)
            call = self._calls.get(message_id)
            if call is not None:
                due.extend((verdict, call) for verdict in self._turn(call, at))
        return due

    def _turn(self, call: Call, at: float) -> list[Verdict]:
        """Return what one timer of a call means; a timer set before the session stood means nothing any more."""
        if not call.agenda:
            if at >= call.held_until:
                del self._calls[call.message_id]
                return [Verdict.OVER]
            return self._late(call)
        if at != call.agenda[0]:
            return []
        call.agenda.pop(0)
        if not call.agenda:
            del self._calls[call.message_id]
            return [Verdict.OVER]
        call.transmissions += 1
        self._arm(call, call.agenda[0])
        return [*self._late(call), Verdict.AGAIN]

    @staticmethod
    def _late(call: Call) -> list[Verdict]:
        if call.is_late:
            return []
        call.is_late = True
        return [Verdict.LATE]

    def _admit(self, call: Call) -> None:
        if len(self._calls) >= MAX_CALLS or call.message_id in self._calls:
            raise LocalError("too many requests under way, or the same one twice")
        self._calls[call.message_id] = call

    def _run(self, call: Call, now: float, rto_s: float) -> None:
        call.sent_at = now
        call.transmissions = 1
        call.agenda = [now + seconds for seconds in call.patience.schedule(rto_s)]
        self._arm(call, call.agenda[0])

    def _arm(self, call: Call, at: float) -> None:
        heapq.heappush(self._timers, (at, next(self._order), call.message_id))
