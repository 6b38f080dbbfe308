"""Which nodes proved a caller lately: a flood of the others must not keep theirs out.  I/O: none; time is an argument.

An enrolled node is cheap enough that a few of them together can use up what all sources share. So nodes whose last
INVITE was proved share a budget of their own; one INVITE that cannot be proved puts a node back among the strangers.
"""

from collections import OrderedDict
from typing import Final

from overlay.ring.ids import RingId

STANDING_S: Final = 3600.0
"""How long a proved INVITE speaks for its node, in seconds."""
MAX_STANDING: Final = 1024
"""Nodes remembered; whose proof is oldest goes first."""


class Standing:
    """The nodes in good standing."""

    def __init__(self) -> None:
        self._proved_at: OrderedDict[RingId, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._proved_at)

    def proved(self, node: RingId, now: float) -> None:
        """Take note that an INVITE of this node bore its caller's true signature."""
        self._proved_at[node] = now
        self._proved_at.move_to_end(node)
        if len(self._proved_at) > MAX_STANDING:
            self._proved_at.popitem(last=False)

    def doubted(self, node: RingId) -> None:
        """Take note that an INVITE of this node could not be proved."""
        self._proved_at.pop(node, None)

    def is_good(self, node: RingId, now: float) -> bool:
        """Tell whether the last INVITE of this node that was looked at was proved, and not long ago."""
        proved_at = self._proved_at.get(node)
        return proved_at is not None and now - proved_at < STANDING_S
