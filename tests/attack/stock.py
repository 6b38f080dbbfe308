"""The pieces in a stock DHT: plain get and set of the kademlia package with its defaults, over the same network.

Not made weaker than it is: every value lies on the 20 nodes nearest to its key, the tables are those of a ring that has
run for long, and the calls go over this project's own nodes. What a name stands for is what `get` says.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from kademlia.network import Server
from kademlia.node import Node
from kademlia.protocol import KademliaProtocol
from kademlia.utils import digest

from overlay.errors import RemoteError
from overlay.ring.holding import Holding
from overlay.trust.pieces import KeyPiece
from overlay.trust.records import LookupRecord
from tests.attack.lies import Gang
from tests.attack.registered import Registered
from tests.attack.rows import Cell, Tally
from tests.support.members import TestOverlay
from tests.support.network import Network
from tests.support.warmed import warmed

if TYPE_CHECKING:
    from collections.abc import Sequence

HOST, LINES_HOST = "10.0.0.1", "10.0.0.2"
ONE_WAY_S = 0.010
USERS = 8
RING_CALLS = 50
COPIES = 20
NEAREST, STRANGERS = 60, 60
"""Contacts that each table is offered: the nearest by XOR, and others for its far buckets."""
PAUSE_S = 0.1
OVERWRITE = "overwrite by an outsider"
ATTACKS = ("drop", "lie", "wrong successor", "mix")


class EvilStock(KademliaProtocol):
    """A node of the stock library that can lie; honest while it has no manner."""

    manner = ""
    members: Sequence[Node] = ()
    false: dict[bytes, bytes] = {}  # noqa: RUF012 - replaced as a whole

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self.manner != "drop" or data[:1] != b"\x00":
            super().datagram_received(data, addr)

    def rpc_find_node(self, sender: Any, nodeid: bytes, key: bytes) -> Any:
        if self.manner != "wrong successor":
            return super().rpc_find_node(sender, nodeid, key)
        near = sorted(self.members, key=lambda node: node.long_id ^ int.from_bytes(key, "big"))
        return list(map(tuple, near[:COPIES]))

    def rpc_find_value(self, sender: Any, nodeid: bytes, key: bytes) -> Any:
        if self.manner in {"lie", "wrong successor"} and key in self.false:
            return {"value": self.false[key]}
        return super().rpc_find_value(sender, nodeid, key)


class EvilServer(Server):
    protocol_class = EvilStock


def run(cell: Cell) -> dict[str, Any]:
    """Play one cell."""
    logging.getLogger("rpcudp").setLevel(logging.CRITICAL)
    logging.getLogger("kademlia").setLevel(logging.CRITICAL)
    random.seed(cell.name)  # the library draws from the global dice
    rng = random.Random(cell.name)
    tally = Tally()
    for begin in range(0, cell.calls, RING_CALLS):
        network = Network(seed=rng.getrandbits(32), delay_s=(ONE_WAY_S, ONE_WAY_S))
        network.run(_play(cell, network, rng, tally, min(RING_CALLS, cell.calls - begin)))
    return tally.row(cell)


async def _play(cell: Cell, network: Network, rng: random.Random, tally: Tally, calls: int) -> None:
    overlay = TestOverlay(clock=network.clock, seed=rng.getrandbits(32))
    country = Registered(overlay=overlay, network=network, rng=rng, k=cell.k, n=cell.n)
    async with warmed(overlay, USERS, rng, host=LINES_HOST) as lines, _servers(cell.of, rng) as servers:
        evil = rng.sample(servers, 0 if cell.attack == OVERWRITE else cell.liars)
        honest = [server for server in servers if server not in evil]
        for number, (ring, server) in enumerate(zip(lines, rng.sample(honest, USERS), strict=True)):
            country.register(f"user{number}", ring, {}, _directory(country, server))
        _put(country, servers)
        false = {digest(key): value for key, value in _false(country).items()}
        for server in evil:
            server.protocol.manner = rng.choice(ATTACKS[:3]) if cell.attack == "mix" else cell.attack
            server.protocol.members = [one.node for one in evil]
            server.protocol.false = false
        if cell.attack == OVERWRITE:
            # any socket will do: no credential, no place on the ring
            outsider = await _open(rng, len(servers))
            await outsider.bootstrap([(HOST, servers[0].node.port)])
            for key, value in _false(country).items():
                await outsider.set(key, value)
            outsider.stop()
        for _ in range(calls):
            caller, callee = rng.sample(country.sides, 2)
            tally.add(*await country.call(caller, callee))
            await asyncio.sleep(PAUSE_S)  # virtual, and no condition hangs on it
    await country.stop()


def _directory(country: Registered, server: Server) -> Any:
    async def ask(aor: str, index: int) -> Holding | None:
        # the library does not bear to be cancelled
        both = asyncio.gather(server.get(f"{aor}/{index}"), server.get(aor))
        piece, record = await asyncio.shield(both)
        try:
            pieces = () if piece is None else (KeyPiece.decode(piece),)
            return Holding(pieces=pieces, record=None if record is None else LookupRecord.decode(record))
        except RemoteError:
            return None

    return country.paper_directory(ask)


def _put(country: Registered, servers: Sequence[Server]) -> None:
    """Lay each value where the library would."""
    for side in country.sides:
        record = country.record(side.keys, side.aor, side.ring.me, sequence=1)
        values = {f"{side.aor}/{piece.index}": piece.encode() for piece in country.victims[side.aor].pieces}
        for key, value in (values | {side.aor: record.encode()}).items():
            place = int.from_bytes(digest(key), "big")
            for server in sorted(servers, key=lambda one: one.node.long_id ^ place)[:COPIES]:
                server.storage[digest(key)] = value


def _false(country: Registered) -> dict[str, bytes]:
    """Return what the attackers want each key to stand for."""
    everybody = {aor: frozenset(range(1, country.n + 1)) for aor in country.victims}
    gang = Gang(overlay=country.overlay, victims=country.victims, rng=country.rng, theirs=everybody)
    false: dict[str, bytes] = {}
    for aor, victim in country.victims.items():
        lie = gang.lie("chosen key, colluding")(aor, Holding(pieces=victim.pieces))
        false |= {f"{aor}/{piece.index}": piece.encode() for piece in lie.pieces}
        false[aor] = victim.false_record.encode()
    return false


@asynccontextmanager
async def _servers(count: int, rng: random.Random):
    servers: list[EvilServer] = []
    try:
        servers.extend([await _open(rng, number) for number in range(count)])
        nodes = [server.node for server in servers]
        for server in servers:
            near = sorted(nodes, key=lambda node: node.long_id ^ server.node.long_id)[1 : NEAREST + 1]
            for node in (*near, *rng.sample(nodes, min(STRANGERS, count))):
                if node is not server.node and server.protocol.router.is_new_node(node):
                    server.protocol.router.add_contact(node)
        yield servers
    finally:
        for server in servers:
            server.stop()
        await asyncio.sleep(6)  # longer than its timeouts, so that no question is left open


async def _open(rng: random.Random, number: int) -> EvilServer:
    server = EvilServer(node_id=rng.randbytes(20))
    port = 30_000 + number
    await server.listen(port, HOST)
    server.node = Node(server.node.id, HOST, port)
    return server
