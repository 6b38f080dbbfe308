"""The UDP port of the SIP endpoint: two sockets that are one, and that nobody else joins."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from adapter.sip import carrier
from adapter.sip.carrier import FORGED, UdpCarrier, open_udp
from overlay.ring.addresses import is_own_address

if TYPE_CHECKING:
    from adapter.sip.matching import Flow

PHONES = 24
FAMILIES = pytest.mark.parametrize(
    ("host", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)], ids=["IPv4", "IPv6"]
)


class Port:
    """An open carrier and what came to it."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[tuple[bytes, Flow]] = asyncio.Queue()
        self.counters: Counter[str] = Counter()

    async def open(self, host: str, port: int, family: socket.AddressFamily) -> UdpCarrier:
        return await open_udp(
            host,
            port,
            family,
            on_message=lambda data, flow: self.came.put_nowait((data, flow)),
            on_error=lambda: None,
            is_own=is_own_address,
            counters=self.counters,
        )


@FAMILIES
async def test_every_phone_of_this_host_is_heard_and_answered(host, family):
    port = Port()
    opened = await port.open(host, 0, family)
    phones = [socket.socket(family, socket.SOCK_DGRAM) for _ in range(PHONES)]
    try:
        for number, phone in enumerate(phones):
            phone.setblocking(False)  # noqa: FBT003 - the socket module's own signature
            phone.sendto(b"%d" % number, opened.address)
        for _ in phones:
            data, flow = await asyncio.wait_for(port.came.get(), 5)
            opened.send(b"to " + data, flow)
        loop = asyncio.get_running_loop()
        for number, phone in enumerate(phones):
            data, address = await asyncio.wait_for(loop.sock_recvfrom(phone, 100), 5)
            assert (data, address[:2]) == (b"to %d" % number, opened.address)
        assert not port.counters[FORGED]
    finally:
        await opened.close()
        for phone in phones:
            phone.close()


@FAMILIES
async def test_a_taken_port_stays_taken_and_is_free_after_the_end(host, family):
    opened = await Port().open(host, 0, family)
    address = opened.address
    with pytest.raises(OSError) as refused:
        await Port().open(*address, family)
    assert refused.value.errno == errno.EADDRINUSE
    with socket.socket(family, socket.SOCK_DGRAM) as other, pytest.raises(OSError):
        other.bind(address)
    await opened.close()
    again = await Port().open(*address, family)
    assert again.address == address
    await again.close()


async def test_a_kernel_without_the_filter_serves_ipv4_and_refuses_ipv6(monkeypatch):
    monkeypatch.setattr(carrier, "_SO_ATTACH_REUSEPORT_CBPF", 9999)
    port = Port()
    opened = await port.open("127.0.0.1", 0, socket.AF_INET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.sendto(b"hello", opened.address)
        assert (await asyncio.wait_for(port.came.get(), 5))[0] == b"hello"
    await opened.close()
    with pytest.raises(OSError):
        await port.open("::1", 0, socket.AF_INET6)
