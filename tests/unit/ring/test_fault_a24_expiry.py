"""Fault A24: what is kept ends when its signer said, whoever passes it on, and an old copy does not come back."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

from kademlia.network import Server
from kademlia.storage import ForgetfulStorage
from kademlia.utils import digest

from overlay.trust.identity import PrivateBundle
from tests.support.members import TestOverlay
from tests.support.network import Network

HOST = "10.0.0.1"
DAY = 86_400
TTL_S = 6 * 3_600
"""How long the library is told to keep a value."""
LIFE_S = 1_200


async def stock(number: int) -> Server:
    server = Server(node_id=bytes([0x11 * number]) * 20, storage=ForgetfulStorage(ttl=TTL_S))
    await server.listen(4000 + number, HOST)
    if number > 1:
        await server.bootstrap([(HOST, 4001)])
    return server


def test_a24_stock_keeps_for_ever_what_its_owner_gave_up(monkeypatch):
    network = Network()
    monkeypatch.setattr("kademlia.storage.time", SimpleNamespace(monotonic=network.clock))

    async def program():
        servers = [await stock(number) for number in (1, 2, 3)]
        owner = servers.pop()
        await owner.set("bob", "truth")
        owner.stop()
        await asyncio.sleep(2 * TTL_S)
        found = await servers[0].get("bob")
        for server in servers:
            server.stop()
        return found

    assert network.run(program()) == "truth"


def test_a24_stock_lets_a_stale_copy_replace_the_new_one(monkeypatch):
    network = Network()
    monkeypatch.setattr("kademlia.storage.time", SimpleNamespace(monotonic=network.clock))

    async def program():
        first, second = await stock(1), await stock(2)
        await second.set("bob", "old")
        await asyncio.sleep(1_800)
        # the update that the first one missed
        second.storage[digest("bob")] = "new"
        await asyncio.sleep(2 * 3_600)
        found = second.storage.get(digest("bob"))
        first.stop()
        second.stop()
        return found

    assert network.run(program()) == "old"


def test_a24_ours_ends_when_the_signer_said():
    network = Network(seed=24)
    overlay = TestOverlay(clock=network.clock, seed=24)
    bob = PrivateBundle.generate()

    async def program():
        async with overlay.running(3, host=HOST) as rings:
            pieces, record = overlay.pieces(bob, "bob", seconds=LIFE_S), overlay.record(bob, "bob")
            listed = overlay.share_list(bob, "bob", seconds=LIFE_S + DAY)
            owners = await rings[2].put("bob", pieces, record, share_list=listed)
            assert len(owners) == len(pieces)
            left = rings[:2]
            await rings[2].leave()
            await asyncio.sleep(LIFE_S - 60)
            kept = {piece.index for ring in left for piece in (await left[0].fetch_at(ring.me, "bob")).pieces}
            assert kept
            await asyncio.sleep(120)
            for ring in left:
                assert (await left[0].fetch_at(ring.me, "bob")).pieces == ()
                assert (await left[1].fetch_at(ring.me, "bob")).record is None
            # and nobody puts it back, with the true signatures
            assert not await left[1].store_at(left[0].me, pieces[0], record, share_list=listed)

    network.run(program())


def test_a24_ours_keeps_the_newer_record_against_the_older():
    network = Network(seed=25)
    overlay = TestOverlay(clock=network.clock, seed=25)
    bob = PrivateBundle.generate()

    async def program():
        async with overlay.running(2, host=HOST) as rings:
            pieces, listed = overlay.pieces(bob, "bob"), overlay.share_list(bob, "bob")
            old, new = (overlay.record(bob, "bob", sequence=number) for number in (1, 2))
            assert await rings[1].store_at(rings[0].me, pieces[0], old, share_list=listed)
            assert await rings[1].store_at(rings[0].me, pieces[0], new, share_list=listed)
            await rings[1].store_at(rings[0].me, pieces[0], old, share_list=listed)
            assert (await rings[1].fetch_at(rings[0].me, "bob")).record == new

    network.run(program())
