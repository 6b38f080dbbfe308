"""Look users up in two rings, one after the other: the one that answered well last, then the other.  I/O: dht.

Each ring is judged by itself, by the same rules (`adapter.directory`): holders of the one bear no witness in the other.
So who is in one ring only is found by whoever is in that ring, and fewer than k liars among the holders of either forge
nothing in it. The second is asked where the first one is late (LATE_S), knows nobody, or gives a key that rests on
signatures alone: a ring with few nodes in it must not answer for one with many. And a failure counts: what a ring
has heard of a newer key, or proved of one whose owner is away, stands against the other's answer.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from adapter.findings import KeyChanged, KeyUnverifiable, LookupFailed, NameAway, NameRevoked, NameUnknown
from overlay.errors import RemoteError
from overlay.ring.two_rings import staggered

if TYPE_CHECKING:
    from adapter.directory import Directory
    from adapter.findings import Found
    from adapter.search import Trace

_FAILURES: Final[dict[type[RemoteError], int]] = {
    NameRevoked: 8,
    KeyUnverifiable: 5,
    KeyChanged: 5,
    NameAway: 3,
    NameUnknown: 2,
}
_BASES: Final = {"polynomial": 7, "pin": 6, "signatures": 4}
"""What is told where the rings say different things: the highest. A revocation is for everybody; a proved key is above
the doubt of the other ring, one that rests on signatures is not, because these may be stolen."""


class TwoDirectories:
    """Stands in front of one directory for each ring; `find` is theirs."""

    def __init__(self, first: Directory, second: Directory) -> None:
        self._order = [first, second]

    async def find(
        self,
        aor: str,
        *,
        trace: Trace | None = None,
        min_sequence: int = 0,
        full: bool = False,
        record_needed: bool = True,
    ) -> Found:
        """Return what `Directory.find` does, from the ring that knows more; raises what it raises."""

        async def ask(directory: Directory) -> tuple[Directory, Found | RemoteError]:
            try:
                found = await directory.find(
                    aor, trace=trace, min_sequence=min_sequence, full=full, record_needed=record_needed
                )
            except RemoteError as failure:
                return directory, failure
            return directory, found

        tries = [partial(ask, directory) for directory in self._order]
        ends = await staggered(tries, enough=lambda end: _rank(end[1]) == _BASES["polynomial"])
        directory, best = max(ends, key=lambda end: _weight(end[1]))
        if isinstance(best, RemoteError):
            raise best
        others = [other for _, other in ends if other is not best]
        for other in others:
            if isinstance(other, LookupFailed) and _overrules(other, best):
                raise other
        if any(not isinstance(other, RemoteError) and _contradicts(other, best) for other in others):
            raise KeyUnverifiable(f"the two rings name two keys of {aor}, and neither is above the other")
        self._order.sort(key=lambda one: one is not directory)
        return best


def _rank(end: Found | RemoteError) -> int:
    return _FAILURES.get(type(end), 1) if isinstance(end, RemoteError) else _BASES[end.basis]


def _weight(end: Found | RemoteError) -> tuple[int, int, int, int]:
    """Return what decides between two ends: the rank, then the newer key, then the better borne one.

    Of two keys that a pin leads to the newer counts, were it borne by signatures alone: the pin's may be given up.
    """
    if isinstance(end, RemoteError):
        return _rank(end), 0, 0, 0
    is_led = end.basis == "pin" or end.followed
    rank = max(_rank(end), _BASES["pin"]) if is_led else _rank(end)
    return rank, end.generation, _rank(end), end.support


def _overrules(failure: LookupFailed, best: Found) -> bool:
    """Whether what one ring knows forbids what the other one gives, which no rule has proved there.

    A later generation: this key may be one that its owner has given up, and stolen.  A proved key whose owner is away:
    who has the dealing key may sign another one in a ring of few.
    """
    if best.basis == "polynomial":
        return False
    if failure.newest_generation > best.generation:
        return True
    return best.basis == "signatures" and failure.proved is not None and failure.proved != best.bundle


def _contradicts(other: Found, best: Found) -> bool:
    return other.bundle != best.bundle and _rank(other) == _rank(best) and other.generation == best.generation
