"""Faults A18, A19, A20 and A28: who may answer, what stays behind, what garbage does, what is a remote call."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rpcudp.protocol import RPCProtocol

from overlay.ring.datagrams import HardRpc
from overlay.ring.rpc import Answer, encode_answer
from tests.support.hostile import hostile_member
from tests.support.members import TestOverlay
from tests.support.network import Network

HOST = "10.0.0.1"


class Greeter(RPCProtocol):
    def rpc_greet(self, sender, name):
        return f"hello {name}"


async def stock(port: int) -> RPCProtocol:
    _, protocol = await asyncio.get_running_loop().create_datagram_endpoint(Greeter, local_addr=(HOST, port))
    return protocol


def test_a18_stock_takes_an_answer_from_anybody():
    async def program():
        asking, asked, other = await stock(4000), await stock(4001), await stock(4002)
        asked.transport.close()
        future = asking.greet((HOST, 4001), "bob")
        (message_id,) = asking._outstanding
        other.transport.sendto(b"\1" + message_id + b"\xa3lie", (HOST, 4000))
        return await future

    assert Network().run(program()) == (True, "lie")


def test_a18_ours_takes_it_only_from_who_was_asked():
    network = Network(seed=1)
    overlay = TestOverlay(clock=network.clock)

    async def program():
        asked, asked_rpc = await hostile_member(overlay, HOST)
        _, impostor = await hostile_member(overlay, HOST)
        me, asking = await hostile_member(overlay, HOST)
        await impostor.request(me.address, me.id, "ping", b"")
        await asking.request(asked.address, asked.id, "ping", b"")
        network.cut = lambda source, target: target == asked.address
        future = asking.request(asked.address, asked.id, "ping", b"")
        (message_id,) = asking._outstanding
        impostor.sessions.send(
            me.address, me.id, encode_answer(Answer(message_id=message_id, value="lie")), network.clock()
        )
        impostor._pump()
        assert await future == (False, None)
        assert asking.counters["answer to nothing that was asked of this node"] == 1
        for rpc in (asked_rpc, impostor, asking):
            await rpc.close()

    network.run(program())


def test_a19_stock_keeps_what_a_cancelled_caller_left_behind():
    complaints = []

    async def program():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        asking = await stock(4000)
        for _ in range(10):
            asking.greet((HOST, 4001), "bob").cancel()
        await asyncio.sleep(6)
        return len(asking._outstanding)

    assert Network().run(program()) == 10
    assert len(complaints) == 10


def test_a19_ours_leaves_nothing_behind():
    network = Network(seed=2)
    overlay = TestOverlay(clock=network.clock)
    complaints = []

    async def program():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        peer, other = await hostile_member(overlay, HOST)
        _, rpc = await hostile_member(overlay, HOST)
        for _ in range(10):
            rpc.request(peer.address, peer.id, "ping", b"").cancel()
            rpc.request((HOST, 9), peer.id, "ping", b"").cancel()
        await asyncio.sleep(3)
        assert (len(rpc._outstanding), len(rpc._calls)) == (0, 0)
        # answers that come after the caller has gone are dropped
        future = rpc.request(peer.address, peer.id, "ping", b"")
        await asyncio.sleep(0.001)
        future.cancel()
        await asyncio.sleep(3)
        assert (len(rpc._outstanding), len(rpc._calls)) == (0, 0)
        await rpc.close()
        await other.close()

    network.run(program())
    assert complaints == []


GARBAGE = [
    b"\0" + bytes(20) + b"\xc1",
    b"\0" + bytes(20) + b"\x07",
    b"\0" + bytes(20) + b"\x90",
    b"\0" + bytes(20) + b"\x92\xa5greet\x07",
    b"\1" + bytes(20) + b"\xd9",
    b"\0" + bytes(20) + b"\x91" * 5000,
]


def test_a20_stock_loses_every_error_in_a_task_that_nobody_asks():
    complaints = []

    async def program():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
        protocol = await stock(4000)
        for data in GARBAGE:
            protocol.datagram_received(data, (HOST, 1))
        await asyncio.sleep(1)

    Network().run(program())
    assert complaints.count("Task exception was never retrieved") == len(GARBAGE)


def test_a20_ours_counts_what_a_member_sends_and_goes_on():
    network = Network(seed=3)
    overlay = TestOverlay(clock=network.clock)
    complaints = []

    async def program():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        peer, rpc = await hostile_member(overlay, HOST)
        _, other = await hostile_member(overlay, HOST)
        await other.request(peer.address, peer.id, "ping", b"")
        rng = random.Random(3)
        for data in [*GARBAGE, *(rng.randbytes(rng.randrange(1, 200)) for _ in range(500))]:
            other.sessions.send(peer.address, peer.id, data, network.clock())
            other._pump()
        await asyncio.sleep(1)
        assert sum(rpc.counters.values()) >= 500
        assert (await other.request(peer.address, peer.id, "ping", b""))[0]
        await rpc.close()
        await other.close()

    network.run(program())
    assert complaints == []


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=600), max_size=20))
def test_a20_ours_survives_any_datagram_of_a_stranger(datagrams):
    network = Network(seed=4)
    overlay = TestOverlay(clock=network.clock)

    async def program():
        _, rpc = await hostile_member(overlay, HOST)
        for data in datagrams:
            rpc.datagram_received(data, ("10.0.0.9", 99))
        for source in (("10.0.0.9", 0), ("localhost", 1), ("10.0.0.9", 99, 0, 0)):
            rpc.datagram_received(b"\x11" * 30, source)
        assert not rpc.is_closed
        await rpc.close()

    network.run(program())


def test_a20_a_handler_that_fails_costs_one_answer():
    network = Network(seed=5)
    overlay = TestOverlay(clock=network.clock)
    complaints = []

    def fail(*_):
        raise ZeroDivisionError

    async def program():
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        peer, rpc = await hostile_member(overlay, HOST, fetch=fail, line=lambda *_: bytes(5000))
        _, other = await hostile_member(overlay, HOST)
        assert await other.request(peer.address, peer.id, "fetch", "bob", 0) == (False, None)
        assert await other.request(peer.address, peer.id, "line", b"x") == (False, None)
        assert rpc.counters["handler failed"] >= 2
        assert (await other.request(peer.address, peer.id, "ping", b""))[0]
        await rpc.close()
        await other.close()

    network.run(program())
    assert complaints == []


def test_a_handler_runs_once_however_often_its_request_comes():
    network = Network(seed=6)
    overlay = TestOverlay(clock=network.clock)
    lines = []

    async def program():
        peer, rpc = await hostile_member(overlay, HOST, line=lambda sender, line: lines.append(line) or True)
        me, other = await hostile_member(overlay, HOST)
        await other.request(peer.address, peer.id, "ping", b"")
        lost = iter([True, True, False])
        network.cut = lambda source, target: source == peer.address and target == me.address and next(lost, False)
        assert await other.request(peer.address, peer.id, "line", b"once") == (True, True)
        assert rpc.counters["answered again"] == 2
        await rpc.close()
        await other.close()

    network.run(program())
    assert lines == [b"once"]


def test_a28_stock_makes_a_remote_call_of_every_misspelt_name():
    assert hasattr(RPCProtocol(), "conection_lost")


def test_a28_ours_raises_as_any_object_does():
    network = Network()
    overlay = TestOverlay(clock=network.clock)

    async def program():
        _, rpc = await hostile_member(overlay, HOST)
        ring = overlay.ring()
        await ring.open(HOST)
        for protocol in (rpc, ring._server.rpc):
            assert isinstance(protocol, HardRpc)
            assert not hasattr(protocol, "conection_lost")
            with pytest.raises(AttributeError):
                protocol.find_value((HOST, 1), b"", b"")
        await ring.close()
        await rpc.close()

    network.run(program())
