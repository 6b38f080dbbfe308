"""Of whom something was shown lately, and not undone since.  I/O: none; time is an argument.

What is remembered is up to `adapter.calls.lanes`: nodes that proved a caller, nodes with the callers they proved, nodes
whose last INVITE could not be proved.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final

STANDING_S: Final = 3600.0
"""How long an INVITE speaks for or against those who sent it, in seconds."""
MAX_STANDING: Final = 1024
"""How many are remembered; whose proof is oldest goes first."""


class Standing:
    """Whoever is in it."""

    def __init__(self) -> None:
        self._proved_at: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._proved_at)

    def proved(self, who: Hashable, now: float) -> None:
        """Take somebody in, or keep him for longer."""
        self._proved_at[who] = now
        self._proved_at.move_to_end(who)
        if len(self._proved_at) > MAX_STANDING:
            self._proved_at.popitem(last=False)

    def doubted(self, who: Hashable) -> None:
        """Put somebody out."""
        self._proved_at.pop(who, None)

    def is_good(self, who: Hashable, now: float) -> bool:
        """Tell whether somebody is in it, since not long ago."""
        proved_at = self._proved_at.get(who)
        return proved_at is not None and now - proved_at < STANDING_S
