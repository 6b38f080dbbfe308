"""Answers to requests: a handler runs once, a repeated request gets the answer of the first.  I/O: its handlers'.

A request is the same when the same node sends the same message id. What one peer fills never pushes out another's, and
all of them together stay bounded.
"""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING, Any, Final

from overlay.errors import RemoteError
from overlay.ring.rpc import Answer, Request, encode_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from overlay.ring.ids import Peer, RingId

log = logging.getLogger(__name__)

ANSWER_LIFETIME_S: Final = 4.0
"""Several times longer than anybody retransmits."""
MAX_PER_PEER: Final = 64
"""Answers kept for one peer; its oldest go first."""
MAX_PEERS: Final = 128
"""Peers for whom answers are kept; who asked longest ago goes first. At most 128 * 64 answers of 1,180 bytes."""


class AnswerCache:
    """Encoded answers by peer and message id."""

    __slots__ = ("_peers",)

    def __init__(self) -> None:
        self._peers: dict[RingId, OrderedDict[bytes, tuple[float, bytes]]] = {}  # who asked last is last

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
        answers = self._peers.pop(peer) if peer in self._peers else OrderedDict()
        self._peers[peer] = answers
        answers.pop(message_id, None)
        answers[message_id] = (now, answer)
        while len(answers) > MAX_PER_PEER:
            answers.popitem(last=False)
        while len(self._peers) > MAX_PEERS:
            del self._peers[next(iter(self._peers))]

    def sweep(self, now: float) -> None:
        """Forget what is too old to be asked for again."""
        for peer, answers in list(self._peers.items()):
            while answers and now - next(iter(answers.values()))[0] > ANSWER_LIFETIME_S:
                answers.popitem(last=False)
            if not answers:
                del self._peers[peer]


class Answering:
    """Runs the handler of each request, once, and encodes what it says."""

    __slots__ = ("_cache", "_counters", "_handlers")

    def __init__(self, handlers: Mapping[str, Callable[..., Any]], counters: Counter[str]) -> None:
        """Take handler(peer, *arguments) for each method that is served, and where to count."""
        self._handlers = handlers
        self._counters = counters
        self._cache = AnswerCache()

    def answer(self, peer: Peer, request: Request, now: float) -> bytes | None:
        """Return the encoded answer, None where there is none: the handler failed, which is logged.

        RemoteError when the request is unsound.
        """
        encoded = self._cache.get(peer.id, request.message_id, now)
        if encoded is not None:
            self._counters["answered again"] += 1
            return encoded
        try:
            value = self._handlers[request.method](peer, *request.arguments)
            encoded = encode_answer(Answer(message_id=request.message_id, value=value))
        except RemoteError:
            raise
        except Exception:  # a fault of ours must cost this one answer, not the node
            log.exception("cannot answer %s of %s", request.method, peer)
            self._counters["handler failed"] += 1
            return None
        self._cache.put(peer.id, request.message_id, encoded, now)
        self._counters[f"served {request.method}"] += 1
        return encoded

    def sweep(self, now: float) -> None:
        """Forget answers that nobody will ask for again."""
        self._cache.sweep(now)
