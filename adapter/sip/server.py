"""The adapter's SIP server: messages and verdicts in, questions and messages out.  I/O: none.

The order in which a request is treated:

1.  What only keeps a path open and what is not SIP: dropped and counted. A response too, unless it answers what was
    forwarded for a phone that mis-followed a 302 (`forward`).
2.  From a source that is not accepted: 403, without keeping anything for it. An ACK is never answered. Where phones of
    other hosts are configured, their REGISTER and INVITE need credentials (`digest`) before anything is kept.
3.  What is malformed, or one too many: refused without keeping anything, in the same words each time it comes.
4.  What belongs to a live transaction: its last answer again, or silence.
5.  The rest opens a transaction. OPTIONS, CANCEL and refusals are answered at once. A REGISTER that adds a Contact and
    an INVITE become a question to the service; the INVITE gets its 100 first, a REGISTER gets none [RFC 4320 §4.1].
6.  A CANCEL answers the INVITE with 487 before the service hears of it, so that whatever the service still says comes
    too late to be sent [RFC 3261 §9.2].
"""

from __future__ import annotations

import functools
import hashlib
from collections import deque
from typing import TYPE_CHECKING, Final

from adapter.sip.forward import Forward
from adapter.sip.limits import DEFAULT_LIMITS, Limits
from adapter.sip.matching import Exchange, Exchanges, Flow, key_of
from adapter.sip.message import is_keepalive, is_response, parse_request
from adapter.sip.naming import OwnHost, registering_user, user_of
from adapter.sip.outbox import TRYING, Outbox
from adapter.sip.redirect import decide
from adapter.sip.refusal import Headers, Refusal, as_refusal, explain, reason_of
from adapter.sip.registrar import Registrar, Update
from adapter.sip.stun import answer_binding
from adapter.sip.transaction import Event, State
from adapter.sip.validate import ALLOW, ValidRequest, check_extensions, validate
from adapter.sip.verdict import (
    OK,
    Acknowledged,
    Cancelled,
    InviteAsked,
    InviteVerdict,
    RegisterAsked,
    RegisterVerdict,
    ServerEvent,
    Verdict,
    headers_of,
    phrase_of,
)
from overlay.errors import LocalError, RemoteError

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapter.sip.binding import Binding
    from adapter.sip.digest import Digest

RETRY_BUSY_S: Final = 5
OPTIONS_HEADERS: Final[Headers] = (
    ALLOW,
    ("Accept", "application/sdp"),
    ("Accept-Encoding", "identity"),
    ("Accept-Language", "en"),
)


