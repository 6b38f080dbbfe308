"""Established sessions: one link for each peer, with its newest session and those it replaced.  I/O: none.

When two hellos cross, both handshakes succeed. Both ends then choose the session that the node with the lower id began,
so they agree; the other one goes on receiving for GRACE_S, and longer while anything still arrives on it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from overlay.ring.channel import Session
    from overlay.ring.frames import Address
    from overlay.ring.ids import Peer, RingId

MAX_SESSIONS: Final = 2048
"""Peers with a session; who was idle for the longest makes room."""
MAX_PREVIOUS: Final = 3
"""Replaced sessions of one peer that still receive."""
GRACE_S: Final = 30.0
SWEEP_S: Final = 15.0
REQUEST_BURST: Final = 8192
REQUESTS_PER_SECOND: Final = 512.0
"""What one member may make this node work for, at once and in the long run: 3 % of a processor. The busiest honest
moment, a leave in a ring of two, takes eight requests a user for three seconds at most [docs/adr/0020]."""
BURST_S: Final = REQUEST_BURST / REQUESTS_PER_SECOND
_REQUEST_S: Final = 1 / REQUESTS_PER_SECOND
CROSSING_S: Final = 0.3
"""Handshakes in both directions that lie no further apart have crossed; a node that restarts takes longer."""


class Link:
    """What this node shares with one peer."""

    __slots__ = ("current", "hello_time_ms", "met_at", "paid_until", "previous", "suspect")

    def __init__(self, current: Session) -> None:
        self.current = current
        """The session to send with."""
        self.met_at = current.created_at
        """When the peer was met; new keys and new addresses leave it as it is, a lost link does not."""
        self.previous: tuple[Session, ...] = ()
        """Replaced ones, oldest first; a tuple, since an empty one takes no room."""
        self.suspect = False
        """The peer hinted that it lost the session: send nothing before a new handshake or a sign of life."""
        self.hello_time_ms = 0
        """The newest clock in a hello of the peer that led to a session."""
        self.paid_until = 0.0
        """When all that the peer asked for so far will have been worth its share of REQUESTS_PER_SECOND."""

    def charge(self, now: float) -> None:
        """Count one message of the peer that nobody here waited for."""
        self.paid_until = max(self.paid_until, now) + _REQUEST_S

    def is_spent(self, now: float) -> bool:
        """Tell whether the peer has asked for more than its share, the burst included."""
        return self.paid_until - now > BURST_S

    @property
    def peer(self) -> Peer:
        """Id and address of the peer."""
        return self.current.peer

    @property
    def heard_at(self) -> float:
        """When the peer last sent anything authentic, on whichever session."""
        return max(session.heard_at for session in (self.current, *self.previous))


class Links:
    """The links of all peers, least recently used first."""

    __slots__ = ("_at", "_by_index", "_by_peer_index", "_links", "_me", "_swept_at")

    def __init__(self, me: RingId) -> None:
        self._me = me
        self._links: OrderedDict[RingId, Link] = OrderedDict()
        self._by_index: dict[int, Session] = {}
        self._by_peer_index: dict[tuple[Address, int], Session] = {}
        self._at: dict[Address, RingId] = {}
        self._swept_at = 0.0

    def __len__(self) -> int:
        return len(self._links)

    def get(self, ring_id: RingId) -> Link | None:
        """Return the link of a peer, wherever it is."""
        return self._links.get(ring_id)

    def find(self, address: Address, expected: RingId | None) -> Link | None:
        """Return the link of `expected` if it is at this address; of whoever is there if nobody is expected."""
        ring_id = self._at.get(address) if expected is None else expected
        link = None if ring_id is None else self._links.get(ring_id)
        return link if link is not None and link.peer.address == address else None

    def by_index(self, index: int) -> Session | None:
        """Return the session that bears our index."""
        return self._by_index.get(index)

    def by_peer_index(self, address: Address, index: int) -> Session | None:
        """Return the session that bears the index of the peer at an address."""
        return self._by_peer_index.get((address, index))

    def knows_host(self, host: str) -> bool:
        """Tell whether any peer proved to be at this host, on whichever port."""
        return any(at == host for at, _ in self._at)

    def peers(self) -> list[Peer]:
        """Return every peer with a link."""
        return [link.peer for link in self._links.values()]

    def touch(self, ring_id: RingId) -> None:
        """Note that a link is in use."""
        self._links.move_to_end(ring_id)

    def install(self, session: Session, now: float) -> bool:
        """Take up a confirmed session; return whether a usable one at the same address was there before."""
        ring_id = session.peer.id
        self._by_index[session.index] = session
        self._by_peer_index[session.peer.address, session.peer_index] = session
        link = self._links.get(ring_id)
        again = False
        if link is None:
            link = self._links[ring_id] = Link(session)
        else:
            old = link.current
            again = old.is_usable(now) and old.peer.address == session.peer.address
            self._put(link, session, now)
        link.hello_time_ms = max(link.hello_time_ms, session.hello_time_ms)
        self._at[link.peer.address] = ring_id
        self._links.move_to_end(ring_id)
        while len(self._links) > MAX_SESSIONS:
            self.drop(next(iter(self._links)))
        return again

    def _put(self, link: Link, session: Session, now: float) -> None:
        """Make a session the current one of its link, or a previous one when the two handshakes crossed."""
        old = link.current
        if link.suspect or self._supersedes(session, old, now):
            link.current = session
            link.suspect = False
            if old.peer.address != session.peer.address and self._at.get(old.peer.address) == session.peer.id:
                del self._at[old.peer.address]
            session = old
        session.superseded_at = now
        link.previous = (*link.previous, session)
        if len(link.previous) > MAX_PREVIOUS:
            self._forget(link.previous[0])
            link.previous = link.previous[1:]

    def _supersedes(self, new: Session, old: Session, now: float) -> bool:
        if not old.is_usable(now) or new.peer.address != old.peer.address:
            return True
        if new.initiator != old.initiator and abs(new.created_at - old.created_at) < CROSSING_S:
            return new.initiator == (self._me < new.peer.id)
        return new.created_at >= old.created_at

    def drop(self, ring_id: RingId) -> None:
        """Forget a peer and all its sessions."""
        link = self._links.pop(ring_id, None)
        if link is None:
            return
        for session in (link.current, *link.previous):
            self._forget(session)
        if self._at.get(link.peer.address) == ring_id:
            del self._at[link.peer.address]

    def drop_previous(self, session: Session) -> None:
        """Forget one replaced session."""
        link = self._links.get(session.peer.id)
        if link is not None and session in link.previous:
            link.previous = tuple(one for one in link.previous if one is not session)
            self._forget(session)

    def drop_address(self, address: Address) -> None:
        """Forget every peer at an address."""
        for ring_id in [link.peer.id for link in self._links.values() if link.peer.address == address]:
            self.drop(ring_id)

    def rebase(self, now: float) -> None:
        """Follow a clock that was put back: nobody has used up more than the whole burst."""
        for link in self._links.values():
            link.paid_until = min(link.paid_until, now + BURST_S)

    def sweep(self, now: float) -> None:
        """Forget sessions past their age or their peer's credential, and replaced ones that fell silent.

        Nothing of it is urgent, since no session is used without a look at its age: not more than every SWEEP_S.
        """
        if 0 <= now - self._swept_at < SWEEP_S:
            return
        self._swept_at = now
        for ring_id, link in list(self._links.items()):
            for session in link.previous:
                quiet_since = max(session.superseded_at or 0.0, session.heard_at)
                if not session.is_usable(now) or now - quiet_since >= GRACE_S:
                    self.drop_previous(session)
            if not link.current.is_usable(now):
                if link.previous:
                    self._forget(link.current)
                    *older, link.current = link.previous
                    link.previous = tuple(older)
                    link.current.superseded_at = None
                    self._at[link.peer.address] = ring_id
                else:
                    self.drop(ring_id)

    def _forget(self, session: Session) -> None:
        self._by_index.pop(session.index, None)
        self._by_peer_index.pop((session.peer.address, session.peer_index), None)
