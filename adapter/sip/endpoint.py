"""The SIP server on the network: its sockets, one timer, one task for each question to the service.  I/O: udp, tcp.

Everything that decides lies in `server`; here bytes are carried and the service is awaited. What the service raises
becomes a 500 and a line in the log, never the end of the endpoint.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
import time
from typing import TYPE_CHECKING, Final, Protocol

from adapter.sip.carriers import Carriers
from adapter.sip.digest import DIGEST_KEY_BYTES, Digest
from adapter.sip.keeping import Keeping
from adapter.sip.limits import DEFAULT_LIMITS, Limits
from adapter.sip.outbox import TAG_KEY_BYTES
from adapter.sip.refusal import Refusal, explain
from adapter.sip.server import RETRY_BUSY_S, SipServer
from adapter.sip.verdict import (
    Acknowledged,
    Cancelled,
    IncomingInvite,
    InviteAsked,
    InviteVerdict,
    RegisterAsked,
    RegisterVerdict,
)
from overlay.errors import LocalError

if TYPE_CHECKING:
    import ssl
    from collections import Counter
    from collections.abc import Callable, Mapping

    from adapter.sip.binding import Binding
    from adapter.sip.matching import Flow
    from adapter.sip.phone_secret import PhoneSecret
    from adapter.sip.registrations import Registrations
    from adapter.sip.verdict import Verdict

log = logging.getLogger(__name__)

HANDLER_LIMIT_S: Final = 30.0
"""A phone gives up on a REGISTER after 32 s and hears nothing that comes later [RFC 3261 §17.1.2.2]."""


class SipHandler(Protocol):
    """The service behind the endpoint."""

    async def on_register(self, user: str) -> RegisterVerdict:
        """Register a user of this adapter on the overlay; called once for each REGISTER that adds or refreshes."""

    async def on_invite(self, call: IncomingInvite) -> InviteVerdict:
        """Find out where the callee's phone is; cancelled when the caller gives up."""

    def serves(self, user: str) -> bool:
        """Tell whether this name is one of the adapter's users."""

    def is_own_host(self, host: str, port: int | None) -> bool:
        """Tell whether a URI's host, with its port where it has one, is this adapter."""