class SipServer:
    """Registrar and redirect server of one listening address, without its sockets."""

    def __init__(
        self,
        *,
        accepts: Callable[[str], bool],
        serves: Callable[[str], bool],
        is_own_host: OwnHost,
        address: Callable[[], tuple[str, int]],
        tag_key: bytes,
        tls_port: Callable[[], int] = lambda: 0,
        digest: Digest | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Serve the users that `serves` names to the source addresses that `accepts` allows.

        `address()` is where phones find this server; `tag_key` is 32 random bytes; `digest` lets in phones of other
        hosts, None: there are none.
        """
        self._accepts = accepts
        self._serves = serves
        self._is_own_host = is_own_host
        self._digest, self._limits = digest, limits
        self.registrar: Final = Registrar(address=address, tls_port=tls_port, max_bindings=limits.bindings)
        self._exchanges = Exchanges()
        self._outbox = Outbox(self._exchanges, tag_key=tag_key)
        # one random key, two uses that must not meet
        forward_key = hashlib.blake2s(b"branch", key=tag_key).digest()
        self._forward = Forward(key=forward_key, address=address, is_own_host=is_own_host)
        self._questions: dict[int, tuple[Exchange, Update | None]] = {}
        self._events: deque[ServerEvent] = deque()
        self.counters = self._outbox.counters

    def receive(self, data: bytes, flow: Flow, now: float) -> None:
        """Take one message as it came."""
        if is_keepalive(data):
            self.counters["keepalives"] += 1
            # an answer longer than its question is for our own phones only
            answer = answer_binding(data, flow.host, flow.port)
            if answer is not None and flow.transport == "UDP" and self._accepts(flow.host):
                self._outbox.relay(answer, flow)
            return
        if is_response(data):
            self._receive_response(data, flow, now)
            return
        try:
            raw = parse_request(data)
        except RemoteError as error:
            self.counters[f"dropped: {error.reason}"] += 1
            return
        self.counters["requests"] += 1
        try:
            self._check_source(flow)
            self._receive_valid(validate(raw, transport=flow.transport), flow, now)
        except RemoteError as error:
            self._outbox.refuse_stateless(raw, flow, as_refusal(error))

    def next_event(self) -> ServerEvent | None:
        """Return the next question or notice for the service, None when there is none."""
        return self._events.popleft() if self._events else None

    def datagrams_to_send(self) -> list[tuple[bytes, Flow]]:
        """Return what is to be sent now, and forget it."""
        return self._outbox.take()

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` is due, None when nothing is awaited."""
        return self._exchanges.next_deadline()

    def handle_timer(self, now: float) -> None:
        """Resend and end what is due."""
        self._outbox.handle_timer(now)

    def answer(self, ticket: int, verdict: Verdict, now: float) -> None:
        """Answer a question; does nothing when it was cancelled meanwhile.

        A REGISTER's Contacts are stored with a 200 and with nothing else. LocalError when the verdict is of the wrong
        kind: the question stays open then.
        """
        exchange, update = self._questions.get(ticket, (None, None))
        if exchange is None:
            return
        if isinstance(verdict, RegisterVerdict) is (update is None):
            raise LocalError("a REGISTER and an INVITE have each their own verdict")
        del self._questions[ticket]
        headers = headers_of(verdict)
        try:
            if update is not None and verdict.status == OK:
                self.registrar.store(update, now)
                headers = (*self.registrar.listing(update.user, now), *headers)
            elif isinstance(verdict, InviteVerdict) and verdict.contacts and exchange.call is not None:
                caller = exchange.call.caller
                self._forward.grant(exchange.flow, caller=caller, contacts=verdict.contacts, now=now)
            self._outbox.answer(exchange, verdict.status, phrase_of(verdict), now, headers)
        except Refusal as refusal:
            self._outbox.refuse(exchange, refusal, now)

    def fail(self, ticket: int, refusal: Refusal, now: float) -> None:
        """Answer a question that the service could not."""
        exchange, _ = self._questions.pop(ticket, (None, None))
        if exchange is not None:
            self._outbox.refuse(exchange, refusal, now)

    def connection_lost(self, connection: int, now: float) -> None:
        """End what came over a connection that is gone: nobody is left to hear an answer [RFC 3261 §17.2.4].

        A call attempt is given up; a registration goes on, the phone's next refresh finds it done.
        """
        for exchange in self._exchanges.over(connection):
            _, update = self._questions.get(exchange.number, (None, None))
            if exchange.number in self._questions and update is None:
                del self._questions[exchange.number]
                self._events.append(Cancelled(ticket=exchange.number))
            self._exchanges.feed(exchange, Event.TRANSPORT_ERROR, now)

    def open_tickets(self) -> tuple[int, ...]:
        """Return the tickets of all questions without an answer."""
        return tuple(self._questions)

    def contacts(self, user: str, now: float) -> tuple[Binding, ...]:
        """Return a user's live bindings, best q first and the youngest first among equals."""
        return self.registrar.contacts(user, now)

    def live_transactions(self) -> int:
        """Return how many transactions are kept."""
        return len(self._exchanges)

    def _check_source(self, flow: Flow) -> None:
        if self._digest is None and not self._accepts(flow.host):
            raise Refusal(403, "Phones of other hosts are not served here")

    def _admit(self, request: ValidRequest, flow: Flow, now: float) -> None:
        """Refuse a request of another host's phone unless it proves whose it is.

        A CANCEL cannot be challenged: it finds the INVITE of its own sender or nothing [RFC 3261 §22.1].
        """
        if self._digest is None or self._accepts(flow.host) or request.method == "CANCEL":
            return
        if request.method in {"INVITE", "REGISTER"}:
            user = self._digest.authenticate(request, flow.host, now)
            if user_of(request.caller.uri) != user:
                raise Refusal(403, "From names another user")
        elif not self.registrar.users_at(flow.address, now, connection=flow.connection):
            raise Refusal(403, "This phone is not registered here")

    def _receive_response(self, data: bytes, flow: Flow, now: float) -> None:
        """Nothing is ever asked from here: only what a forwarded request was answered is passed back."""
        try:
            relayed = self._forward.response(data, flow, now)
        except RemoteError as error:
            self.counters[f"dropped: {error.reason}"] += 1
            return
        if relayed is None:
            self.counters["dropped: a response where a request is due"] += 1
            return
        self.counters["forwarded responses"] += 1
        self._outbox.relay(*relayed)

    def _receive_valid(self, request: ValidRequest, flow: Flow, now: float) -> None:
        admit = functools.partial(self._admit, request, flow, now)
        if (relayed := self._forward.request(request, flow, now, admit=admit)) is not None:
            self.counters[f"forwarded {request.method}"] += 1
            self._outbox.relay(*relayed)
            return
        exchange = self._exchanges.find(key_of(request, flow))
        if request.method == "ACK":
            if exchange is not None:
                self._acknowledge(exchange, now)
            return
        if exchange is not None:
            self._outbox.repeat(exchange, now)
            return
        admit()
        if len(self._exchanges) >= self._limits.transactions:
            raise _busy()
        if request.method != "CANCEL" and self._exchanges.find_twin(request) is not None:
            raise Refusal(482)
        exchange = self._exchanges.open(request, flow, to_tag=self._outbox.tag(request.raw))
        try:
            self._dispatch(request, exchange, now)
        except RemoteError as error:
            self._outbox.refuse(exchange, as_refusal(error), now)

    def _acknowledge(self, exchange: Exchange, now: float) -> None:
        waiting = exchange.transaction.state is State.COMPLETED
        self._exchanges.feed(exchange, Event.ACK, now)
        if waiting and exchange.call is not None:
            self._events.append(Acknowledged(call=exchange.call))

    def _dispatch(self, request: ValidRequest, exchange: Exchange, now: float) -> None:
        if request.method == "CANCEL":
            self._cancel(request, exchange, now)
            return
        if request.method in {"SUBSCRIBE", "PUBLISH"}:
            # a phone that asks for presence or waiting messages stops asking at this answer [RFC 6665 §4.2.1.1]
            raise Refusal(489)
        if request.method not in {"INVITE", "REGISTER", "OPTIONS"}:
            raise Refusal(405, headers=(ALLOW,))
        if request.hops_left == 0 and not self._is_own_host(request.uri.host, request.uri.port):
            raise Refusal(483)
        check_extensions(request)
        if request.method == "INVITE":
            self._invite(request, exchange, now)
        elif request.method == "REGISTER":
            self._register(request, exchange, now)
        elif self._is_own_host(request.uri.host, request.uri.port):
            self._outbox.answer(exchange, OK, reason_of(OK), now, OPTIONS_HEADERS)
        else:
            raise Refusal(404, "No such address here")

    def _invite(self, request: ValidRequest, exchange: Exchange, now: float) -> None:
        source = exchange.flow.address
        callers = self.registrar.users_at(source, now, connection=exchange.flow.connection)
        call = decide(request, source=source, callers=callers, is_own_host=self._is_own_host)
        self._ask(exchange, None, InviteAsked(ticket=exchange.number, call=call))
        exchange.call = call
        # a caller measures its round trip with it [RFC 3261 §8.2.6.1]
        echoed = tuple(("Timestamp", value) for value in request.raw.values("timestamp")[:1])
        self._outbox.answer(exchange, TRYING, reason_of(TRYING), now, echoed)

    def _register(self, request: ValidRequest, exchange: Exchange, now: float) -> None:
        user = registering_user(request, serves=self._serves, is_own_host=self._is_own_host)
        update = self.registrar.read(request, user, exchange.flow.address, connection=exchange.flow.connection)
        self.registrar.check(update, now)
        if update.registers:
            self._ask(exchange, update, RegisterAsked(ticket=exchange.number, user=user))
            return
        # a phone may always leave and may always ask, whatever the overlay says
        self.registrar.store(update, now)
        self._outbox.answer(exchange, OK, reason_of(OK), now, self.registrar.listing(user, now))

    def _ask(self, exchange: Exchange, update: Update | None, question: RegisterAsked | InviteAsked) -> None:
        if len(self._questions) >= self._limits.questions:
            raise _busy()
        self._questions[exchange.number] = exchange, update
        self._events.append(question)

    def _cancel(self, request: ValidRequest, exchange: Exchange, now: float) -> None:
        invite = self._exchanges.find(key_of(request, exchange.flow, method="INVITE"))
        if invite is None:
            raise Refusal(481, "No such call to cancel")
        exchange.to_tag = invite.to_tag
        self._outbox.answer(exchange, OK, reason_of(OK), now)
        if invite.transaction.is_open:
            self._questions.pop(invite.number, None)
            self._outbox.answer(invite, 487, reason_of(487), now)
            self._events.append(Cancelled(ticket=invite.number))


def _busy() -> Refusal:
    return Refusal(503, "The adapter is busy", headers=explain(warning=None, retry_after=RETRY_BUSY_S))
