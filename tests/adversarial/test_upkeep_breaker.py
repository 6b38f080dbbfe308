"""Whoever makes one round of an owner's upkeep fail has not ended it, and nobody keeps it running without a pause."""

from __future__ import annotations

import asyncio
import secrets
import socket
from typing import TYPE_CHECKING

from adapter.pace import HURRY_S, MAX_EAGER, MAX_HURRIED
from adapter.upkeep import ROUND_S, Upkeep
from overlay.ring.contacts import node_of
from overlay.ring.ids import Peer, id_from_bytes
from overlay.trust.identity import PrivateBundle
from tests.integration.directory_ring import town
from tests.support.evil import LyingStore, nothing
from tests.support.members import TestOverlay
from tests.support.network import Network

if TYPE_CHECKING:
    from overlay.ring.kademlia_ring import KademliaRing

FEW = 8
"""How many requests may be under way at once here, so that a handful overloads a node."""


async def test_the_round_after_one_that_failed_is_run(monkeypatch):
    async with town(3) as place:
        home = place.rings[1]
        monkeypatch.setattr("overlay.ring.calls.MAX_CALLS", FEW)
        done = asyncio.Event()
        upkeep = Upkeep(
            home,
            user=place.bob,
            pieces=place.overlay.pieces(place.bob, "bob"),
            share_list=place.overlay.share_list(place.bob, "bob"),
            on_round=lambda _: done.set(),
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            host, port = silent.getsockname()
            # hold every request that the node may have under way, until it gives up those who never answer
            held = [
                asyncio.create_task(home.fetch_at(Peer(id=at, host=host, port=port), "bob"))
                for at in (id_from_bytes(secrets.token_bytes(20)) for _ in range(FEW))
            ]
            await asyncio.sleep(0)
            running = asyncio.create_task(upkeep.run())
            async with asyncio.timeout(8):
                assert await asyncio.gather(*held) == [None] * FEW
                await done.wait()
        upkeep.stop()
        await running
        assert upkeep.counters["failed rounds"] >= 1


def upkeep_of_bob(overlay: TestOverlay, ring: KademliaRing) -> Upkeep:
    bob = PrivateBundle.generate()
    return Upkeep(
        ring,
        user=bob,
        pieces=overlay.pieces(bob, "bob"),
        share_list=overlay.share_list(bob, "bob"),
        clock=overlay.clock,
    )


def test_who_takes_every_piece_and_denies_it_does_not_hurry_the_owner():
    network = Network(seed=1)
    overlay = TestOverlay(clock=network.clock, seed=1)

    async def program():
        async with overlay.running(9, host="10.0.0.1", make_store=LyingStore) as rings:
            upkeep = upkeep_of_bob(overlay, rings[1])
            running = asyncio.create_task(upkeep.run())
            await asyncio.sleep(3 * ROUND_S)
            liar = next(ring for ring in rings if ring.held() and ring is not rings[1])
            liar._store.lie = nothing
            before, calm = upkeep.counters["rounds"], 30
            await asyncio.sleep(calm * ROUND_S)
            assert calm - 1 <= upkeep.counters["rounds"] - before <= calm + MAX_EAGER + 4
            upkeep.stop()
            await running

    network.run(program())


def test_who_leaves_and_comes_back_all_the_time_does_not_hurry_the_owner():
    network = Network(seed=2)
    overlay = TestOverlay(clock=network.clock, seed=2)

    async def program():
        async with overlay.running(9, host="10.0.0.1") as rings:
            upkeep = upkeep_of_bob(overlay, rings[1])
            rings[1].on_change = upkeep.changed
            running = asyncio.create_task(upkeep.run())
            await asyncio.sleep(3 * ROUND_S)
            restless = rings[5]._server.rpc
            before, loop = upkeep.counters["rounds"], asyncio.get_running_loop()
            end = loop.time() + 20 * HURRY_S
            while loop.time() < end:
                await restless.ask(rings[1].me, "leave")
                await restless.call_ping(node_of(rings[1].me))
                await asyncio.sleep(0.4)
            assert upkeep.counters["rounds"] - before <= MAX_HURRIED + 21
            # and who comes meanwhile gets what is its
            newcomer = overlay.ring()
            await newcomer.open("10.0.0.1")
            await newcomer.join([rings[0].me])
            await asyncio.sleep(2 * ROUND_S)
            places = await rings[1]._spread.owners(upkeep._positions, 7)
            assert upkeep.placed() == places
            upkeep.stop()
            await running
            await newcomer.close()

    network.run(program())
