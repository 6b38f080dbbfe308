"""Fault A21: an answer fits one datagram, whatever is asked for."""

from __future__ import annotations

import asyncio

from kademlia.network import Server
from kademlia.utils import digest

from overlay.ring.holder_calls import FETCH_LIMIT_S
from overlay.ring.rpc import MAX_ANSWER_BYTES, MAX_MESSAGE_BYTES
from overlay.trust.identity import PrivateBundle
from overlay.trust.shamir import MAX_PIECES
from tests.support.hostile import hostile_member
from tests.support.members import TestOverlay
from tests.support.network import Network

HOST = "10.0.0.1"
FRAME_BYTES = 1_472
"""The longest UDP payload that one Ethernet frame carries over IPv4."""


class Weighing(Network):
    """A network that notes how long the longest datagram was."""

    longest = 0

    def carry(self, data, source, target, loop):
        self.longest = max(self.longest, len(data))
        super().carry(data, source, target, loop)


def test_a21_stock_answers_at_any_length():
    network = Weighing()

    async def program():
        first, second = Server(node_id=b"\x11" * 20), Server(node_id=b"\x22" * 20)
        await first.listen(4000, HOST)
        await second.listen(4001, HOST)
        await second.bootstrap([(HOST, 4000)])
        assert network.longest <= FRAME_BYTES
        first.storage[digest("bob")] = "x" * 20_000
        await second.get("bob")
        first.stop()
        second.stop()

    network.run(program())
    assert network.longest > 20_000


def test_a21_ours_pages_all_that_it_holds_of_a_user():
    network = Weighing(seed=21)
    overlay = TestOverlay(clock=network.clock, seed=21)
    bob = PrivateBundle.generate()

    async def program():
        async with overlay.running(2, host=HOST) as rings:
            pieces = overlay.pieces(bob, "bob", k=8, n=MAX_PIECES)
            listed = overlay.share_list(bob, "bob", k=8, n=MAX_PIECES)
            assert sum(len(piece.encode()) for piece in pieces) > FRAME_BYTES
            for piece in pieces:
                assert await rings[1].store_at(rings[0].me, piece, overlay.record(bob, "bob"), share_list=listed)
            holding = await rings[1].fetch_at(rings[0].me, "bob")
            assert holding is not None
            assert holding.pieces == pieces

    network.run(program())
    assert FRAME_BYTES // 2 < network.longest <= FRAME_BYTES


def test_a21_ours_does_not_wait_for_one_late_page_after_the_other():
    network = Network(seed=23)
    overlay = TestOverlay(clock=network.clock, seed=23)

    async def program():
        pieces = overlay.pieces(PrivateBundle.generate(), "bob", k=8, n=MAX_PIECES)
        peer, slow = await hostile_member(
            overlay,
            HOST,
            fetch=lambda _sender, _aor, first: [[pieces[max(first, 1) - 1].encode()], None, first < MAX_PIECES],
        )
        async with overlay.running(1, host=HOST) as (asking,):
            assert await asking.fetch_at(peer, "bob") is not None  # a session stands
            network.delay_s = (0.3, 0.3)
            loop = asyncio.get_running_loop()
            began = loop.time()
            holding = await asking.fetch_at(peer, "bob")
            assert loop.time() - began < FETCH_LIMIT_S + 1
            # what came by then counts as from anybody
            assert holding.pieces == pieces[: len(holding.pieces)]
            assert holding.pieces
        await slow.close()

    network.run(program())


def test_a21_ours_rather_gives_no_answer_than_one_that_is_too_long():
    network = Weighing(seed=22)
    overlay = TestOverlay(clock=network.clock, seed=22)

    async def program():
        peer, asked = await hostile_member(overlay, HOST, find_node=lambda *_: bytes(MAX_ANSWER_BYTES))
        _, asking = await hostile_member(overlay, HOST)
        assert await asking.request(peer.address, peer.id, "find_node", bytes(20), bytes(20)) == (False, None)
        assert asked.counters["handler failed"] >= 1
        # and goes on
        answered, _ = await asking.request(peer.address, peer.id, "ping", bytes(20))
        assert answered
        await asking.close()
        await asked.close()

    network.run(program())
    assert network.longest <= MAX_MESSAGE_BYTES
