"""Requests and answers over authenticated datagrams: rpcudp's protocol with its faults closed.  I/O: udp.

    datagram -> sessions -> message -> answer to a request of ours, or a request -> handler -> answer
    request  -> calls (retransmission) -> sessions -> datagram

Everything that comes in is dealt with at once, in one synchronous turn: there is no task for a datagram that could be
lost with its error. One timer serves sessions and calls. The library waits five seconds for an answer that it asked for
once, takes it from anybody, keeps what a cancelled caller left, and makes a remote call of every misspelt name
[docs/adr/0002].
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NoReturn

from rpcudp.protocol import RPCProtocol

from overlay.errors import LocalError, RemoteError
from overlay.ring.alarm import Alarm
from overlay.ring.answers import Answering
from overlay.ring.calls import MAX_CALLS, Call, Calls, Verdict
from overlay.ring.liveness import Liveness
from overlay.ring.retransmission import QUICK, Patience
from overlay.ring.rpc import MESSAGE_ID_BYTES, Answer, Request, decode_message, encode_request, is_answer_to
from overlay.ring.session_events import Established, Event, Received
from overlay.ring.window import QUESTIONS, Window

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from overlay.ring.frames import Address
    from overlay.ring.ids import Peer, RingId
    from overlay.ring.sessions import Sessions

log = logging.getLogger(__name__)

RECEIVE_BUFFER_BYTES: Final = 1 << 20
"""The answers to a burst of requests wait here while one of them is worked on; the kernel may grant less, and by itself
it grants no more than some ninety datagrams."""
MAX_WRITE_BUFFER_BYTES: Final = 1 << 20
"""Datagrams that the socket does not take are dropped beyond this: they would be too old when it does."""

Outcome = tuple[bool, Any]
"""(True, what the peer said) or (False, None), as the library has it."""


class HardRpc(RPCProtocol):
    """One node's end of every conversation on the ring."""

    def __init__(
        self,
        *,
        sessions: Sessions,
        clock: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        handlers: Mapping[str, Callable[..., Any]],
    ) -> None:
        """Take the sessions, their clock (wall time), and what to do on each request: handler(peer, *arguments)."""
        # by name, as the library does: super() would be KademliaProtocol where both are inherited
        RPCProtocol.__init__(self)
        self.sessions = sessions
        self.liveness = Liveness()
        self.counters: Counter[str] = Counter()
        """What came in and what went wrong, how often."""
        self._clock = clock
        self._random_bytes = random_bytes
        self._loop = asyncio.get_running_loop()
        self._calls = Calls()
        self._window: Window[Call] = Window()
        self._answering = Answering(handlers, self.counters)
        self._alarm = Alarm(self._on_alarm)
        self._pump_handle: asyncio.Handle | None = None
        self._closed: asyncio.Future[None] | None = None

    def request(
        self,
        address: Address,
        expected: RingId | None,
        method: str,
        *arguments: object,
        patience: Patience = QUICK,
        on_late: Callable[[], None] | None = None,
    ) -> asyncio.Future[Outcome]:
        """Ask the node `expected` at an address, or whoever is there, for `method`; the future never fails.

        It may be dropped or cancelled at any time. `on_late` is called once, when the answer is overdue by one timeout.
        LocalError when the request is too long, has no such name, or too many are under way.
        """
        future: asyncio.Future[Outcome] = self._loop.create_future()
        if self.is_closed:
            future.set_result((False, None))
            return future
        now = self._loop.time()
        message_id = self._random_bytes(MESSAGE_ID_BYTES)
        payload = encode_request(Request(message_id=message_id, method=method, arguments=arguments))
        call = Call(
            message_id=message_id, address=address, expected=expected, payload=payload, patience=patience, begun_at=now
        )
        is_question = method in QUESTIONS
        if is_question and len(self._window) >= MAX_CALLS:
            raise LocalError("too many requests wait for their turn")
        if not is_question or self._window.enter(message_id, call):
            try:
                self._launch(call)
            except LocalError:
                self._window.leave(message_id)
                raise
        self._outstanding[message_id] = (future, on_late)
        future.add_done_callback(lambda _: self._forget(message_id))
        self.counters[f"asked {method}"] += 1
        return future

    def _launch(self, call: Call) -> None:
        """Let a request leave, behind a handshake where there is no session."""
        call.begun_at = now = self._loop.time()
        there = self.sessions.peer_at(call.address)
        if there is not None and call.expected in {None, there.id}:
            self._calls.start(call, now, self.liveness.round_trip(there.id).rto_s)
        else:
            self._calls.hold(call, now, self.liveness.anybody.rto_s)
        self.sessions.send(call.address, call.expected, call.payload, self._clock())
        self._pump_soon()

    def _leave(self, message_id: bytes) -> None:
        """Take a question off the wire and let others have its turn."""
        self._window.leave(message_id)
        for call in () if self.is_closed else self._window.leaving():
            try:
                self._launch(call)
            except LocalError as flaw:
                self.counters[str(flaw)] += 1
                self._window.leave(call.message_id)
                self._calls.discard(call.message_id)
                self._settle(call.message_id, (False, None))

    @property
    def is_closed(self) -> bool:
        """Whether nothing more goes out or comes in."""
        return self.transport is None or self.transport.is_closing()

    async def close(self) -> None:
        """Close the socket and end every request as unanswered. May be called twice."""
        self._alarm.stop()
        if self._pump_handle is not None:
            self._pump_handle.cancel()
        if self.transport is not None:
            if self._closed is None:
                self._closed = self._loop.create_future()
                self.transport.close()
            await asyncio.shield(self._closed)
        for future, _ in list(self._outstanding.values()):
            if not future.done():
                future.set_result((False, None))

    def sweep(self) -> None:
        """Forget answers that nobody will ask for again."""
        self._answering.sweep(self._loop.time())

    # --- what comes in -----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket."""
        RPCProtocol.connection_made(self, transport)
        if (taken := transport.get_extra_info("socket")) is not None:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        """Take a datagram; nothing that is in it raises."""
        self.sessions.receive(data, addr[:2], self._clock())
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the socket is closed."""
        if exc is not None:
            log.error("the ring's socket failed: %s", exc)
        if self._closed is None:
            self._closed = self._loop.create_future()
        if not self._closed.done():
            self._closed.set_result(None)

    def error_received(self, exc: Exception) -> None:
        """Count what the network said about a datagram of ours: its retransmission finds out more."""
        self.counters[f"socket: {type(exc).__name__}"] += 1

    def _pump(self) -> None:
        """Deal with what sessions say, send what they want sent, set the timer."""
        self._pump_handle = None
        while (event := self.sessions.next_event()) is not None:
            self._on_event(event)
        for data, address in self.sessions.datagrams_to_send():
            self._transmit(data, address)
        self._set_alarm()

    def _pump_soon(self) -> None:
        """Pump at the end of this event-loop turn, once for all that is asked in it."""
        if self._pump_handle is None:
            self._pump_handle = self._loop.call_soon(self._pump)

    def _on_event(self, event: Event) -> None:
        now = self._loop.time()
        if isinstance(event, Received):
            self._on_message(event.peer, event.payload)
        elif isinstance(event, Established):
            round_trip = self.liveness.round_trip(event.peer.id)
            if event.rtt_s is not None:
                round_trip.sample(max(0.0, event.rtt_s), transmissions=1)
            self._heard(event.peer, None)
            self._calls.release(event.peer, now, round_trip.rto_s)
        else:
            for call in self._calls.fail(event.address, event.expected):
                self._give_up(call)

    def _heard(self, peer: Peer, message: Request | Answer | None) -> None:  # noqa: ARG002 - for those who override it
        """Take note of a sign of life that proves the peer's id and address: a message, or a new session."""
        self.liveness.heard(peer.id)

    def _on_message(self, peer: Peer, payload: bytes) -> None:
        if not is_answer_to(payload, self._outstanding):
            self.sessions.charge(peer.id)
        try:
            message = decode_message(payload)
            self._heard(peer, message)
            if isinstance(message, Answer):
                self._accept_response(message.message_id, message.value, peer)
            else:
                self._serve(peer, message)
        except RemoteError as flaw:
            self.counters[flaw.reason] += 1

    def _accept_response(self, msg_id: bytes, data: Any, address: Peer) -> None:
        """Settle the request that this answers, if it comes from who was asked."""
        call = self._calls.answer(msg_id, address)
        if call is None:
            raise RemoteError("answer to nothing that was asked of this node")
        elapsed = max(0.0, self._loop.time() - call.sent_at)
        for estimator in (self.liveness.round_trip(address.id), self.liveness.anybody):
            estimator.sample(elapsed, transmissions=max(1, call.transmissions))
        self._settle(msg_id, (True, data))

    def _serve(self, peer: Peer, request: Request) -> None:
        """Answer a request, as before if it comes again."""
        encoded = self._answering.answer(peer, request, self._loop.time())
        if encoded is not None:
            self.sessions.send(peer.address, peer.id, encoded, self._clock())

    # --- what goes out and what is due -------------------------------------------------------------------------------

    def _transmit(self, data: bytes, address: Address) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        # typeshed leaves the method out of DatagramTransport, which has had it since 3.4
        backlog: int = self.transport.get_write_buffer_size()  # type: ignore[attr-defined]
        if backlog > MAX_WRITE_BUFFER_BYTES:
            self.counters["socket: too slow"] += 1
            return
        self.transport.sendto(data, address)

    def _set_alarm(self) -> None:
        """Let the alarm ring at the next deadline of sessions or calls."""
        due = self._calls.next_deadline()
        session_due = self.sessions.next_deadline()
        if session_due is not None:
            # sessions keep wall time, which may be put forward or back; calls keep the loop's
            then = self._loop.time() + max(0.0, session_due - self._clock())
            due = then if due is None else min(due, then)
        if due is not None and not self.is_closed:
            self._alarm.set(due)

    def _on_alarm(self) -> None:
        self.sessions.handle_timer(self._clock())
        for verdict, call in self._calls.handle_timer(self._loop.time()):
            if verdict is Verdict.OVER:
                self._give_up(call)
            elif verdict is Verdict.AGAIN:
                self.counters["sent again"] += 1
                self.sessions.send(call.address, call.expected, call.payload, self._clock())
            else:
                _, on_late = self._outstanding.get(call.message_id, (None, None))
                if on_late is not None:
                    on_late()
        self._pump()

    def _give_up(self, call: Call) -> None:
        """End a request that nobody answered."""
        self.counters["silent"] += 1
        self._missed(call)
        self._settle(call.message_id, (False, None))

    def _missed(self, call: Call) -> None:
        """Take note that a node left a request unanswered."""
        if call.expected is not None:
            self.liveness.missed(call.expected, begun_at=call.begun_at, now=self._loop.time())

    def _settle(self, message_id: bytes, outcome: Outcome) -> None:
        future, _ = self._outstanding.pop(message_id, (None, None))
        # whoever asked may have stopped waiting
        if future is not None and not future.done():
            future.set_result(outcome)

    def _forget(self, message_id: bytes) -> None:
        """Leave nothing of a request that is answered, given up or cancelled."""
        self._outstanding.pop(message_id, None)
        self._calls.discard(message_id)
        self._leave(message_id)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            """Raise as any object does."""
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
