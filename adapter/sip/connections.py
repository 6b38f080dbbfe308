"""What carries SIP messages over connections: TCP, and TLS on top of it.  I/O: tcp.

A connection is counted in before its TLS handshake and out when it is closed; in between `stream` cuts its bytes into
messages and says when it has to end. An answer goes back by the connection its request came by, and nowhere else: where
that is gone the answer is lost, for this server never opens a connection because a stranger's Via asks for one
[RFC 3261 §18.2.2, against its SHOULD]. What it does open is in `dialling`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from adapter.sip.matching import Flow
from adapter.sip.stream import PONG, Broken, Framed, Stream

if TYPE_CHECKING:
    import ssl
    from collections import Counter
    from collections.abc import Callable, Coroutine, Iterator

    from adapter.sip.admission import Admission

log = logging.getLogger(__name__)

HANDSHAKE_S: Final = 10.0
SHUTDOWN_S: Final = 2.0
"""How long the other side may take to say goodbye in TLS."""
MAX_UNSENT_BYTES: Final = 256 * 1024
"""What a peer that does not read may keep waiting here; beyond that it is cut off."""
BACKLOG: Final = 128
ACCEPT_PAUSE_S: Final = 1.0
"""Before the next try when the process has no file descriptors left."""
_SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Owner(Protocol):
    """Who keeps a connection."""

    on_message: Callable[[bytes, Flow], None]
    counters: Counter[str]

    def opened(self, flow: Flow, connection: Connection) -> None:
        """Note a connection that can be written to."""

    def closed(self, flow: Flow) -> None:
        """Note that a connection is gone."""


class Connection(asyncio.Protocol):
    """One phone's connection."""

    def __init__(self, owner: Owner, flow: Flow, clock: Callable[[], float]) -> None:
        """Serve the peer that `flow` names; `clock` in seconds."""
        self._owner, self._flow, self._clock = owner, flow, clock
        self._transport: asyncio.Transport | None = None
        self._stream = Stream(clock())
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to listen; over TLS the handshake is done."""
        assert isinstance(transport, asyncio.Transport)  # what a stream protocol is given
        self._transport = transport
        self._stream = Stream(self._clock())
        self._owner.opened(self._flow, self)
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._stream.receive(data, self._clock())
        self._drain()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Note that the connection is closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._owner.closed(self._flow)

    def send(self, data: bytes) -> None:
        """Send bytes; a peer that reads nothing is cut off."""
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._owner.counters["connections cut: the peer does not read"] += 1
            self._transport.abort()

    def close(self) -> None:
        """Close after what is still to be sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _drain(self) -> None:
        while (event := self._stream.next_event()) is not None:
            if isinstance(event, Framed):
                self._owner.on_message(event.data, self._flow)
            elif isinstance(event, Broken):
                self._owner.counters[f"connections ended: {event.why}"] += 1
                self.close()
            else:
                self._owner.counters["keepalives"] += 1
                self.send(PONG)
        self._arm()

    def _arm(self) -> None:
        """Keep one timer, which looks again when it comes too early: most deadlines move before they are due."""
        deadline = self._stream.next_deadline()
        if deadline is None or self._timer is not None or self._transport is None or self._transport.is_closing():
            return
        delay_s = max(0.0, deadline - self._clock())
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._handle_timer)

    def _handle_timer(self) -> None:
        self._timer = None
        self._stream.handle_timer(self._clock())
        self._drain()


class Connections:
    """Every connection of one endpoint, over TCP and TLS."""

    def __init__(
        self,
        *,
        on_message: Callable[[bytes, Flow], None],
        on_closed: Callable[[int], None],
        admission: Admission,
        counters: Counter[str],
        clock: Callable[[], float],
        numbers: Iterator[int],
    ) -> None:
        """Call `on_message` for each message and `on_closed` with the number of a connection that is gone.

        `numbers` gives each connection its own.
        """
        self.on_message = on_message
        self.counters = counters
        self._on_closed = on_closed
        self._admission = admission
        self._clock = clock
        self._numbers = numbers
        self._open: dict[int, Connection] = {}
        self._entered: dict[int, asyncio.Future[None]] = {}
        """Connections that count, those in their handshake too, each until it is gone."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._listeners: list[socket.socket] = []

    def __len__(self) -> int:
        return len(self._entered)

    def listen(self, listener: socket.socket, *, tls: ssl.SSLContext | None = None) -> None:
        """Take connections from a listening socket, which is closed with the rest."""
        self._listeners.append(listener)
        self._spawn(self._accept(listener, tls), name="sip accept")

    def send(self, data: bytes, flow: Flow) -> None:
        """Send an answer by the connection of its request, if that is still there."""
        connection = self._open.get(flow.connection)
        if connection is None:
            self.counters["answers without their connection"] += 1
        else:
            connection.send(data)

    async def close(self) -> None:
        """Stop listening, send what is still to be sent, and close every connection."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        for connection in tuple(self._open.values()):
            connection.close()
        if self._open:
            await asyncio.wait([self._entered[number] for number in self._open], timeout=SHUTDOWN_S)
        for connection in tuple(self._open.values()):
            connection.abort()
        if self._open:
            await asyncio.wait([self._entered[number] for number in self._open])

    def opened(self, flow: Flow, connection: Connection) -> None:
        """Note a connection that can be written to."""
        self._open[flow.connection] = connection

    def closed(self, flow: Flow) -> None:
        """Note that a connection is gone."""
        if self._open.pop(flow.connection, None) is not None:
            self._leave(flow)
            self._on_closed(flow.connection)

    async def _accept(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listener)
            except OSError as error:
                # a peer that went away again is no matter; without descriptors there is nothing to do but wait
                if error.errno in _SHORTAGES:
                    self.counters["connections refused: no file descriptors"] += 1
                    await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            if not self._admission.enter(address[0]):
                self.counters["connections refused: too many"] += 1
                accepted.close()
                continue
            accepted.setblocking(False)  # noqa: FBT003 - the socket module's own signature
            # answers are small, and a phone's user waits for each
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport: Literal["TCP", "TLS"] = "TCP" if tls is None else "TLS"
            flow = Flow(transport=transport, host=address[0], port=address[1], connection=next(self._numbers))
            self._entered[flow.connection] = loop.create_future()
            self.counters[f"connections over {transport}"] += 1
            self._spawn(self._begin(accepted, flow, tls), name=f"sip connection {flow.connection}")

    async def _begin(self, accepted: socket.socket, flow: Flow, tls: ssl.SSLContext | None) -> None:
        """Make the connection ready; whatever fails, it counts no more."""
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: Connection(self, flow, self._clock),
                accepted,
                ssl=tls,
                ssl_handshake_timeout=None if tls is None else HANDSHAKE_S,
                ssl_shutdown_timeout=None if tls is None else SHUTDOWN_S,
            )
        except OSError as error:
            # ssl.SSLError is one too: no TLS, an old version, a peer that gave up
            self.counters["connections ended: no handshake"] += 1
            log.debug("a connection from %s:%d did not begin: %s", *flow.address, error)
        finally:
            if flow.connection not in self._open:
                self._leave(flow)

    def _leave(self, flow: Flow) -> None:
        gone = self._entered.pop(flow.connection, None)
        if gone is not None:
            self._admission.leave(flow.host)
            if not gone.done():
                gone.set_result(None)

    def _spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def listen_tcp(host: str, port: int, family: socket.AddressFamily) -> socket.socket:
    """Return a listening TCP socket; port 0 takes a free one. OSError when it is taken or no address of this host."""
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        # connections of an adapter that has just ended do not keep its port; a living listener does
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
