"""One event-loop timer for everything of a node that has a deadline.  I/O: the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LAG_S: Final = 0.05
"""A timer that fires later than this lets the socket be read first, once: the answers may be waiting there."""


class Alarm:
    """Calls `ring` once whenever a deadline is over; one that is reached too early does no harm."""

    __slots__ = ("_is_put_off", "_loop", "_ring", "_timer")

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._is_put_off = False

    def set(self, due: float) -> None:
        """Ring at `due` on the loop's clock, or earlier if it is set earlier already."""
        if self._timer is not None:
            # most deadlines pass unneeded: moving the timer for each of them would cost more than ringing too early
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._fire, due)

    def stop(self) -> None:
        """Ring no more until set again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self, due: float) -> None:
        now = self._loop.time()
        self._timer = None
        if now - due > MAX_LAG_S and not self._is_put_off:
            # the whole process was held up: nobody is silent whose answer nobody could read. Only once, though: in a
            # process that is always late nothing would ever be given up
            self._is_put_off = True
            self.set(now + MAX_LAG_S)
            return
        self._is_put_off = False
        self._ring()
