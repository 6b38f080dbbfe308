"""Server transactions: what makes a lossy transport carry each request and each answer once.  I/O: none.

The rules first.

1.  A request that comes again is never handled again: it gets the last answer again, or nothing while there is none.
2.  An INVITE that is refused or redirected is answered again at 0.5, 1, 2, 4, 4 .. seconds over UDP (timer G) until its
    ACK comes; after 32 s without one it is given up (timer H) [RFC 3261 §17.2.1].
3.  After the ACK the transaction stays 5 s to swallow further ACKs (timer I).
4.  Any other request stays 32 s after its answer to give it again (timer J) [RFC 3261 §17.2.2].
5.  An INVITE that is accepted stays for 64*T1 (timer L) to swallow its retransmissions; the ACK of a 2xx is another
    transaction and goes to whoever accepted [RFC 6026 §7.1]. The redirect server never accepts, the machine is whole
    all the same.
6.  Over TCP and TLS nothing is sent twice and timers I and J last no time.
7.  What arrives in a state that has no row for it changes nothing: an answer that comes too late (the lookup ended
    after a CANCEL was answered with 487) is as if it had never been.

Time comes in, bytes to send go out; matching requests to transactions is `matching`'s business.

                  INVITE                                        everything else
    request --> PROCEEDING --300..699--> COMPLETED          TRYING --1xx--> PROCEEDING
                    |                      | ACK               |                |
                   2xx                 CONFIRMED             final            final
                    v                      | I                 v                v
                ACCEPTED --L--> TERMINATED <--H--          COMPLETED ---J---> TERMINATED
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from overlay.errors import LocalError

T1_S: Final = 0.5
"""Estimate of a round trip [RFC 3261 §17.1.1.1]."""
T2_S: Final = 4.0
"""The longest pause between two retransmissions of an answer."""
T4_S: Final = 5.0
"""How long a datagram can stay in the network."""
LIFETIME_S: Final = 64 * T1_S
"""Timers H, J and L."""


class State(Enum):
    """Where a server transaction stands."""

    TRYING = auto()
    PROCEEDING = auto()
    COMPLETED = auto()
    CONFIRMED = auto()
    ACCEPTED = auto()
    TERMINATED = auto()


class Event(Enum):
    """What can happen to a server transaction."""

    REQUEST = auto()
    """The same request again."""
    ACK = auto()
    PROVISIONAL = auto()
    """Our 1xx."""
    SUCCESS = auto()
    """Our 2xx."""
    FAILURE = auto()
    """Our 300 to 699."""
    TIMER_G = auto()
    TIMER_H = auto()
    TIMER_I = auto()
    TIMER_J = auto()
    TIMER_L = auto()
    TRANSPORT_ERROR = auto()
    """The connection it came over is gone."""


class Do(Enum):
    """What a row of the table makes the transaction do."""

    SEND = auto()
    """Keep the new answer and send it."""
    RESEND = auto()
    """Send the last answer, if there is one."""
    START_G = auto()
    START_H = auto()
    START_I = auto()
    START_J = auto()
    START_L = auto()
    STOP = auto()
    """Stop every timer."""


S, E = State, Event
Table = dict[tuple[State, Event], tuple[State, tuple[Do, ...]]]

INVITE_TABLE: Final[Table] = {
    (S.PROCEEDING, E.REQUEST): (S.PROCEEDING, (Do.RESEND,)),
    (S.PROCEEDING, E.PROVISIONAL): (S.PROCEEDING, (Do.SEND,)),
    (S.PROCEEDING, E.SUCCESS): (S.ACCEPTED, (Do.SEND, Do.START_L)),
    (S.PROCEEDING, E.FAILURE): (S.COMPLETED, (Do.SEND, Do.START_G, Do.START_H)),
    (S.PROCEEDING, E.TRANSPORT_ERROR): (S.TERMINATED, (Do.STOP,)),
    (S.COMPLETED, E.REQUEST): (S.COMPLETED, (Do.RESEND,)),
    (S.COMPLETED, E.ACK): (S.CONFIRMED, (Do.STOP, Do.START_I)),
    (S.COMPLETED, E.TIMER_G): (S.COMPLETED, (Do.RESEND, Do.START_G)),
    (S.COMPLETED, E.TIMER_H): (S.TERMINATED, (Do.STOP,)),
    (S.COMPLETED, E.TRANSPORT_ERROR): (S.TERMINATED, (Do.STOP,)),
    (S.CONFIRMED, E.TIMER_I): (S.TERMINATED, (Do.STOP,)),
    (S.CONFIRMED, E.TRANSPORT_ERROR): (S.TERMINATED, (Do.STOP,)),
    # a second 2xx is the caller's own retransmission of it [RFC 6026 §7.1]
    (S.ACCEPTED, E.SUCCESS): (S.ACCEPTED, (Do.SEND,)),
    (S.ACCEPTED, E.TIMER_L): (S.TERMINATED, (Do.STOP,)),
    (S.ACCEPTED, E.TRANSPORT_ERROR): (S.TERMINATED, (Do.STOP,)),
}

OTHER_TABLE: Final[Table] = {
    (S.TRYING, E.PROVISIONAL): (S.PROCEEDING, (Do.SEND,)),
    (S.TRYING, E.SUCCESS): (S.COMPLETED, (Do.SEND, Do.START_J)),
    (S.TRYING, E.FAILURE): (S.COMPLETED, (Do.SEND, Do.START_J)),
    (S.TRYING, E.TRANSPORT_ERROR): (S.TERMINATED, (Do.STOP,)),
    (S.PROCEEDING, E.REQUEST): (S.PROCEEDING, (Do.RESEND,)),
    (S.PROCEEDING, E.PROVISIONAL): (S.PROCEEDING, (Do.SEND,)),
    (S.PROCEEDING, E.SUCCESS): (S.COMPLETED, (Do.SEND, Do.START_J)),
    (S.PROCEEDING, E.FAILURE): (S.COMPLETED, (Do.SEND, Do.START_J)),
    (S.PROCEEDING, E.TRANSPORT_ERROR): (S.TERMINATED, (Do.STOP,)),
    (S.COMPLETED, E.REQUEST): (S.COMPLETED, (Do.RESEND,)),
    (S.COMPLETED, E.TIMER_J): (S.TERMINATED, (Do.STOP,)),
    (S.COMPLETED, E.TRANSPORT_ERROR): (S.TERMINATED, (Do.STOP,)),
}

ANSWERS: Final = (Event.PROVISIONAL, Event.SUCCESS, Event.FAILURE)
_STARTS: Final = {
    Do.START_G: Event.TIMER_G,
    Do.START_H: Event.TIMER_H,
    Do.START_I: Event.TIMER_I,
    Do.START_J: Event.TIMER_J,
    Do.START_L: Event.TIMER_L,
}


def event_of(status: int) -> Event:
    """Return the event that sending an answer with this status is; LocalError when it is no SIP status."""
    if 100 <= status < 200:  # noqa: PLR2004 - the classes of SIP statuses
        return Event.PROVISIONAL
    if 200 <= status < 300:  # noqa: PLR2004 - the classes of SIP statuses
        return Event.SUCCESS
    if 300 <= status < 700:  # noqa: PLR2004 - the classes of SIP statuses
        return Event.FAILURE
    raise LocalError("a SIP status lies between 100 and 699")


class ServerTransaction:
    """One request's life on this side, from its first datagram to the last retransmission that may come."""

    __slots__ = ("_pause_s", "_reliable", "_response", "_table", "_timers", "state")

    def __init__(self, *, invite: bool, reliable: bool) -> None:
        """Begin with the request just received; `reliable` where the transport itself retransmits."""
        self.state = State.PROCEEDING if invite else State.TRYING
        self._table = INVITE_TABLE if invite else OTHER_TABLE
        self._reliable = reliable
        self._response = b""
        self._timers: dict[Event, float] = {}
        self._pause_s = T1_S

    @property
    def is_open(self) -> bool:
        """Tell whether a final answer is still due."""
        return self.state in {State.TRYING, State.PROCEEDING}

    def feed(self, event: Event, *, now: float, response: bytes = b"") -> bytes | None:
        """Take an event and return the bytes to send for it, None for nothing.

        `response` is the whole answer when the event is one of ours. LocalError when it is missing or out of place.
        """
        if (event in ANSWERS) != bool(response):
            raise LocalError("an answer, and only an answer, comes with its bytes")
        row = self._table.get((self.state, event))
        if row is None:
            return None
        self.state, actions = row
        sent: bytes | None = None
        for action in actions:
            if action is Do.SEND:
                sent = self._response = response
            elif action is Do.RESEND:
                sent = self._response or None
            elif action is Do.STOP:
                self._timers.clear()
            else:
                self._start(_STARTS[action], now)
        return sent

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` is due, None when nothing is awaited."""
        return min(self._timers.values(), default=None)

    def handle_timer(self, now: float) -> bytes | None:
        """Fire what is due and return the bytes to send, None for nothing.

        However late it is called, one call sends one datagram at most.
        """
        sent: bytes | None = None
        # the end of a transaction comes before its next retransmission when both are due
        for event in (Event.TIMER_H, Event.TIMER_I, Event.TIMER_J, Event.TIMER_L, Event.TIMER_G):
            if self._timers.get(event, now + 1) <= now:
                del self._timers[event]
                sent = self.feed(event, now=now)
        return sent

    def _start(self, timer: Event, now: float) -> None:
        if timer is Event.TIMER_G:
            if not self._reliable:
                self._timers[timer] = now + self._pause_s
                self._pause_s = min(2 * self._pause_s, T2_S)
        elif timer is Event.TIMER_I:
            self._timers[timer] = now if self._reliable else now + T4_S
        elif timer is Event.TIMER_J:
            self._timers[timer] = now if self._reliable else now + LIFETIME_S
        else:
            self._timers[timer] = now + LIFETIME_S
