"""How much one source may ask of us before we look at what it says.

Pure: time is an argument.  A token bucket per source and one over all of them; checking an INVITE costs a lookup of the
caller's key, so a flood has to end before that [docs/protocol.md].
"""

from collections import OrderedDict
from collections.abc import Hashable

from overlay.errors import LocalError

MAX_SOURCES = 4_096
"""How many sources are remembered; beyond it the one heard longest ago is forgotten, which refills its bucket."""


class Bucket:
    """A token bucket: `burst` at once, then `per_s` a second."""

    __slots__ = ("_at", "_burst", "_per_s", "_tokens")

    def __init__(self, *, burst: int, per_s: float, now: float) -> None:
        """Begin full.  `burst` is a number of events, `per_s` events per second."""
        if burst < 1 or per_s <= 0:
            raise LocalError("a rate needs a burst of at least one and a refill above zero")
        self._burst, self._per_s = float(burst), per_s
        self._tokens, self._at = self._burst, now

    def take(self, now: float) -> bool:
        """Whether one more event is within the rate; counts it if so."""
        # a clock that steps back must not drain the bucket
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._at) * self._per_s)
        self._at = now
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True


class RateLimiter:
    """One bucket per source and, if wanted, one for all together."""

    __slots__ = ("_all", "_burst", "_capacity", "_per_s", "_sources")

    def __init__(
        self,
        *,
        burst: int,
        per_s: float,
        total_burst: int = 0,
        total_per_s: float = 0.0,
        now: float,
        capacity: int = MAX_SOURCES,
    ) -> None:
        """`burst` and `per_s` bind each source, `total_burst` and `total_per_s` all of them together; 0 does not."""
        self._burst, self._per_s, self._capacity = burst, per_s, capacity
        self._all = Bucket(burst=total_burst, per_s=total_per_s, now=now) if total_burst else None
        self._sources: OrderedDict[Hashable, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sources)

    def allows(self, source: Hashable, now: float) -> bool:
        """Whether `source` may ask once more; counts it if so.

        Its own bucket comes first: what one source is refused does not use up what the others share.
        """
        bucket = self._sources.get(source)
        if bucket is None:
            bucket = Bucket(burst=self._burst, per_s=self._per_s, now=now)
            self._sources[source] = bucket
            if len(self._sources) > self._capacity:
                self._sources.popitem(last=False)
        self._sources.move_to_end(source)
        return bucket.take(now) and (self._all is None or self._all.take(now))
