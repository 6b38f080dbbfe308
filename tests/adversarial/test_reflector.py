"""A member that names a third party's addresses, so that every honest node sends its hellos there."""

from __future__ import annotations

import asyncio

from overlay.ring.allowances import STRANGER_BURST, STRANGERS_PER_SECOND
from overlay.ring.attempts import HELLO_TRIES
from overlay.ring.ids import id_to_bytes
from tests.support.hostile import hostile_member
from tests.support.members import TestOverlay
from tests.support.network import Network

VICTIM = "10.9.9.9"
NODES = 4
SECONDS = 120


def test_a_third_party_gets_a_trickle_however_many_addresses_of_it_are_named():
    network = Network(seed=1)
    overlay = TestOverlay(clock=network.clock, seed=1)

    def name_the_victim(_sender, _nodeid, key):
        near = int.from_bytes(key, "big")
        return [[(near ^ n).to_bytes(20, "big"), VICTIM, 1000 + (near + n) % 60_000] for n in range(1, 21)]

    async def program():
        async with overlay.running(NODES, host="10.0.0.1") as rings:
            liar, rpc = await hostile_member(overlay, "10.0.0.2", find_node=name_the_victim)
            for ring in rings:
                await rpc.request(ring.address, ring.me.id, "ping", id_to_bytes(liar.id))
            for turn in range(SECONDS):
                await asyncio.sleep(1)
                # whatever makes an honest node look something up does: a call, an invite, a change of the ring
                await asyncio.gather(*(ring.find_successor(liar.id ^ (turn << 64)) for ring in rings))
            await rpc.close()
            return asyncio.get_running_loop().time()

    elapsed_s = network.run(program())
    hellos = sum(count for (host, _), count in network.sent.items() if host == VICTIM)
    assert hellos <= NODES * HELLO_TRIES * (STRANGER_BURST + STRANGERS_PER_SECOND * elapsed_s)
