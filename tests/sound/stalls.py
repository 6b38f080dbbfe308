"""Whether the machine kept time while something was measured on it.  I/O: a thread that sleeps.

A program that asks to be woken in 5 ms and is woken 30 ms later was not to blame, and neither was a phone that went
through the same. What a measurement shows of dropouts has to be read beside this.
"""

from __future__ import annotations

import threading
import time
from typing import Any, Final, Self

NAP_S: Final = 0.005
LATE_S: Final = 0.020
"""A frame of sound."""


class Stalls:
    """A context manager; `found` holds when (time.monotonic) and for how long the machine stood still, in seconds."""

    def __init__(self) -> None:
        self.found: list[tuple[float, float]] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stalls", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def between(self, begin: float, end: float) -> dict[str, Any]:
        """Return the figures of a stretch of time."""
        long = [late for at, late in self.found if begin <= at <= end]
        return {"stalls": len(long), "longest_ms": round(max(long, default=0.0) * 1000, 1)}

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._over.wait(NAP_S):
            now = time.monotonic()
            if now - before - NAP_S > LATE_S:
                self.found.append((before, now - before - NAP_S))
            before = now
