"""Connections that this server opens: to a phone that a forwarded call is for, and to nothing else.  I/O: tcp.

Answers go back by the connection of their request (`connections`); only the safety net for phones that mis-follow a 302
has something to send of its own accord, to the very Contact that the 302 named (`forward`). One connection for each
phone, opened at the first request for it; what cannot be sent is dropped and counted, as a stateless forward may.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from adapter.sip.connections import Connection
from adapter.sip.matching import Flow

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Coroutine, Iterator

log = logging.getLogger(__name__)

CONNECT_S: Final = 5.0
MAX_DIALLED: Final = 32
"""Connections that stand or are being opened."""
MAX_WAITING: Final = 8
"""Messages that wait for one connection: an INVITE and its CANCEL, repeated."""


@dataclass(slots=True, kw_only=True)
class _Peer:
    flow: Flow
    waiting: list[bytes] = field(default_factory=list)
    connection: Connection | None = None
    gone: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Dialler:
    """The connections to phones that are called through this server."""

    def __init__(
        self,
        *,
        on_message: Callable[[bytes, Flow], None],
        on_closed: Callable[[int], None],
        counters: Counter[str],
        clock: Callable[[], float],
        numbers: Iterator[int],
    ) -> None:
        """Take the numbers of connections from `numbers`; the rest is as for `connections.Connections`."""
        self.on_message = on_message
        self.counters = counters
        self._on_closed, self._clock, self._numbers = on_closed, clock, numbers
        self._peers: dict[tuple[str, int], _Peer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._peers)

    def send(self, data: bytes, flow: Flow) -> None:
        """Send to the address of `flow`, which names no connection."""
        peer = self._peers.get(flow.address)
        if peer is None:
            if len(self._peers) >= MAX_DIALLED:
                self.counters["forwards dropped: too many connections"] += 1
                return
            own = Flow(transport="TCP", host=flow.host, port=flow.port, connection=next(self._numbers))
            peer = self._peers[flow.address] = _Peer(flow=own)
            self._spawn(self._dial(peer))
        if peer.connection is not None:
            peer.connection.send(data)
        elif len(peer.waiting) < MAX_WAITING:
            peer.waiting.append(data)

    async def close(self) -> None:
        """Close every connection at once."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        standing = list(self._peers.values())
        for peer in standing:
            if peer.connection is not None:
                peer.connection.abort()
        await asyncio.gather(*(peer.gone for peer in standing))

    def opened(self, flow: Flow, connection: Connection) -> None:
        """Send what waited for the connection."""
        peer = self._peers[flow.address]
        peer.connection = connection
        waiting, peer.waiting = peer.waiting, []
        for data in waiting:
            connection.send(data)

    def closed(self, flow: Flow) -> None:
        """Note that a connection is gone."""
        peer = self._peers.pop(flow.address, None)
        if peer is not None:
            peer.gone.set_result(None)
            self._on_closed(flow.connection)

    async def _dial(self, peer: _Peer) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                await loop.create_connection(lambda: Connection(self, peer.flow, self._clock), *peer.flow.address)
        except OSError as error:  # TimeoutError is one
            self.counters["forwards dropped: no connection"] += 1
            log.debug("no connection to %s:%d: %s", *peer.flow.address, error)
        finally:
            if peer.connection is None:
                self._peers.pop(peer.flow.address, None)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="sip dial")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
