"""Faults A22 and A23: an id belongs to whoever proves it, where it speaks from, and to nobody who named it first."""

from __future__ import annotations

import random

import pytest
from kademlia.network import Server
from kademlia.node import Node
from kademlia.protocol import KademliaProtocol
from kademlia.storage import ForgetfulStorage

from overlay.ring.ids import id_to_bytes
from tests.support.hostile import hostile_member
from tests.support.members import TestOverlay
from tests.support.network import Network

HOST = "10.0.0.1"
VICTIM = b"\x07" * 20


def test_a22_stock_keeps_the_address_of_whoever_named_an_id_first():
    protocol = KademliaProtocol(Node(random.Random(1).randbytes(20)), ForgetfulStorage(), 20)
    protocol.rpc_ping(("10.0.0.66", 666), VICTIM)
    protocol.rpc_ping(("10.0.0.7", 7), VICTIM)
    contacts = [contact for bucket in protocol.router.buckets for contact in bucket.nodes.values()]
    assert [(contact.id, contact.ip, contact.port) for contact in contacts] == [(VICTIM, "10.0.0.66", 666)]


def test_a22_ours_takes_no_id_from_who_cannot_prove_it():
    network = Network(seed=22)
    overlay = TestOverlay(clock=network.clock, seed=22)

    async def program():
        identity = overlay.identity()
        victim = overlay.ring(identity)
        async with overlay.running(3, host=HOST) as rings:
            squatter, rpc = await hostile_member(overlay, "10.0.0.66", leave=lambda *_: True)
            for ring in rings:
                answered, _ = await rpc.request(ring.address, ring.me.id, "ping", id_to_bytes(identity.id))
                assert not answered
                assert {peer.id for peer in ring.peers() if peer.host == squatter.host} <= {squatter.id}
            await victim.open("10.0.0.7")
            await victim.join([rings[0].me])
            for ring in rings:
                assert victim.me in ring.peers()
            await rpc.close()
            await victim.close()

    network.run(program())


def test_a22_ours_follows_a_contact_that_proves_a_new_address():
    network = Network(seed=23)
    overlay = TestOverlay(clock=network.clock, seed=23)

    async def program():
        identity = overlay.identity()
        async with overlay.running(3, host=HOST) as rings:
            for host in ("10.0.0.7", "10.0.0.8"):
                moving = overlay.ring(identity)
                await moving.open(host)
                await moving.join([rings[0].me])
                for ring in rings:
                    assert [peer for peer in ring.peers() if peer.id == identity.id] == [moving.me]
                await moving.close()

    network.run(program())


def test_a23_stock_fails_over_what_its_first_contact_calls_itself():
    async def program():
        first, second = Server(node_id=b"\x11" * 20), Server(node_id=b"\x22" * 20)
        await first.listen(4000, HOST)
        await second.listen(4001, HOST)
        second.protocol.rpc_ping = lambda *_: "second"
        try:
            with pytest.raises(AttributeError):
                await first.bootstrap([(HOST, 4001)])
        finally:
            first.stop()
            second.stop()

    Network().run(program())


def test_a23_ours_joins_by_the_id_that_was_proved():
    network = Network(seed=24)
    overlay = TestOverlay(clock=network.clock, seed=24)

    async def program():
        liar, rpc = await hostile_member(overlay, "10.0.0.66", ping=lambda *_: "second", leave=lambda *_: True)
        async with overlay.running(1, host=HOST) as rings:
            ring = overlay.ring()
            await ring.open("10.0.0.7")
            await ring.join([liar, rings[0].me])
            assert rings[0].me in ring.peers()
            assert {peer.id for peer in ring.peers()} <= {liar.id, rings[0].me.id}
            await ring.close()
        await rpc.close()

    network.run(program())
