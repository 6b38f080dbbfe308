"""How many questions of this node may be on the wire at once; the others wait for their turn.  I/O: none.

A look-up asks dozens of nodes, and their answers all come to one socket, which holds some hundred datagrams while its
owner is busy. Who has forty look-ups begun in one moment (a flood of INVITEs by forty nodes) and asks everything at
once loses most of the answers, asks again, and loses more: what was a moment's work never ends. So a question leaves
only when few enough are under way: neither answered nor given up.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

ON_THE_WIRE: Final = 96
"""Questions under way: several times what one look-up asks at once. Their answers fit into the smallest buffer that
kernels give a socket, and who deals with 1,000 datagrams a second has done so before the first is asked for again."""
QUESTIONS: Final = frozenset({"find_node", "around", "fetch"})
"""What look-ups ask, which is what comes in crowds; everything else is about one node and leaves at once."""

T = TypeVar("T")


class Window(Generic[T]):
    """Who is on the wire and who waits, in order."""

    __slots__ = ("_limit", "_there", "_waiting")

    def __init__(self, limit: int = ON_THE_WIRE) -> None:
        self._limit = limit
        self._there: set[bytes] = set()
        self._waiting: OrderedDict[bytes, T] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, message_id: bytes, question: T) -> bool:
        """Tell whether a question may leave now; where not, it is kept until `leaving` names it."""
        if self._waiting or len(self._there) >= self._limit:
            self._waiting[message_id] = question
            return False
        self._there.add(message_id)
        return True

    def leave(self, message_id: bytes) -> None:
        """Take note that a question is answered or given up, or is not to be asked any more."""
        self._there.discard(message_id)
        self._waiting.pop(message_id, None)

    def leaving(self) -> Iterator[T]:
        """Hand out, in order, what may leave now."""
        while self._waiting and len(self._there) < self._limit:
            message_id, question = self._waiting.popitem(last=False)
            self._there.add(message_id)
            yield question
