"""Every way to one SIP server: UDP and TCP on one port, TLS beside them.  I/O: udp, tcp.

UDP is what a phone can count on. Where another program has the TCP port of the same number, or the one for TLS, the
adapter serves without it and says so [RFC 3261 §18.2.1, §19.1.2].
"""

from __future__ import annotations

import errno
import itertools
import socket
from typing import TYPE_CHECKING, Final

from adapter.sip.admission import Admission
from adapter.sip.carrier import UdpCarrier, open_udp
from adapter.sip.connections import Connections, listen_tcp
from adapter.sip.dialling import Dialler
from adapter.sip.grammar import address_of

if TYPE_CHECKING:
    import ssl
    from collections import Counter
    from collections.abc import Callable

    from adapter.sip.matching import Flow

MAX_PORT_TRIES: Final = 16
"""Free UDP ports that are tried until the TCP port of the same number is free too."""
MAX_PORT: Final = 65_535


class Carriers:
    """The sockets of one endpoint."""

    def __init__(
        self,
        *,
        on_message: Callable[[bytes, Flow], None],
        on_error: Callable[[], None],
        on_closed: Callable[[int], None],
        is_own: Callable[[str], bool],
        counters: Counter[str],
        clock: Callable[[], float],
    ) -> None:
        """Call `on_message` for what comes in and `on_closed` with the number of a connection that is gone.

        `on_error` is called when the kernel reports a datagram undelivered.
        """
        self._on_message, self._on_error = on_message, on_error
        self._is_own, self._counters = is_own, counters
        numbers = itertools.count(1)  # one row of numbers for both kinds
        self._connections = Connections(
            on_message=on_message,
            on_closed=on_closed,
            admission=Admission(is_own=is_own),
            counters=counters,
            clock=clock,
            numbers=numbers,
        )
        self._dialler = Dialler(
            on_message=on_message, on_closed=on_closed, counters=counters, clock=clock, numbers=numbers
        )
        self._udp: UdpCarrier | None = None
        self.has_tcp = False
        """Whether TCP is served on the UDP port's number."""
        self.tls_port = 0
        """0: TLS is not served."""
        self.warnings: list[str] = []
        """What is missing, one sentence each."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of UDP and TCP."""
        assert self._udp is not None  # asked for open carriers only
        return self._udp.address

    async def open(self, host: str, port: int, *, tls: ssl.SSLContext | None) -> None:
        """Listen on an address of this host, port 0 for free ones; TLS is one port higher unless the ports are free.

        OSError when the UDP port is taken or the address is not of this host.
        """
        address = address_of(host)
        family = socket.AF_INET6 if address is not None and address.version == 6 else socket.AF_INET  # noqa: PLR2004 - IPv6
        try:
            await self._open_pair(host, port, family)
            if tls is not None:
                self._open_tls(host, port + 1 if port else 0, family, tls)
        except BaseException:
            await self.close()
            raise

    def send(self, data: bytes, flow: Flow) -> None:
        """Send an answer the way its request came; a flow over TCP without a connection is one to be opened."""
        if flow.transport == "TCP" and not flow.connection:
            self._dialler.send(data, flow)
        elif flow.transport != "UDP":
            self._connections.send(data, flow)
        elif self._udp is not None:
            self._udp.send(data, flow)

    async def close(self) -> None:
        """Close every socket and wait until the ports are free for others."""
        await self._dialler.close()
        await self._connections.close()
        if self._udp is not None:
            await self._udp.close()

    async def _open_pair(self, host: str, port: int, family: socket.AddressFamily) -> None:
        for _ in range(1 if port else MAX_PORT_TRIES):
            udp = await open_udp(
                host,
                port,
                family,
                on_message=self._on_message,
                on_error=self._on_error,
                is_own=self._is_own,
                counters=self._counters,
            )
            try:
                listener = listen_tcp(host, udp.address[1], family)
            except OSError as error:
                if error.errno == errno.EADDRINUSE and not port:
                    await udp.close()
                    continue
                self.warnings.append(f"phones cannot use TCP: port {udp.address[1]} is taken by another program")
            else:
                self._connections.listen(listener)
                self.has_tcp = True
            self._udp = udp
            return
        raise OSError(errno.EADDRINUSE, "no port is free for both UDP and TCP")

    def _open_tls(self, host: str, port: int, family: socket.AddressFamily, context: ssl.SSLContext) -> None:
        try:
            if port > MAX_PORT:
                raise OSError(errno.EADDRNOTAVAIL, "no such port")  # noqa: TRY301 - one way out
            listener = listen_tcp(host, port, family)
        except OSError:
            self.warnings.append(f"phones cannot use TLS: port {port} is taken by another program")
            return
        self.tls_port = listener.getsockname()[1]
        self._connections.listen(listener, tls=context)
