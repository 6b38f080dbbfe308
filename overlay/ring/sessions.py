r"""Authenticated datagrams between the nodes of the ring, sans-IO.  I/O: none.

    receive(data, source, now) · send(address, expected, payload, now) · next_event() · datagrams_to_send()
    next_deadline() · handle_timer(now)

The rules:
1. Nothing comes out as Received that a node of this overlay did not seal for us, from the address it proved, once.
2. `send` to an address without a session sends a HELLO first and keeps the payload, within bounds, behind it.
3. An address that answers nothing is Unreachable after 0.35 to 0.65 s; an ANSWER counts only from the address that was
   asked, to that very HELLO, and by the id that was expected.
4. A HELLO makes a session only when the first DATA frame that it allows comes in: replayed, it fills one of a few
   half-open places for some seconds and changes nothing else.
5. Who has not proved its address gets fewer bytes than it sent: an ANSWER is smaller than a HELLO, a RESET than DATA.
6. A RESET proves nothing. It makes us send a HELLO, and wait for its answer, while the old session stays as it is.
7. Who has made this node work for more than its share is not heard until that is paid off, before anything is opened.
8. Everything refused is counted under its reason and dropped in silence.

    half-open --first DATA--> current --newer session--> previous --30 s of silence--> gone
         \--5 s--> gone          \--RESET--> suspect (payloads wait for a new handshake)
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from overlay.errors import LocalError, RemoteError
from overlay.ring.allowances import Allowances
from overlay.ring.attempts import HELLO_TRIES, Attempt, Attempts
from overlay.ring.frames import (
    ANSWER,
    DATA,
    HELLO,
    MAX_PAYLOAD_BYTES,
    NO_ID,
    RESET,
    Address,
    decode_answer,
    decode_data_header,
    decode_hello,
    decode_reset,
    encode_reset,
)
from overlay.ring.half_open import HalfOpen
from overlay.ring.handshake import Handshake, RingIdentity
from overlay.ring.ids import Peer, RingId, id_to_bytes, is_in_reach, is_sendable
from overlay.ring.links import Links
from overlay.ring.session_events import Established, Event, Received, Refused, Unreachable

if TYPE_CHECKING:
    from collections.abc import Callable

    from overlay.ring.channel import Session

__all__ = ["Established", "Event", "Received", "Refused", "RingIdentity", "Sessions", "Unreachable"]

RESET_MIN_AGE_S: Final = 0.2
"""A younger session is not given up for a hint: hints cannot keep two nodes shaking hands."""
REPLAY_GUARD_S: Final = 10.0
"""A peer heard of so recently did not restart with its clock put back: an older hello of it is a replay."""
SWEEP_S: Final = 2.0
OVER_THE_RATE: Final = "data over the rate"
"""The counter of frames that came from a member who had used up its share."""


class Sessions:
    """All sessions of one node."""

    __slots__ = (
        "_allowances",
        "_attempts",
        "_events",
        "_half_open",
        "_handshake",
        "_hello_timeout_s",
        "_links",
        "_now",
        "_out",
        "_own_address",
        "_swept_at",
        "counters",
    )

    def __init__(
        self,
        identity: RingIdentity,
        *,
        random_bytes: Callable[[int], bytes],
        own_address: Address | None = None,
        hello_timeout_s: Callable[[Address], float | None] | None = None,
    ) -> None:
        """Speak for a node.

        `own_address` is what the socket is bound to; it is sealed into hellos, so that nobody relays them. Leave it out
        for a wildcard address or behind NAT. `hello_timeout_s` may tell a retransmission timeout for an address.
        """
        self.counters: Counter[str] = Counter()
        """Why datagrams were dropped, how often."""
        self.own_address = own_address
        self._handshake = Handshake(identity, random_bytes=random_bytes)
        self._hello_timeout_s = hello_timeout_s
        self._links = Links(self._handshake.id)
        self._half_open = HalfOpen()
        self._attempts = Attempts()
        self._allowances = Allowances()
        self._events: list[Event] = []
        self._out: list[tuple[bytes, Address]] = []
        self._now = 0.0
        self._swept_at = 0.0

    @property
    def own_address(self) -> Address | None:
        """The address that this node speaks from; None when it has no single one."""
        return self._own_address

    @own_address.setter
    def own_address(self, address: Address | None) -> None:
        # a wildcard is no address that anybody could send to
        self._own_address = address if is_sendable(address) else None

    def renew(self, identity: RingIdentity) -> None:
        """Go on with a newer credential of the same node; LocalError when it is another node's."""
        if identity.id != self._handshake.id:
            raise LocalError("another node key cannot take over the sessions")
        self._handshake.renew(identity)

    def send(self, address: Address, expected: RingId | None, payload: bytes, now: float) -> None:
        """Send a payload to the node `expected` at an address, or to whoever is there when None.

        Up to 8,192 bytes. Behind a HELLO where there is no session yet: Established follows, or Refused or Unreachable.
        LocalError when the address or the payload can never be sent.
        """
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise LocalError(f"a payload of {len(payload)} bytes is over {MAX_PAYLOAD_BYTES}")
        self._tick(now)
        link = self._links.find(address, expected)
        if link is None or link.suspect or not link.current.is_usable(now):
            if not is_sendable(address):
                raise LocalError("not an address to send to")
            self._greet(address, expected, payload, now)
            return
        self._out.append((link.current.seal(payload), address))
        self._links.touch(link.peer.id)
        if link.current.wants_rekey(now) and self._attempts.get(address, link.peer.id) is None:
            self._greet(address, link.peer.id, None, now)

    def receive(self, data: bytes, source: Address, now: float) -> None:
        """Take a datagram from the network. Never raises for what is in it."""
        self._tick(now)
        kind = data[0] if data else 0
        # only a hello makes an address known, so what comes in a session comes from one that was looked at
        if kind != DATA and not self._can_answer(source):
            self.counters["source address unusable"] += 1
            return
        try:
            if kind == DATA:
                self._on_data(data, source, now)
            elif kind == HELLO:
                self._on_hello(data, source, now)
            elif kind == ANSWER:
                self._on_answer(data, source, now)
            elif kind == RESET:
                self._on_reset(data, source, now)
            else:
                self.counters["unknown frame"] += 1
        except RemoteError as flaw:
            self.counters[flaw.reason] += 1

    def next_event(self) -> Event | None:
        """Return what happened next, or None."""
        return self._events.pop(0) if self._events else None

    def datagrams_to_send(self) -> list[tuple[bytes, Address]]:
        """Return what is to leave, in order; the caller sends it."""
        out, self._out = self._out, []
        return out

    def next_deadline(self) -> float | None:
        """Return when handle_timer wants to be called, in the clock of `now`, or None."""
        return self._attempts.next_deadline()

    def handle_timer(self, now: float) -> None:
        """Send hellos again that are due, and give up those that were sent often enough."""
        self._tick(now)
        for attempt in self._attempts:
            if attempt.due is None or attempt.due > now:
                continue
            if attempt.tries < HELLO_TRIES:
                attempt.sent(now)
                self._out.append((attempt.greeting.frame, attempt.greeting.target))
            else:
                self._give_up(attempt, now)

    def forget(self, address: Address) -> None:
        """Drop all that is known of an address, payloads that wait for it included: it said goodbye, or is dead."""
        self._links.drop_address(address)
        self._half_open.drop_address(address)
        for attempt in self._attempts:
            if attempt.greeting.target == address:
                self._attempts.remove(attempt)

    def peer_at(self, address: Address) -> Peer | None:
        """Return who proved to be at an address, if somebody did."""
        link = self._links.find(address, None)
        return None if link is None else link.peer

    def met_at(self, ring_id: RingId) -> float | None:
        """Return when the link with a node began, in the clock of `now`; None without a link."""
        link = self._links.get(ring_id)
        return None if link is None else link.met_at

    def charge(self, ring_id: RingId) -> None:
        """Count a message of a peer, just received, that nobody here waited for: a request, or an answer to nothing."""
        link = self._links.get(ring_id)
        if link is not None:
            link.charge(self._now)

    def peers(self) -> list[Peer]:
        """Return every peer with a session."""
        return self._links.peers()

    def _can_answer(self, source: Address) -> bool:
        own = self._own_address
        return is_sendable(source) and (own is None or is_in_reach(source[0], own[0]))

    # --- what comes in

    def _on_data(self, data: bytes, source: Address, now: float) -> None:
        index, counter = decode_data_header(data)
        session = self._links.by_index(index)
        unconfirmed = None
        if session is None:
            session = unconfirmed = self._half_open.get(index)
        if session is None:
            if not self._can_answer(source):
                raise RemoteError("source address unusable")
            if self._allowances.resets.take(source[0], now):
                self._out.append((encode_reset(index), source))
            raise RemoteError("session unknown")
        if source != session.peer.address:
            raise RemoteError("data from another address")
        if not session.is_usable(now):
            raise RemoteError("session expired")
        # who forges a frame of this session opens nothing, and so spends nothing of the peer's
        if (link := self._links.get(session.peer.id)) is not None and link.is_spent(now):
            raise RemoteError(OVER_THE_RATE)
        payload = session.open(data, counter, now)
        if unconfirmed is not None:
            self._half_open.remove(index)
            self._establish(session, now, rtt_s=None)
        else:
            self._links.touch(session.peer.id)
            self._sign_of_life(session, now)
        # an empty payload only confirms the keys
        if payload:
            self._events.append(Received(peer=session.peer, payload=payload))

    def _on_hello(self, data: bytes, source: Address, now: float) -> None:
        hello = decode_hello(data)
        # what costs nothing comes first: signatures are checked for few
        if hello.expected not in (NO_ID, id_to_bytes(self._handshake.id)):
            raise RemoteError("hello for another node")
        if self._own_address is not None and hello.target != self._own_address:
            raise RemoteError("hello for another address")
        if hello.origin is not None and hello.origin != source:
            raise RemoteError("hello relayed")
        repeated = self._half_open.answer_to(data, source)
        if repeated is not None:
            self._out.append((repeated, source))
            raise RemoteError("hello repeated")
        if not self._allowances.hellos.take(source[0], now):
            raise RemoteError("hello over the rate")
        claimed = self._handshake.claimed_id(hello.credential)
        link = self._links.get(claimed)
        if link is not None and hello.time_ms <= link.hello_time_ms and now - link.heard_at < REPLAY_GUARD_S:
            raise RemoteError("hello replayed")
        if not self._half_open.admits(claimed, hello.time_ms):
            raise RemoteError("hello replayed")
        self._handshake.check_hello(data, hello, now)
        answer, session = self._handshake.answer(data, hello, source, self._own_address, now)
        self._half_open.add(session, data, answer)
        self._out.append((answer, source))

    def _on_answer(self, data: bytes, source: Address, now: float) -> None:
        answer = decode_answer(data)
        attempt = self._attempts.by_index(answer.to_index)
        if attempt is None:
            raise RemoteError("answer to no hello")
        if source != attempt.greeting.target:
            raise RemoteError("answer from another address")
        if answer.origin is not None and answer.origin != source:
            raise RemoteError("answer relayed")
        try:
            session = self._handshake.conclude(attempt.greeting, data, answer, now)
        except RemoteError as flaw:
            # a forged or damaged answer must not end the wait for the true one; a sound answer by the wrong node does
            if flaw.reason in Handshake.FINAL:
                self._attempts.remove(attempt)
                greeting = attempt.greeting
                self._events.append(Refused(address=source, expected=greeting.expected, why=flaw.reason))
            raise
        self._attempts.remove(attempt)
        waiting = attempt.take_queue()
        # the first frame on the new keys confirms them to the peer, even when there is nothing to say
        for payload in waiting or [b""]:
            self._out.append((session.seal(payload), source))
        self._establish(session, now, rtt_s=attempt.rtt_s(now))

    def _on_reset(self, data: bytes, source: Address, now: float) -> None:
        session = self._links.by_peer_index(source, decode_reset(data))
        if session is None:
            raise RemoteError("reset of no session")
        if 0 <= now - session.created_at < RESET_MIN_AGE_S:
            raise RemoteError("reset too early")
        link = self._links.get(session.peer.id)
        if link is None or link.current is not session:
            self._links.drop_previous(session)
            return
        if not link.suspect:
            link.suspect = True
            self._greet(source, session.peer.id, None, now)

    # --- what follows from it

    def _establish(self, session: Session, now: float, *, rtt_s: float | None) -> None:
        again = self._links.install(session, now)
        self._events.append(Established(peer=session.peer, again=again, rtt_s=rtt_s))
        self._flush(session.peer, now)

    def _sign_of_life(self, session: Session, now: float) -> None:
        """Trust a session again that a hint had cast doubt on: its peer has just used it."""
        link = self._links.get(session.peer.id)
        if link is not None and link.suspect and link.current is session:
            link.suspect = False
            self._flush(session.peer, now)

    def _flush(self, peer: Peer, now: float) -> None:
        """Send what waited behind hellos to a peer that has a session now, and end those hellos."""
        for expected in (peer.id, None):
            attempt = self._attempts.get(peer.address, expected)
            if attempt is not None:
                self._attempts.remove(attempt)
                for payload in attempt.take_queue():
                    self.send(peer.address, peer.id, payload, now)

    def _greet(self, address: Address, expected: RingId | None, payload: bytes | None, now: float) -> None:
        """Send a HELLO unless one is on its way, and put the payload behind it."""
        attempt = self._attempts.get(address, expected)
        if attempt is None:
            if not self._links.knows_host(address[0]) and not self._allowances.strangers.take(address[0], now):
                self.counters["too many hellos to a silent host"] += 1
                self._events.append(Unreachable(address=address, expected=expected, dropped=1))
                return
            timeout_s = self._hello_timeout_s(address) if self._hello_timeout_s is not None else None
            greeting = self._handshake.greet(address, expected, self._own_address, now)
            attempt = Attempt(greeting, timeout_s=timeout_s)
            if not self._attempts.add(attempt):
                self.counters["too many hellos of ours"] += 1
                self._events.append(Unreachable(address=address, expected=expected, dropped=1))
                return
        if payload is not None and (dropped := attempt.enqueue(payload)):
            self.counters["queue full"] += dropped
        if attempt.due is None:
            attempt.begin(now)
            self._out.append((attempt.greeting.frame, address))

    def _give_up(self, attempt: Attempt, now: float) -> None:
        attempt.give_up(now)
        greeting = attempt.greeting
        dropped = len(attempt.take_queue())
        link = self._links.find(greeting.target, greeting.expected)
        # keys that could not be renewed yet are no reason to call a peer dead
        if link is None or link.suspect or not link.current.is_usable(now):
            self._events.append(Unreachable(address=greeting.target, expected=greeting.expected, dropped=dropped))

    def _tick(self, now: float) -> None:
        """Follow the clock, and forget what is over."""
        if now < self._now:
            # the wall clock was put back: nothing may wait for a time that is an hour away now
            self._attempts.rebase(now)
            self._links.rebase(now)
            self._swept_at = min(self._swept_at, now)
        self._now = now
        if now - self._swept_at >= SWEEP_S:
            self._swept_at = now
            self._half_open.sweep(now)
            self._links.sweep(now)
            self._attempts.sweep(now)
