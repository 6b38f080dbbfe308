"""Pieces, records and lines between real nodes on loopback; what becomes of them when nodes leave."""

from __future__ import annotations

import asyncio
import logging

import pytest

from overlay.errors import LocalError
from overlay.ring.ids import id_to_bytes, piece_position
from overlay.ring.kademlia_ring import MAX_LINE_BYTES
from overlay.trust.identity import PrivateBundle
from tests.support.members import TestOverlay


@pytest.fixture
def overlay():
    return TestOverlay()


@pytest.fixture
def bob():
    return PrivateBundle.generate()


async def test_pieces_lie_at_their_places_on_distinct_nodes(overlay, bob):
    async with overlay.running(12) as rings:
        pieces, record = overlay.pieces(bob, "bob"), overlay.record(bob, "bob")
        owners = await rings[3].put("bob", pieces, record, share_list=overlay.share_list(bob, "bob"))
        assert len(set(owners.values())) == 7
        assert owners[1] == await rings[0].find_successor(piece_position("bob", 1, 7))
        found = await rings[9].get("bob")
        assert {piece for holding in found.values() for piece in holding.pieces} == set(pieces)
        assert {peer: [piece.index for piece in holding.pieces] for peer, holding in found.items()} == {
            peer: [index] for index, peer in owners.items()
        }
        assert {holding.record for holding in found.values()} == {record}
        assert await rings[5].get("nobody") == {}


async def test_everybody_holds_more_in_a_ring_with_fewer_nodes_than_pieces(overlay, bob):
    async with overlay.running(3) as rings:
        pieces = overlay.pieces(bob, "bob")
        owners = await rings[1].put(
            "bob", pieces, overlay.record(bob, "bob"), share_list=overlay.share_list(bob, "bob")
        )
        assert sorted(owners) == list(range(1, 8))
        found = await rings[2].get("bob")
        assert sorted(len(holding.pieces) for holding in found.values()) == [2, 2, 3]


async def test_a_holder_with_more_than_one_answer_full_is_read_page_by_page(overlay, bob):
    async with overlay.running(2) as rings:
        pieces, record = overlay.pieces(bob, "bob", k=5, n=13), overlay.record(bob, "bob")
        for piece in pieces:
            assert await rings[0].store_at(
                rings[1].me, piece, record, share_list=overlay.share_list(bob, "bob", k=5, n=13)
            )
        holding = await rings[0].fetch_at(rings[1].me, "bob")
        assert (holding.pieces, holding.record) == (pieces, record)
        assert rings[0].counters()["ring: asked fetch"] > 1
        # and asked of itself, without the network
        assert await rings[1].fetch_at(rings[1].me, "bob") == holding
        assert "ring: asked fetch" not in rings[1].counters()


async def test_an_owner_releases_what_lies_elsewhere_by_now(overlay, bob):
    async with overlay.running(2) as rings:
        holder = rings[1].me
        pieces = overlay.pieces(bob, "bob")
        for piece in pieces[:2]:
            await rings[0].store_at(
                holder, piece, overlay.record(bob, "bob"), share_list=overlay.share_list(bob, "bob")
            )
        node_id = id_to_bytes(holder.id)
        thief = overlay.release(PrivateBundle.generate(), "bob", node_id, 1)
        assert not await rings[0].release_at(holder, thief)
        elsewhere = overlay.release(bob, "bob", id_to_bytes(rings[0].me.id), 1)
        assert not await rings[0].release_at(holder, elsewhere)
        assert await rings[0].release_at(holder, overlay.release(bob, "bob", node_id, 1))
        assert (await rings[0].fetch_at(holder, "bob")).pieces == (pieces[1],)


async def test_the_newest_record_stays(overlay, bob):
    async with overlay.running(2) as rings:
        holder = rings[1].me
        assert not await rings[0].store_at(holder, None, overlay.record(bob, "bob"))
        assert await rings[0].store_at(
            holder,
            overlay.pieces(bob, "bob")[0],
            overlay.record(bob, "bob"),
            share_list=overlay.share_list(bob, "bob"),
        )
        newer = overlay.record(bob, "bob", sequence=2)
        assert await rings[0].store_at(holder, None, newer)
        await rings[0].store_at(holder, None, overlay.record(bob, "bob", sequence=1))
        assert (await rings[0].fetch_at(holder, "bob")).record == newer


