"""What a holder remembers of one user who is away, and when there is nothing left to do for him.  I/O: none.

Nothing is left to do where every place has its piece, and where the places that lack theirs are those of nodes that
refuse it, drop it, deny it or do not answer for it, time after time: one liar at a place of a user must not keep the
other holders busy for as long as he is away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from overlay.ring.ids import Peer

PLACES_GOOD_S: Final = 300.0
"""Where nothing is left to do, the same nodes are asked again for so long, without look-ups; and who is none of them
rests meanwhile. A place that lacks its piece anew ends it."""
MAX_GAPS: Final = 64
"""Places without their piece that are remembered of one user, the latest; nodes that come and go make many."""


@dataclass(slots=True)
class Watch:
    """One user, and one holder's looks at his places."""

    hearing: int
    """The index whose place was asked last for a newer record."""
    turn: int = 0
    """Looks in which something was lacking."""
    places: Mapping[int, Peer] = field(default_factory=dict)
    """Whose the places were at the last full look."""
    good_until: float = 0.0
    """Until when there is nothing left to do there, on the wall clock."""
    _gaps: dict[tuple[int, Peer], int] = field(default_factory=dict)
    """Places whose nodes did not answer for their piece, in how many full looks; those of the last look come last."""

    def see(self, places: Mapping[int, Peer], gaps: Collection[tuple[int, Peer]]) -> None:
        """Take note of a full look: whose the places are, and which of them lack their piece."""
        self.places = places
        # not forgotten where a place is another's for a while: who is silent now and then goes and comes all the time
        for gap in gaps:
            self._gaps[gap] = self._gaps.pop(gap, 0) + 1
        while len(self._gaps) > MAX_GAPS:
            del self._gaps[next(iter(self._gaps))]

    def are_old(self, gaps: Collection[tuple[int, Peer]]) -> bool:
        """Tell whether each holder has had its turn with all of these, in vain."""
        return all(self._gaps.get(gap, 0) > len(self.places) + 1 for gap in gaps)

    def settle(self, now: float) -> None:
        """Take note that nothing is left to do."""
        self.good_until = now + PLACES_GOOD_S

    def is_settled(self, now: float) -> bool:
        """Tell whether that is so still; a clock that was set back ends it."""
        return 0 < self.good_until - now <= PLACES_GOOD_S
