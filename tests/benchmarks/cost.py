"""What one find_node costs the node that serves it, and what a node takes of memory: ours, and the stock library."""

from __future__ import annotations

import asyncio
import gc
import random
import time
import tracemalloc
from typing import Any

import umsgpack
from kademlia.network import Server
from kademlia.node import Node

from overlay.ring.contacts import node_of
from overlay.ring.ids import Peer, RingId, id_from_bytes, id_to_bytes
from overlay.ring.rpc import Request, encode_request
from tests.support.members import TestOverlay

HOST = "127.0.0.1"
CONTACTS = 105
MEMORY_NODES = 40
MEMORY_CONTACTS = 85


class Sink:
    """A transport that takes datagrams and forgets them."""

    def __init__(self) -> None:
        self.sent = 0

    def sendto(self, data: bytes, addr: Any = None) -> None:
        self.sent += 1

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str) -> Any:
        return (HOST, 4000)

    def close(self) -> None:
        pass


def find_node_us(requests: int, repeats: int = 5) -> dict[str, float]:
    """Return microseconds of CPU per find_node served, the best of some rounds, taken by turns."""

    async def program() -> dict[str, float]:
        rng = random.Random(1)
        ours, stock = await _our_server(rng), await _stock_server(rng)
        best = {"ours_us": float("inf"), "stock_us": float("inf")}
        for _ in range(repeats):
            for name, serve in (("ours_us", ours), ("stock_us", stock)):
                best[name] = min(best[name], await serve(requests))
        return {**best, "ratio": best["ours_us"] / best["stock_us"]}

    return asyncio.run(program())


async def _our_server(rng: random.Random) -> Any:
    overlay = TestOverlay()
    one, other = overlay.ring(), overlay.ring()
    for ring in (one, other):
        await ring.open(HOST)
    await other._server.bootstrap_node(one.address)
    rpc = one._server.rpc
    rpc.router._probe = lambda node: None
    for contact in _contacts(rng):
        rpc.router.add_contact(node_of(contact))
    asking = other._server.rpc.sessions._links.find(one.address, one.me.id)
    rpc.transport.close()
    rpc.transport = Sink()

    source, me = other.address, id_to_bytes(other.me.id)

    async def serve(requests: int) -> float:
        frames = [
            asking.current.seal(
                encode_request(
                    Request(message_id=rng.randbytes(20), method="find_node", arguments=(me, rng.randbytes(20)))
                )
            )
            for _ in range(requests)
        ]
        # every round has the whole burst: what is refused is measured elsewhere
        rpc.sessions._links.get(other.me.id).paid_until = 0.0
        before, begun = rpc.transport.sent, time.process_time()
        for frame in frames:
            rpc.datagram_received(frame, source)
        took = time.process_time() - begun
        assert rpc.transport.sent - before == requests
        return 1e6 * took / requests

    return serve


async def _stock_server(rng: random.Random) -> Any:
    server = Server(node_id=rng.randbytes(20))
    protocol = server._create_protocol()
    protocol.transport = Sink()
    for contact in _contacts(rng):
        protocol.router.add_contact(Node(id_to_bytes(contact.id), contact.host, contact.port))
    sender = next(iter(_contacts(rng)))
    protocol.router.add_contact(Node(id_to_bytes(sender.id), sender.host, sender.port))

    async def serve(requests: int) -> float:
        frames = [
            b"\x00" + rng.randbytes(20) + umsgpack.packb(["find_node", [id_to_bytes(sender.id), rng.randbytes(20)]])
            for _ in range(requests)
        ]
        before, begun = protocol.transport.sent, time.process_time()
        for frame in frames:
            protocol.datagram_received(frame, sender.address)
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        took = time.process_time() - begun
        assert protocol.transport.sent - before >= requests
        return 1e6 * took / requests

    return serve


def _contacts(rng: random.Random, count: int = CONTACTS) -> list[Peer]:
    return [Peer(id=RingId(rng.getrandbits(160)), host="10.0.0.1", port=1024 + number) for number in range(count)]


def memory_kib() -> dict[str, float]:
    """Return KiB per node with the same contacts, as Python counts what it allocates."""

    async def ours() -> float:
        overlay, rng = TestOverlay(), random.Random(1)
        identities = [overlay.identity() for _ in range(MEMORY_NODES)]
        contacts = _contacts(rng, MEMORY_CONTACTS)
        dice = random.SystemRandom()
        before, rings = _used(), []
        for identity in identities:
            ring = overlay.ring(identity, rng=dice)  # without a seed all nodes of a process have the same
            await ring.open(HOST)
            ring._server.rpc.router._probe = lambda node: None
            for contact in contacts:
                # from a peer of its own, as each node reads it from its own datagrams
                peer = Peer(id=id_from_bytes(id_to_bytes(contact.id)), host=contact.host, port=contact.port)
                ring._server.rpc.router.add_contact(node_of(peer))
            rings.append(ring)
        used = (_used() - before) / MEMORY_NODES
        for ring in rings:
            await ring.close()
        return used

    async def stock() -> float:
        rng = random.Random(1)
        contacts = _contacts(rng, MEMORY_CONTACTS)
        before, servers = _used(), []
        for _ in range(MEMORY_NODES):
            server = Server(node_id=rng.randbytes(20))
            await server.listen(0, HOST)
            for contact in contacts:
                server.protocol.router.add_contact(Node(id_to_bytes(contact.id), contact.host, contact.port))
            servers.append(server)
        used = (_used() - before) / MEMORY_NODES
        for server in servers:
            server.stop()
        return used

    tracemalloc.start()
    try:
        result = {"ours_kib": asyncio.run(ours()) / 1024, "stock_kib": asyncio.run(stock()) / 1024}
    finally:
        tracemalloc.stop()
    return {**result, "ratio": result["ours_kib"] / result["stock_kib"]}


def _used() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