class SipEndpoint:
    """Registrar and redirect server for the phones of this host."""

    def __init__(
        self,
        *,
        accepts: Callable[[str], bool],
        handler: SipHandler,
        clock: Callable[[], float] = time.monotonic,
        handler_limit_s: float = HANDLER_LIMIT_S,
        on_ack: Callable[[IncomingInvite], None] | None = None,
        phones: Mapping[str, PhoneSecret] | None = None,
        limits: Limits = DEFAULT_LIMITS,
        registrations: Registrations | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Serve the source addresses that `accepts` allows; `clock` in seconds, going forward only.

        `phones` are the users whose phones on other hosts are served too, once they have proved themselves;
        `registrations` keeps phones across a restart, by the clock `wall` in seconds since the epoch.

        `on_ack` hears once of every call whose phone has taken its answer.
        """
        self._on_ack = on_ack
        self._handler = handler
        self._clock = clock
        self._handler_limit_s = handler_limit_s
        self._server = SipServer(
            accepts=accepts,
            serves=handler.serves,
            is_own_host=handler.is_own_host,
            address=lambda: self.address,
            tag_key=secrets.token_bytes(TAG_KEY_BYTES),
            tls_port=lambda: self.tls_port,
            digest=Digest(phones=phones, key=secrets.token_bytes(DIGEST_KEY_BYTES)) if phones else None,
            limits=limits,
        )
        self._keeping = (
            None if registrations is None else Keeping(registrations, self._server.registrar, clock=clock, wall=wall)
        )
        self._accepts = accepts
        self._carrier: Carriers | None = None
        # strong references: the loop itself keeps none, and a task without one may vanish
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._is_closing = False

    @property
    def counters(self) -> Counter[str]:
        """What was received, answered, refused and dropped, by reason."""
        return self._server.counters

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that the endpoint listens on; LocalError before `open`."""
        if self._carrier is None:
            raise LocalError("the SIP endpoint is not open")
        return self._carrier.address

    @property
    def has_tcp(self) -> bool:
        """Whether TCP is served at `address` beside UDP."""
        return self._carrier is not None and self._carrier.has_tcp

    @property
    def tls_port(self) -> int:
        """The port that TLS is served on at the host of `address`; 0: it is not."""
        return 0 if self._carrier is None else self._carrier.tls_port

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be opened, one sentence each."""
        return () if self._carrier is None else tuple(self._carrier.warnings)

    def contacts(self, user: str) -> tuple[Binding, ...]:
        """Return a user's live bindings, best q first and the youngest first among equals."""
        return self._server.contacts(user, self._clock())

    async def open(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        """Listen on an address of this host with UDP and TCP, and with TLS on the next port if `tls` is given.

        Port 0 takes free ones. OSError when the UDP port is taken; what else is goes into `warnings`.
        """
        if self._carrier is not None:
            raise LocalError("the SIP endpoint is open already")
        carrier = Carriers(
            on_message=self._receive,
            on_error=self._count_unreachable,
            on_closed=self._connection_lost,
            is_own=self._accepts,
            counters=self.counters,
            clock=self._clock,
        )
        await carrier.open(host, port, tls=tls)
        self._carrier, self._is_closing = carrier, False
        if self._keeping is not None:
            self.counters["registrations restored"] = self._keeping.open(self._handler.serves)

    async def close(self) -> None:
        """Refuse what is still being worked on, end every task and close the sockets."""
        if self._carrier is None:
            return
        self._is_closing = True
        gone = Refusal(503, "The adapter is going away", headers=explain(warning=None, retry_after=RETRY_BUSY_S))
        for ticket in self._server.open_tickets():
            self._server.fail(ticket, gone, self._clock())
        self._flush()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._carrier.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._keeping is not None:
            self._keeping.close()
        self._carrier = None

    def _receive(self, data: bytes, flow: Flow) -> None:
        if self._is_closing:
            return
        try:
            self._server.receive(data, flow, self._clock())
        except Exception:
            # a fault of ours in one message must not silence the phone line
            self.counters["faults"] += 1
            log.exception("a SIP message from %s:%d could not be handled", *flow.address)
        self._pump()

    def _connection_lost(self, connection: int) -> None:
        self._server.connection_lost(connection, self._clock())
        self._pump()

    def _count_unreachable(self) -> None:
        self.counters["unreachable"] += 1

    def _pump(self) -> None:
        """Send what is due before the service hears anything: a 487 leaves before its task is cancelled."""
        self._flush()
        while (event := self._server.next_event()) is not None:
            if isinstance(event, Cancelled):
                if (task := self._tasks.get(event.ticket)) is not None:
                    task.cancel()
            elif isinstance(event, Acknowledged):
                self._tell(event.call)
            else:
                task = asyncio.get_running_loop().create_task(self._ask(event), name=f"sip {event.ticket}")
                self._tasks[event.ticket] = task
                # not in the task itself: one that is cancelled before its first step runs nothing of it
                task.add_done_callback(functools.partial(self._forget, event.ticket))
        self._arm()
        if self._keeping is not None:
            self._keeping.note()

    def _tell(self, call: IncomingInvite) -> None:
        try:
            if self._on_ack is not None:
                self._on_ack(call)
        except Exception:
            self.counters["service failed"] += 1
            log.exception("the service failed at an ACK")

    def _flush(self) -> None:
        if self._carrier is not None:
            for data, flow in self._server.datagrams_to_send():
                self._carrier.send(data, flow)

    def _arm(self) -> None:
        deadline = self._server.next_deadline()
        if deadline is None or (self._timer is not None and self._timer_at <= deadline):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        delay_s = max(0.0, deadline - self._clock())
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._handle_timer)

    def _handle_timer(self) -> None:
        self._timer = None
        self._server.handle_timer(self._clock())
        self._pump()

    def _forget(self, ticket: int, task: asyncio.Task[None]) -> None:
        self._tasks.pop(ticket, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counters["faults"] += 1
            log.error("a SIP request could not be answered", exc_info=error)

    async def _ask(self, event: RegisterAsked | InviteAsked) -> None:
        verdict = await self._verdict(event)
        try:
            if isinstance(verdict, Refusal):
                self._server.fail(event.ticket, verdict, self._clock())
            else:
                self._server.answer(event.ticket, verdict, self._clock())
        except LocalError:
            self.counters["service failed"] += 1
            log.exception("the service gave a verdict that cannot be sent")
            self._server.fail(event.ticket, Refusal(500), self._clock())
        self._pump()

    async def _verdict(self, event: RegisterAsked | InviteAsked) -> Verdict | Refusal:
        limit = asyncio.timeout(self._handler_limit_s)
        try:
            async with limit:
                if isinstance(event, RegisterAsked):
                    return await self._handler.on_register(event.user)
                return await self._handler.on_invite(event.call)
        except Exception:
            if limit.expired():
                self.counters["service too slow"] += 1
                headers = explain(warning=None, retry_after=RETRY_BUSY_S)
                return Refusal(503, "The overlay did not answer in time", headers=headers)
            self.counters["service failed"] += 1
            log.exception("the service failed at a %s", type(event).__name__)
            return Refusal(500)
