"""Answers given lately, so that a retransmitted request is answered again and its handler runs once.  I/O: none.

A request is the same when the same node sends the same message id. What one peer fills never pushes out another's, and
all of them together stay bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from overlay.ring.ids import RingId

ANSWER_LIFETIME_S: Final = 4.0
"""Several times longer than anybody retransmits."""
MAX_PER_PEER: Final = 64
"""Answers kept for one peer; its oldest go first."""
MAX_PEERS: Final = 128
"""Peers for whom answers are kept; who asked longest ago goes first. At most 128 * 64 answers of 1,180 bytes."""


class AnswerCache:
    """Encoded answers by peer and message id."""

    def __init__(self) -> None:
        self._peers: OrderedDict[RingId, OrderedDict[bytes, tuple[float, bytes]]] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(answers) for answers in self._peers.values())

    def get(self, peer: RingId, message_id: bytes, now: float) -> bytes | None:
        """Return the answer that this request got before, None when it is new or long ago."""
        answers = self._peers.get(peer)
        found = answers.get(message_id) if answers else None
        if found is None or now - found[0] > ANSWER_LIFETIME_S:
            return None
        return found[1]

    def put(self, peer: RingId, message_id: bytes, answer: bytes, now: float) -> None:
        """Keep an answer for a while."""
        answers = self._peers.setdefault(peer, OrderedDict())
        self._peers.move_to_end(peer)
        answers[message_id] = (now, answer)
        answers.move_to_end(message_id)
        while len(answers) > MAX_PER_PEER:
            answers.popitem(last=False)
        while len(self._peers) > MAX_PEERS:
            self._peers.popitem(last=False)

    def sweep(self, now: float) -> None:
        """Forget what is too old to be asked for again."""
        for peer, answers in list(self._peers.items()):
            while answers and now - next(iter(answers.values()))[0] > ANSWER_LIFETIME_S:
                answers.popitem(last=False)
            if not answers:
                del self._peers[peer]
