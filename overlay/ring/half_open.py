"""Hellos of others that were answered and not yet confirmed.  I/O: none.

Everything a stranger can make this node remember for a hello is in this table, and it is small: a session leaves it for
the established ones when its first authentic DATA frame comes in, and whoever replays a hello can never send that.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from overlay.ring.channel import Session
    from overlay.ring.frames import Address
    from overlay.ring.ids import RingId

MAX_HALF_OPEN: Final = 512
MAX_HALF_OPEN_PER_PEER: Final = 4
"""For one node id: whoever has one credential cannot push the hellos of others out."""
HALF_OPEN_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    session: Session
    answer: bytes
    digest: bytes


class HalfOpen:
    """Answered hellos, oldest first."""

    __slots__ = ("_by_hello", "_by_index", "_per_peer")

    def __init__(self) -> None:
        self._by_index: dict[int, _Entry] = {}
        self._by_hello: dict[bytes, _Entry] = {}
        self._per_peer: Counter[RingId] = Counter()

    def __len__(self) -> int:
        return len(self._by_index)

    def get(self, index: int) -> Session | None:
        """Return the unconfirmed session that bears our index."""
        entry = self._by_index.get(index)
        return None if entry is None else entry.session

    def answer_to(self, hello: bytes, source: Address) -> bytes | None:
        """Return the answer that the very same hello of the same source got before."""
        entry = self._by_hello.get(hashlib.sha256(hello).digest())
        if entry is None or entry.session.peer.address != source:
            return None
        return entry.answer

    def admits(self, peer_id: RingId, time_ms: int) -> bool:
        """Tell whether a hello of this peer and this time would find a place.

        Where the peer has all its places filled, a newer hello takes that of the oldest, by the peer's own clock: so
        replayed hellos never push a true one out.
        """
        return self._per_peer[peer_id] < MAX_HALF_OPEN_PER_PEER or time_ms > self._oldest_of(peer_id).hello_time_ms

    def add(self, session: Session, hello: bytes, answer: bytes) -> None:
        """Remember an answered hello; the oldest of this peer, or of all, makes room where a cap is reached."""
        peer_id = session.peer.id
        if self._per_peer[peer_id] >= MAX_HALF_OPEN_PER_PEER:
            self.remove(self._oldest_of(peer_id).index)
        elif len(self._by_index) >= MAX_HALF_OPEN:
            self.remove(next(iter(self._by_index)))
        entry = _Entry(session=session, answer=answer, digest=hashlib.sha256(hello).digest())
        self._by_index[session.index] = entry
        self._by_hello[entry.digest] = entry
        self._per_peer[peer_id] += 1

    def remove(self, index: int) -> None:
        """Forget one: it was confirmed, it made room, or its time is over."""
        entry = self._by_index.pop(index, None)
        if entry is None:
            return
        if self._by_hello.get(entry.digest) is entry:
            del self._by_hello[entry.digest]
        peer_id = entry.session.peer.id
        self._per_peer[peer_id] -= 1
        if not self._per_peer[peer_id]:
            del self._per_peer[peer_id]

    def _oldest_of(self, peer_id: RingId) -> Session:
        sessions = (entry.session for entry in self._by_index.values() if entry.session.peer.id == peer_id)
        return min(sessions, key=lambda session: session.hello_time_ms)

    def drop_address(self, address: Address) -> None:
        """Forget what came from an address."""
        for index in [i for i, entry in self._by_index.items() if entry.session.peer.address == address]:
            self.remove(index)

    def sweep(self, now: float) -> None:
        """Forget what nobody confirmed in time."""
        for index in [i for i, e in self._by_index.items() if not 0 <= now - e.session.created_at < HALF_OPEN_S]:
            self.remove(index)
