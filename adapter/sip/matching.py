"""Every live server transaction, found by the request that belongs to it.  I/O: none.

A request belongs to a transaction by its branch, its sent-by, its method and the flow it came over; an old phone's
request, whose branch has no magic cookie, by the fields that RFC 2543 went by [RFC 3261 §17.2.3]. ACK and CANCEL find
the INVITE's. A request that came by two ways is found by From tag, Call-ID and CSeq [RFC 3261 §8.2.2.2].
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from adapter.sip.transaction import Event, ServerTransaction, State, event_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from adapter.sip.validate import ValidRequest
    from adapter.sip.verdict import IncomingInvite


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Where a message came from and where its answer goes."""

    transport: Literal["UDP", "TCP", "TLS"] = "UDP"
    host: str
    """IP literal of the other side."""
    port: int
    connection: int = 0
    """Number of the connection, never used again; 0 for UDP."""

    @property
    def address(self) -> tuple[str, int]:
        """The other side's host and port."""
        return self.host, self.port

    @property
    def is_reliable(self) -> bool:
        """Tell whether the transport itself retransmits."""
        return self.transport != "UDP"

    @property
    def identity(self) -> tuple[str, str, int]:
        """What a retransmission shares with its original: UDP may change the port, nothing else."""
        return self.transport, self.host, self.connection


@dataclass(slots=True, kw_only=True)
class Exchange:
    """A server transaction with what its owner keeps beside it until it is answered."""

    key: Hashable
    twin: Hashable
    """Key of requests that are this one by another way; None when none can be."""
    transaction: ServerTransaction
    flow: Flow
    to_tag: str
    """One for the whole transaction: every answer that names a tag names this one."""
    number: int
    request: ValidRequest | None
    """Dropped with the final answer: most of a transaction's life is waiting."""
    call: IncomingInvite | None = None
    """What the service was asked for it; kept for its ACK."""
    scheduled: float | None = None
    """The deadline that stands in the queue for it."""


def key_of(request: ValidRequest, flow: Flow, *, method: str | None = None) -> Hashable:
    """Return what identifies a request's transaction; `method` asks for another one's with the same branch."""
    method = method or request.method
    method = "INVITE" if method == "ACK" else method
    via = request.via
    if via.has_cookie:
        return via.branch, via.host, via.port, method, flow.identity
    # tags and values of the top Via stand in for the branch; the To tag is left out, the INVITE had none
    top = (via.transport, via.host, via.port, via.branch)
    return request.raw.uri, request.caller.tag, request.call_id, request.cseq, top, method, flow.identity


def twin_of(request: ValidRequest) -> Hashable:
    """Return what a request shares with its copies that came by other ways; None inside a dialog."""
    if request.callee.tag:
        return None
    return request.caller.tag, request.call_id, request.cseq, request.method


class Exchanges:
    """The live transactions of one endpoint, with one deadline for all of them."""

    def __init__(self) -> None:
        self._exchanges: dict[Hashable, Exchange] = {}
        self._twins: dict[Hashable, Exchange] = {}
        # (when, tie breaker, key); a transaction that moved on leaves its old entries here until they come up
        self._deadlines: list[tuple[float, int, Hashable]] = []
        self._connected: dict[int, dict[Hashable, Exchange]] = {}
        self._counter = 0

    def __len__(self) -> int:
        return len(self._exchanges)

    def __iter__(self) -> Iterator[Exchange]:
        return iter(tuple(self._exchanges.values()))

    def find(self, key: Hashable) -> Exchange | None:
        """Return the live transaction with this key."""
        return self._exchanges.get(key)

    def find_twin(self, request: ValidRequest) -> Exchange | None:
        """Return a transaction still without an answer that is this very request, come by another way."""
        exchange = self._twins.get(twin_of(request))
        return exchange if exchange is not None and exchange.transaction.is_open else None

    def open(self, request: ValidRequest, flow: Flow, *, to_tag: str) -> Exchange:
        """Begin a transaction for a request that none is live for."""
        self._counter += 1
        exchange = Exchange(
            key=key_of(request, flow),
            twin=twin_of(request),
            transaction=ServerTransaction(invite=request.method == "INVITE", reliable=flow.is_reliable),
            flow=flow,
            to_tag=to_tag,
            number=self._counter,
            request=request,
        )
        self._exchanges[exchange.key] = exchange
        if exchange.twin is not None:
            self._twins[exchange.twin] = exchange
        if flow.connection:
            self._connected.setdefault(flow.connection, {})[exchange.key] = exchange
        return exchange

    def over(self, connection: int) -> tuple[Exchange, ...]:
        """Return the live transactions whose requests came over this connection."""
        return tuple(self._connected.get(connection, {}).values())

    def answer(self, exchange: Exchange, status: int, response: bytes, now: float) -> bytes | None:
        """Hand an answer of ours to its transaction; return the bytes to send, None when it comes too late."""
        sent = exchange.transaction.feed(event_of(status), now=now, response=response)
        if not exchange.transaction.is_open:
            exchange.request = None
        self._schedule(exchange)
        return sent

    def feed(self, exchange: Exchange, event: Event, now: float) -> bytes | None:
        """Hand an event from outside to a transaction; return the bytes to send."""
        sent = exchange.transaction.feed(event, now=now)
        self._schedule(exchange)
        return sent

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` is due; never later than the next timer, now and then a little early."""
        return self._deadlines[0][0] if self._deadlines else None

    def handle_timer(self, now: float) -> list[tuple[bytes, Flow]]:
        """Fire what is due and return what to send where."""
        sent: list[tuple[bytes, Flow]] = []
        while self._deadlines and self._deadlines[0][0] <= now:
            _, number, key = heapq.heappop(self._deadlines)
            exchange = self._exchanges.get(key)
            if exchange is None or exchange.number != number:
                continue
            due = exchange.transaction.next_deadline()
            if due is not None and due <= now:
                data = exchange.transaction.handle_timer(now)
                if data is not None:
                    sent.append((data, exchange.flow))
                self._schedule(exchange)
        return sent

    def _schedule(self, exchange: Exchange) -> None:
        if exchange.transaction.state is State.TERMINATED:
            self._exchanges.pop(exchange.key, None)
            if self._twins.get(exchange.twin) is exchange:
                del self._twins[exchange.twin]
            if (connected := self._connected.get(exchange.flow.connection)) is not None:
                connected.pop(exchange.key, None)
                if not connected:
                    del self._connected[exchange.flow.connection]
            return
        due = exchange.transaction.next_deadline()
        # a retransmission moves no timer and must not lengthen the queue
        if due is not None and due != exchange.scheduled:
            exchange.scheduled = due
            heapq.heappush(self._deadlines, (due, exchange.number, exchange.key))
