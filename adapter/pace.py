"""How soon a round of an owner's upkeep follows the last one.  I/O: none.

What makes headway goes on at once. What stands still, since a holder refuses, is tried ever more rarely. And so is what
makes headway for ever, since a holder takes everything and has nothing: calm rounds earn eager ones. A change of the
ring is answered at once too, unless one follows the other: a node may leave and come back all day.
"""

from __future__ import annotations

import math
from typing import Final

RETRY_S: Final = 1.0
"""The shortest time from one round to the next, in seconds, where the ring does not change."""
MAX_EAGER: Final = 8
"""Eager rounds that a long calm earns, and so the most of them in a row."""
MAX_HURRIED: Final = 8
"""Changes that are answered one right after the other."""
HURRY_S: Final = 5.0
"""From one to the next beyond that, in seconds."""


class Pace:
    """The pauses between the rounds of one user's upkeep."""

    __slots__ = ("_eager", "_hurried_at", "_retry_s")

    def __init__(self) -> None:
        """Begin as after a long calm."""
        self._retry_s, self._eager = RETRY_S, MAX_EAGER
        self._hurried_at = -math.inf

    def after(self, *, has_moved: bool, is_settled: bool, quiet_s: float, longest_s: float) -> float:
        """Return how many seconds to wait after a round.

        `has_moved`: whether it moved or released a piece; `is_settled`: whether it left nothing to do; `quiet_s`: until
        when nothing else is due, at most `longest_s`.
        """
        is_eager = has_moved and self._eager > 0
        if is_settled:
            self._eager = min(self._eager + 1, MAX_EAGER)
        elif is_eager:
            self._eager -= 1
        self._retry_s = RETRY_S if is_eager else min(2 * self._retry_s, longest_s)
        # what is due in a moment, or was while the round went on, is no reason to go on without a pause
        return quiet_s if is_settled else max(RETRY_S, min(self._retry_s, quiet_s))

    def hurry(self, now: float) -> float:
        """Return how many seconds a round that a change asks for has to wait; `now` is monotonic."""
        self._hurried_at = max(self._hurried_at, now - MAX_HURRIED * HURRY_S) + HURRY_S
        return max(0.0, self._hurried_at - now)
