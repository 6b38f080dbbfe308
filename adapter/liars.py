"""Nodes that were caught lying by this adapter: remembered, shown, asked last.  I/O: none; time is an argument.

What goes in here names a node for certain (`adapter.conviction`): it is the node's own answer, authenticated by the
ring, and one that no honest node gives, whatever came to it by others, however its clock goes and whoever joined or
left meanwhile. The memory is this adapter's own and goes to nobody: what another says of a third node proves nothing.

To be remembered costs a node its place in the first wave of a lookup and nothing else: in the second wave it is asked
like everybody, and its answer counts like any other. So a memory that is wrong costs a few milliseconds, never a call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from overlay.errors import LocalError
from overlay.ring.ids import ID_BYTES
from overlay.trust.signed import check_bytes, check_int

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Save = Callable[[tuple["Lied", ...]], None]

FORGET_AFTER_S: Final = 7 * 86_400.0
"""How long after its last lie a node is remembered, in seconds."""
MAX_LIARS: Final = 256
"""Nodes remembered; whose last lie is longest ago goes first. To wash one away takes so many others that lie."""
MAX_WHY_CHARS: Final = 120
SAVE_EVERY_S: Final = 60.0
"""How often what is known already is written down again, in seconds: lies of a flood are not worth a write each."""
_MAX_TIMES: Final = 2**31


@dataclass(frozen=True, slots=True, kw_only=True)
class Lied:
    """What is remembered of one node."""

    node: bytes
    """20 bytes: its ring id, proved by its handshake."""
    why: str
    """What was wrong with its last lie: one clause in lower case."""
    times: int
    """Lookups in which it lied."""
    first_at: float
    """The first one, in seconds since 1970 by this adapter's clock."""
    last_at: float
    """The last one."""

    def __post_init__(self) -> None:
        check_bytes("node", self.node, ID_BYTES)
        check_int("times", self.times, 1, _MAX_TIMES)
        if len(self.why) > MAX_WHY_CHARS or not self.why.isprintable():
            raise LocalError("what a node did is told in one printable line")
        if not 0 <= self.first_at <= self.last_at:
            raise LocalError("a node lies for the first time before it does for the last")


class Liars:
    """The nodes that one adapter caught; `save` is called with all of them when there is news to keep."""

    def __init__(self, lied: Iterable[Lied] = (), *, save: Save = lambda _all: None) -> None:
        self._lied = {one.node: one for one in sorted(lied, key=lambda one: one.last_at)[-MAX_LIARS:]}
        self._save, self._saved_at, self._is_dirty = save, 0.0, False

    def note(self, node: bytes, why: str, now: float) -> None:
        """Take note that a node lied in one lookup; `node` is its ring id (20 bytes), `why` one clause."""
        self._drop_old(now)
        before, why = self._lied.pop(node, None), _printable(why)
        self._lied[node] = (
            Lied(node=node, why=why, times=1, first_at=now, last_at=now)
            if before is None
            # a clock that stepped back must not make the first lie the later one
            else replace(
                before,
                why=why,
                times=min(before.times + 1, _MAX_TIMES),
                first_at=min(before.first_at, now),
                last_at=now,
            )
        )
        if len(self._lied) > MAX_LIARS:
            del self._lied[min(self._lied.values(), key=lambda one: one.last_at).node]
        self._is_dirty = True
        if before is None or not 0 <= now - self._saved_at < SAVE_EVERY_S:
            self.flush(now)

    def remembers(self, node: bytes, now: float) -> bool:
        """Whether a node (20 bytes) was caught lately."""
        one = self._lied.get(node)
        return one is not None and not _is_old(one, now)

    def all(self, now: float) -> tuple[Lied, ...]:
        """Return what is remembered, the latest lie first."""
        fresh = [one for one in self._lied.values() if not _is_old(one, now)]
        return tuple(sorted(fresh, key=lambda one: (-one.last_at, one.node)))

    def flush(self, now: float) -> None:
        """Have it written down if there is anything new."""
        if self._is_dirty:
            self._is_dirty, self._saved_at = False, now
            self._save(self.all(now))

    def _drop_old(self, now: float) -> None:
        for node in [node for node, one in self._lied.items() if _is_old(one, now)]:
            del self._lied[node]


def _is_old(one: Lied, now: float) -> bool:
    # what was noted by a clock that ran a week ahead is not kept until that week is over
    return abs(now - one.last_at) > FORGET_AFTER_S


def _printable(why: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in why)[:MAX_WHY_CHARS]
