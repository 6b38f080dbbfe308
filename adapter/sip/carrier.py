"""What carries SIP messages in datagrams: the two UDP sockets of one port.  I/O: udp.

A carrier hands over whole messages with the flow they came by and sends an answer back along its flow; nothing above it
knows sockets. `connections` is the same for TCP and TLS [RFC 3261 §18].

A phone of this host is known by its address, so nobody else may send under it. The kernel drops what a network brings
in under one of the host's own IPv4 addresses, unless it is told otherwise; under an IPv6 address it lets it pass. So
one socket takes what comes over the loopback interface, as all does that this host sends to itself, and the other one
what comes from a network; an own address on the latter is a forgery. A filter of one comparison chooses the socket.
[socket(7) of Linux, SO_ATTACH_REUSEPORT_CBPF]
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
from typing import TYPE_CHECKING, Any, Final

from adapter.sip.matching import Flow

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

RECEIVE_BUFFER_BYTES: Final = 1 << 20
"""A burst of phones waits here while one datagram is worked on; the kernel may grant less."""
FORGED: Final = "dropped: this host's own address from the network"
_SO_ATTACH_REUSEPORT_CBPF: Final = 51
_LOAD_INTERFACE: Final = (0x20, 0, 0, 0xFFFFF008)
_RETURN: Final = 0x06
_JUMP_IF_EQUAL: Final = 0x15
_FAR, _NEAR = 0, 1
"""In the order in which the two sockets are bound."""


class UdpCarrier:
    """One UDP port that SIP comes in and goes out by."""

    def __init__(
        self,
        *,
        on_message: Callable[[bytes, Flow], None],
        on_error: Callable[[], None],
        is_own: Callable[[str], bool],
        counters: Counter[str],
    ) -> None:
        """Call `on_message` for every datagram and `on_error` when the kernel reports one undelivered.

        `is_own` tells whether an IP literal is an address of this host.
        """
        self._on_message, self.on_error = on_message, on_error
        self._is_own, self._counters = is_own, counters
        self._doors: list[_Door] = []

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the sockets."""
        return self._doors[0].address

    def send(self, data: bytes, flow: Flow) -> None:
        """Send a message to the other side of a flow; lost without a word when the carrier is closed."""
        if self._doors:
            self._doors[0].send(data, flow)

    async def close(self) -> None:
        """Close the sockets and wait until the port is free for others."""
        doors, self._doors = self._doors, []
        for door in reversed(doors):  # the near one first: what comes meanwhile is taken for foreign, never for own
            await door.close()

    async def open(self, host: str, port: int, family: socket.AddressFamily) -> None:
        """Bind the sockets; port 0 takes a free one. OSError when it is taken or no address of this host."""
        far = _socket(family)
        try:
            is_split = _split(far, family)
            far.bind((host, port))
            await self._listen(far, is_far=is_split)
            if is_split:
                near = _socket(family)
                try:
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                    near.bind((host, far.getsockname()[1]))
                    await self._listen(near, is_far=False)
                except BaseException:
                    near.close()
                    raise
        except BaseException:
            far.close()
            await self.close()
            raise

    async def _listen(self, bound: socket.socket, *, is_far: bool) -> None:
        take = self._take_far if is_far else self._on_message
        _, door = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Door(take, self.on_error), sock=bound
        )
        self._doors.append(door)

    def _take_far(self, data: bytes, flow: Flow) -> None:
        if self._is_own(flow.host):
            self._counters[FORGED] += 1
            return
        self._on_message(data, flow)


class _Door(asyncio.DatagramProtocol):
    """One of the sockets."""

    def __init__(self, on_message: Callable[[bytes, Flow], None], on_error: Callable[[], None]) -> None:
        self._on_message, self._on_error = on_message, on_error
        self._transport: asyncio.DatagramTransport | None = None
        self._closed = asyncio.get_running_loop().create_future()

    @property
    def address(self) -> tuple[str, int]:
        assert self._transport is not None  # a door is kept once it is open
        host, port = self._transport.get_extra_info("sockname")[:2]
        return host, port

    def send(self, data: bytes, flow: Flow) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(data, flow.address)

    async def close(self) -> None:
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
    is_own: Callable[[str], bool],
    counters: Counter[str],
) -> UdpCarrier:
    """Open a carrier; see `UdpCarrier.open`."""
    carrier = UdpCarrier(on_message=on_message, on_error=on_error, is_own=is_own, counters=counters)
    await carrier.open(host, port, family)
    return carrier


def _socket(family: socket.AddressFamily) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        # an IPv4 phone would come as ::ffff:192.0.2.5 and be no phone of this host
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    made.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    return made


def _split(first: socket.socket, family: socket.AddressFamily) -> bool:
    """Make `first`, not bound yet, the socket for what comes from a network; False: the kernel knows no such filter.

    OSError for IPv6 then, which is not safe without. Linux has it since 4.5.
    With its filter on, it joins no sockets that have the port already: a taken port stays taken.
    """
    loopback = socket.if_nametoindex("lo")
    program = (
        _LOAD_INTERFACE,
        (_JUMP_IF_EQUAL, 0, 1, loopback),
        (_RETURN, 0, 0, _NEAR),
        (_RETURN, 0, 0, _FAR),
    )
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    try:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        first.setsockopt(
            socket.SOL_SOCKET,
            _SO_ATTACH_REUSEPORT_CBPF,
            struct.pack("@HP", len(program), ctypes.addressof(code)),
        )
    except OSError:
        if family == socket.AF_INET6:
            raise
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 0)
        return False
    return True
