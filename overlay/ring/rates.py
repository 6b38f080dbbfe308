"""Token buckets: how often a source may make this node work.  I/O: none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable


class TokenBucket:
    """Lets `burst` things through at once and `per_second` in the long run."""

    __slots__ = ("_burst", "_filled_at", "_per_second", "_tokens")

    def __init__(self, *, burst: float, per_second: float, now: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._tokens = burst
        self._filled_at = now

    def take(self, now: float) -> bool:
        """Take one token; False when there is none."""
        # a wall clock that was put back must neither drain nor fill the bucket
        elapsed = max(0.0, now - self._filled_at)
        self._filled_at = now
        self._tokens = min(self._burst, self._tokens + elapsed * self._per_second)
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class RateTable:
    """One token bucket for each source and one for all of them together, in bounded memory.

    Whoever has not been heard of for the longest is forgotten first; the common bucket bounds what forged sources do.
    """

    __slots__ = ("_buckets", "_burst", "_max_sources", "_per_second", "_total")

    def __init__(
        self, *, burst: float, per_second: float, total_burst: float, total_per_second: float, max_sources: int
    ) -> None:
        self._burst = burst
        self._per_second = per_second
        self._total = TokenBucket(burst=total_burst, per_second=total_per_second, now=0.0)
        self._max_sources = max_sources
        self._buckets: dict[Hashable, TokenBucket] = {}  # who was heard of last is last

    def take(self, source: Hashable, now: float) -> bool:
        """Take one token of this source and one of the common bucket; False when either is empty."""
        bucket = self._buckets.get(source)
        if bucket is None:
            bucket = self._buckets[source] = TokenBucket(burst=self._burst, per_second=self._per_second, now=now)
            if len(self._buckets) > self._max_sources:
                del self._buckets[next(iter(self._buckets))]
        else:
            self._buckets[source] = self._buckets.pop(source)
        return bucket.take(now) and self._total.take(now)
