"""What carries SIP messages in datagrams: a UDP socket.  I/O: udp.

A carrier hands over whole messages with the flow they came by and sends an answer back along its flow; nothing above it
knows sockets. `connections` is the same for TCP and TLS [RFC 3261 §18].
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Final

from adapter.sip.matching import Flow

if TYPE_CHECKING:
    from collections.abc import Callable

RECEIVE_BUFFER_BYTES: Final = 1 << 20
"""A burst of phones waits here while one datagram is worked on; the kernel may grant less."""


class UdpCarrier(asyncio.DatagramProtocol):
    """One UDP socket that SIP comes in and goes out by."""

    def __init__(self, *, on_message: Callable[[bytes, Flow], None], on_error: Callable[[], None]) -> None:
        """Call `on_message` for every datagram and `on_error` when the kernel reports one undelivered."""
        self._on_message = on_message
        self._on_error = on_error
        self._transport: asyncio.DatagramTransport | None = None
        self._closed = asyncio.get_running_loop().create_future()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the socket."""
        assert self._transport is not None  # open_udp hands out open carriers only
        host, port = self._transport.get_extra_info("sockname")[:2]
        return host, port

    def send(self, data: bytes, flow: Flow) -> None:
        """Send a message to the other side of a flow; lost without a word when the carrier is closed."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, flow.address)

    async def close(self) -> None:
        """Close the socket and wait until it is free for others."""
        if self._transport is not None:
            self._transport.close()
            await self._closed

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        """Take the transport that asyncio made."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Note that the socket is closed."""
        if not self._closed.done():
            self._closed.set_result(None)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        """Hand over a datagram."""
        self._on_message(data, Flow(host=addr[0], port=addr[1]))

    def error_received(self, exc: Exception) -> None:  # noqa: ARG002 - asyncio's signature
        """Note that a phone's port is closed: nothing is to be done, it will be back or expire."""
        self._on_error()


async def open_udp(
    host: str,
    port: int,
    family: socket.AddressFamily = socket.AF_INET,
    *,
    on_message: Callable[[bytes, Flow], None],
    on_error: Callable[[], None],
) -> UdpCarrier:
    """Bind a UDP socket of this family; port 0 takes a free one. OSError when taken or no address of this host."""
    listener = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            # an IPv4 phone would come as ::ffff:192.0.2.5 and be no phone of this host
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        listener.bind((host, port))
        _, carrier = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: UdpCarrier(on_message=on_message, on_error=on_error), sock=listener
        )
    except BaseException:
        listener.close()
        raise
    return carrier
