"""The calls of one child: numbered, led to their ends, and one of them at the sound card.

I/O: by PJSIP. Run by the child process alone. A call that was refused lives on here until PJSIP lets go of it: it holds
one of PJSIP's four places, and only the next `tick` may refuse it, not the callback that brought it.
"""

from collections.abc import Callable, Iterator
from typing import Final

import pjsua2 as pj

from adapter.softphone import events
from adapter.softphone.call import LiveCall
from overlay.errors import RemoteError

NO_CALL: Final = "no call is up"


class Lines:
    """Calls by number; a number is never given twice."""

    def __init__(self) -> None:
        self._calls: dict[int, LiveCall] = {}
        self._refused: list[LiveCall] = []
        self._last = 0

    def __len__(self) -> int:
        """Count the calls that are no refused ones."""
        return len(self._calls)

    def __iter__(self) -> Iterator[LiveCall]:
        return iter(tuple(self._calls.values()))

    @property
    def is_idle(self) -> bool:
        """Nothing is left of any call."""
        return not self._calls and not self._refused

    def next_number(self) -> int:
        """Give the number of a call that is about to be made."""
        self._last += 1
        return self._last

    def add(self, number: int, call: LiveCall) -> None:
        """Lead a call from now on; also one that goes on in the place of another."""
        self._calls[number] = call

    def refuse(self, call: LiveCall, why: tuple[str, str], status: int) -> None:
        """Let the next tick refuse a call that nobody is told of."""
        self._refused.append(call)
        call.doom(*why, status)

    def ringing(self, number: int) -> LiveCall:
        """Find the call that waits to be answered, by its number or, with 0, the only one; RemoteError without one."""
        for key, call in self._calls.items():
            if number in {0, key} and call.waits_for_answer():
                return call
        raise RemoteError("nobody calls")

    def up(self, number: int) -> LiveCall:
        """Find a call that is up, by its number or, with 0, the one that is not on hold; RemoteError without one."""
        standing = [call for key, call in self._calls.items() if number in {0, key} and call.is_up()]
        if not standing:
            raise RemoteError(NO_CALL)
        return min(standing, key=lambda call: call.is_held_here)

    def speaking(self) -> LiveCall | None:
        """Find the call that is up and not on hold by us."""
        return next((call for call in self if call.is_up() and not call.is_held_here), None)

    def hang_up(self, number: int) -> None:
        """End a call, or with 0 every call, in whatever state."""
        for key, call in self._calls.items():
            if number in {0, key}:
                call.doom("hung up here", "hung up")

    def yield_to(self, chosen: LiveCall) -> None:
        """Put every other call that is up on hold: there is one sound card; RemoteError where one cannot be held."""
        for call in self:
            if call is not chosen and call.is_up() and not call.is_held_here:
                try:
                    call.hold(on=True)
                except pj.Error as flaw:
                    raise RemoteError(f"the other call cannot be put on hold: {flaw.reason}") from None

    def tick(self, now: float, over: Callable[[int, LiveCall, events.Ended], None]) -> None:
        """Look at every call's clocks, and let go of those that are over; `over` is told of each."""
        for call in (*self._refused, *self):
            call.tick(now)
        for call in [call for call in self._refused if call.is_over(now)]:
            self._refused.remove(call)
            call.destroy()
        for number, call in [(number, call) for number, call in self._calls.items() if call.is_over(now)]:
            del self._calls[number]
            over(number, call, call.destroy())

    def close(self) -> Iterator[tuple[int, events.Ended]]:
        """Destroy whatever is left."""
        for call in self._refused:
            call.destroy()
        self._refused.clear()
        while self._calls:
            number, call = self._calls.popitem()
            yield number, call.destroy()
