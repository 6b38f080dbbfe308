"""A member that names true ids at false addresses, or false ids at true ones, to hide honest nodes from a look-up."""

from __future__ import annotations

import random

import pytest

from overlay.ring.ids import RingId, id_to_bytes
from tests.support.hostile import hostile_member
from tests.support.members import TestOverlay
from tests.support.network import Network

NODES = 70
"""More than everybody knows of everybody."""


def dead_addresses(nearest):
    return [[id_to_bytes(peer.id), "10.9.9.9", 1000 + place] for place, peer in enumerate(nearest[:20])]


def false_ids(nearest):
    return [[id_to_bytes(RingId(peer.id ^ flip)), peer.host, peer.port] for peer in nearest[:10] for flip in (1, 2)]


@pytest.mark.parametrize("lie", [dead_addresses, false_ids])
def test_a_newcomer_finds_every_successor_all_the_same(lie):
    network = Network(seed=3)
    overlay = TestOverlay(clock=network.clock, seed=3)
    honest = []

    def squat(sender, _nodeid, key):
        near = int.from_bytes(key, "big")
        others = sorted((peer for peer in honest if peer.id != sender.id), key=lambda peer: peer.id ^ near)
        return lie(others)

    async def program():
        async with overlay.running(NODES, host="10.0.0.1") as rings:
            honest.extend(ring.me for ring in rings)
            squatters = []
            for number in range(2):
                squatters.append(await hostile_member(overlay, f"10.0.0.{2 + number}", find_node=squat, around=squat))
                for ring in rings:
                    await squatters[-1][1].request(ring.address, ring.me.id, "ping", id_to_bytes(squatters[-1][0].id))
            newcomer = overlay.ring()
            await newcomer.open("10.0.0.9")
            # the liars are the first that it knows
            await newcomer.join([*(peer for peer, _ in squatters), rings[0].me])
            members = sorted([*honest, *(peer for peer, _ in squatters), newcomer.me])
            dice = random.Random(4)
            for _ in range(20):
                place = RingId(dice.getrandbits(160))
                wanted = next((peer for peer in members if peer.id >= place), members[0])
                assert await newcomer.find_successor(place) == wanted
            assert not newcomer._server.rpc.suspects()
            await newcomer.close()
            for _, rpc in squatters:
                await rpc.close()

    network.run(program())