async def test_a_dead_holder_gives_no_answer(overlay, bob):
    async with overlay.running(3) as rings:
        gone = rings[1].me
        await rings[1].close()
        assert await rings[0].fetch_at(gone, "bob") is None
        assert not await rings[0].store_at(gone, overlay.pieces(bob, "bob")[0], None)
        assert not await rings[0].deliver(gone, b"line")


async def test_lines_reach_the_other_adapter_once(overlay):
    async with overlay.running(3) as rings:
        got = []
        rings[1].on_line = lambda sender, line: got.append((sender, line))
        assert await rings[0].deliver(rings[1].me, b"SECP2PSIP/1.0 INVITE x\r\n")
        assert await rings[1].deliver(rings[1].me, b"to myself")
        assert await rings[2].deliver(rings[1].me, bytes(MAX_LINE_BYTES))
        assert got == [
            (rings[0].me, b"SECP2PSIP/1.0 INVITE x\r\n"),
            (rings[1].me, b"to myself"),
            (rings[2].me, bytes(MAX_LINE_BYTES)),
        ]
        assert not await rings[1].deliver(rings[0].me, b"nobody listens")
        with pytest.raises(LocalError):
            await rings[0].deliver(rings[1].me, bytes(MAX_LINE_BYTES + 1))


async def test_an_adapter_that_fails_does_not_take_its_node_along(overlay, caplog):
    def fail(*_):
        raise ZeroDivisionError

    async with overlay.running(2) as rings:
        rings[1].on_line = fail
        rings[1].on_change = fail
        with caplog.at_level(logging.CRITICAL):
            assert not await rings[0].deliver(rings[1].me, b"line")
            await rings[0].leave()
        assert rings[1].peers() == []
        await asyncio.sleep(0)
        assert rings[1].counters()["ring: line handler failed"] == 1
        assert rings[1].counters()["ring: change handler failed"] >= 1


async def test_who_leaves_hands_over_and_is_gone_at_once(overlay, bob):
    async with overlay.running(4) as rings:
        leaving = rings.pop(2)
        changed = []
        rings[0].on_change = lambda _peers: changed.append(len(rings[0].peers()))
        piece, record = overlay.pieces(bob, "bob")[4], overlay.record(bob, "bob")
        assert await leaving.store_at(leaving.me, piece, record, share_list=overlay.share_list(bob, "bob"))
        gone = leaving.me
        await leaving.leave()
        for ring in rings:
            assert gone not in ring.peers()
        await asyncio.sleep(0)
        assert changed[-1] == 2
        heir = await rings[0].find_successor(gone.id)
        holding = await rings[0].fetch_at(heir, "bob")
        assert (holding.pieces, holding.record) == ((piece,), record)
        assert rings[0].counters().get("ring: silent", 0) == 0


async def test_a_node_that_comes_back_is_welcome(overlay):
    async with overlay.running(3) as rings:
        identity = overlay.identity()
        for _ in range(2):
            ring = overlay.ring(identity)
            await ring.open("127.0.0.1")
            await ring.join([rings[0].me])
            assert all(ring.me in other.peers() for other in rings)
            await ring.leave()
            assert all(len(other.peers()) == 2 for other in rings)


async def test_closing_ends_every_task(overlay):
    before = asyncio.all_tasks()
    async with overlay.running(6) as rings:
        asking = [asyncio.ensure_future(ring.find_successor(rings[0].me.id)) for ring in rings]
        await asyncio.sleep(0)
        for ring in rings:
            await ring.close()
            await ring.close()
        await asyncio.wait(asking)
    assert asyncio.all_tasks() == before


async def test_an_address_that_nobody_can_reach_is_refused(overlay):
    for host in ("0.0.0.0", "localhost", "::"):
        with pytest.raises(LocalError):
            await overlay.ring().open(host)


async def test_a_port_in_use_is_an_error(overlay):
    async with overlay.running(1) as rings:
        with pytest.raises(OSError):
            await overlay.ring().open(*rings[0].address)
