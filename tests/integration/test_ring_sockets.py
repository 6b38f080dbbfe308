"""What only a real socket shows: fault A3 of the library, and IPv6."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
import umsgpack
from kademlia.network import Server

from overlay.ring.datagrams import RECEIVE_BUFFER_BYTES
from overlay.ring.ids import RingId
from tests.support.hostile import hostile_member
from tests.support.members import TestOverlay

MOST = int(Path("/proc/sys/net/core/rmem_max").read_text())
"""The largest receive buffer that this host's kernel grants."""
LIE = [[b"\x07" * 20, "127.0.0.1", 70_000]]


class Liar(asyncio.DatagramProtocol):
    """A node of the library's network that names a contact with an impossible port."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        method, _ = umsgpack.unpackb(data[21:])
        answer = b"\x06" * 20 if method == "ping" else LIE
        self.transport.sendto(b"\1" + data[1:21] + umsgpack.packb(answer), addr)


async def test_a03_one_answer_closes_the_librarys_socket_for_good():
    loop = asyncio.get_running_loop()
    complaints = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    liar, _ = await loop.create_datagram_endpoint(Liar, local_addr=("127.0.0.1", 0))
    victim = Server(node_id=b"\x05" * 20)
    await victim.listen(0, "127.0.0.1")
    closed = asyncio.Event()
    victim.protocol.connection_lost = lambda _: closed.set()
    asking = asyncio.ensure_future(victim.bootstrap([liar.get_extra_info("sockname")]))
    await closed.wait()
    asking.cancel()
    await asyncio.wait([asking])
    victim.stop()
    liar.close()
    assert complaints


async def test_a03_ours_goes_on():
    overlay = TestOverlay()
    async with overlay.running(2) as rings:
        liar, rpc = await hostile_member(overlay, find_node=lambda *_: LIE, around=lambda *_: LIE)
        await rpc.request(rings[0].address, rings[0].me.id, "ping", liar.id.to_bytes(20, "big"))
        ids = [rings[0].me.id, rings[1].me.id, liar.id]
        found = await rings[0].find_successor(liar.id)  # the liar itself is asked who is around it
        assert found.id in ids
        assert rings[0].counters()["ring: port out of range"] >= 1
        assert await rings[1].find_successor(rings[0].me.id) == rings[0].me
        await rpc.close()


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this host has no IPv6 loopback address")
async def test_a_ring_of_ipv6_addresses():
    async with TestOverlay().running(5, host="::1") as rings:
        ids = sorted(ring.me.id for ring in rings)
        for ring in rings:
            assert len(ring.peers()) == 4
            assert (await ring.find_successor(RingId(ids[2]))).id == ids[2]


async def test_the_socket_has_room_for_the_answers_to_a_burst():
    _, rpc = await hostile_member(TestOverlay())
    granted = rpc.transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    # the kernel doubles what it grants, for its own book-keeping [socket(7)]
    assert granted == 2 * min(RECEIVE_BUFFER_BYTES, MOST)
    await rpc.close()
