"""How fast call legs may come into being: PJSIP aborts the process beyond some thirty within half a second.

I/O: none; `now` is seconds of a monotonic clock. Each leg takes two of PJSIP's 64 socket handles and gives them back
500 ms after its end, so that a flood of INVITEs, each refused or cancelled at once, would kill the phone. While the
gate is shut the child does not look at its sockets: the flood waits in the kernel and overflows there; media has a
thread of its own. One look at the socket works off up to 50 messages before the gate is asked again (INVITE and CANCEL
in turn: 26 legs, measured), so the socket's buffer is kept small as well.
"""

from collections import deque
from typing import Final

MAX_LEGS: Final = 12
"""Legs within WINDOW_S that shut the gate."""
WINDOW_S: Final = 0.6
"""A little more than PJSIP's 500 ms: 12 in 0.6 s are 20 a second."""
SOCKET_BUFFER_BYTES: Final = 16_384
"""SO_RCVBUF of the SIP socket: the kernel doubles it and counts at least 900 bytes a message, so that one look at it
brings 18 legs at most, and 29 with those before it."""


class LegGate:
    """Counts legs in a sliding window."""

    __slots__ = ("_born",)

    def __init__(self) -> None:
        self._born: deque[float] = deque()

    def note(self, now: float) -> None:
        """Count a leg, outgoing or incoming, kept or refused."""
        self._born.append(now)

    def is_shut(self, now: float) -> bool:
        """Tell whether no leg may be made and no packet be read just now."""
        while self._born and now - self._born[0] > WINDOW_S:
            self._born.popleft()
        return len(self._born) >= MAX_LEGS
