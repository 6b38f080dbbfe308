"""Faults A8 to A14, A25 and A26: what is stored, who says so, and what becomes of it when the ring changes."""

from __future__ import annotations

import asyncio
import pickle

import pytest
from kademlia.network import Server
from kademlia.node import Node
from kademlia.storage import ForgetfulStorage
from kademlia.utils import digest

from overlay.errors import LocalError, RemoteError
from overlay.ring.chord_server import ChordServer
from overlay.ring.ids import RingId, id_to_bytes
from overlay.ring.routing import BUCKET_CONTACTS
from overlay.trust.identity import PrivateBundle, SigningKey
from tests.support.hostile import hostile_member
from tests.support.members import TestOverlay
from tests.support.network import Network

HOST = "10.0.0.1"


async def stock_pair() -> tuple[Server, Server]:
    first, second = Server(node_id=b"\x11" * 20), Server(node_id=b"\x22" * 20)
    await first.listen(4000, HOST)
    await second.listen(4001, HOST)
    await second.bootstrap([(HOST, 4000)])
    return first, second


def stop(*servers: Server) -> None:
    for server in servers:
        server.stop()


def test_a08_stock_lets_anybody_overwrite_a_record():
    async def program():
        first, second = await stock_pair()
        await second.set("bob", "truth")
        for port in (4000, 4001):
            await first.protocol.store((HOST, port), b"\x33" * 20, digest("bob"), "lie")
        found = await first.get("bob")
        stop(first, second)
        return found

    assert Network().run(program()) == "lie"


def test_a08_ours_keeps_nothing_that_the_dealing_key_did_not_sign():
    network = Network(seed=1)
    overlay = TestOverlay(clock=network.clock)
    bob = PrivateBundle.generate()

    async def program():
        async with overlay.running(2, host=HOST) as rings:
            ring = rings[0]
            piece = overlay.pieces(bob, "bob")[0]
            assert await rings[1].store_at(
                ring.me, piece, overlay.record(bob, "bob"), share_list=overlay.share_list(bob, "bob")
            )
            peer, rpc = await hostile_member(overlay, "10.0.0.2")
            other = TestOverlay(private=overlay.private, dealing=SigningKey.generate(), clock=network.clock)
            forged = other.pieces(PrivateBundle.generate(), "bob")[0].encode()
            thief = overlay.record(PrivateBundle.generate(), "bob", sequence=9).encode()
            listed = overlay.share_list(bob, "bob").encode()
            for offer in ((forged, None, listed), (None, thief, None), (forged, thief, None)):
                answered, value = await rpc.request(ring.address, ring.me.id, "store", *offer)
                assert (answered, value[0]) == (True, False)
            for offer in (
                (None, None, None),
                (None, None, listed),
                (7, None, None),
                ("piece", None, None),
                (bytes(500), None, None),
                ([], [], None),
                (forged, None, 7),
                (forged, None, bytes(601)),
            ):
                assert await rpc.request(ring.address, ring.me.id, "store", *offer) == (False, None)
            holding = await rings[1].fetch_at(ring.me, "bob")
            assert (holding.pieces, holding.record.sequence) == ((piece,), 1)
            with pytest.raises(RemoteError):
                ring._server.rpc.rpc_store(peer, b"", b"", b"")
            await rpc.close()

    network.run(program())


def test_a09_stock_reader_writes_a_liars_value_into_an_honest_node():
    async def program():
        first, second = await stock_pair()
        liar = Server(node_id=b"\x21" * 20)
        await liar.listen(4002, HOST)
        await liar.bootstrap([(HOST, 4000)])
        liar.storage[digest("bob")] = "lie"
        await second.get("bob")
        stored = first.storage.get(digest("bob"))
        stop(first, second, liar)
        return stored

    assert Network().run(program()) == "lie"


def test_a10_stock_believes_its_own_copy():
    async def program():
        first, second = await stock_pair()
        await second.set("bob", "truth")
        first.storage[digest("bob")] = "poison"
        found = await first.get("bob")
        stop(first, second)
        return found

    assert Network().run(program()) == "poison"


def test_a11_a12_stock_goes_through_its_whole_storage_for_a_stranger():
    class Counting(ForgetfulStorage):
        def __iter__(self):
            read = list(super().__iter__())
            walks.append(len(read))
            return iter(read)

    walks: list[int] = []

    async def program():
        storage = Counting()
        storage[b"\x01" * 20] = "x"
        server = Server(node_id=b"\x11" * 20, storage=storage)
        await server.listen(4000, HOST)
        for number in range(3):
            server.protocol.rpc_ping((HOST, 5000 + number), bytes([number]) * 20)
        stop(server)

    Network().run(program())
    assert walks == [1, 1, 1]


class Untouchable:
    """A storage that must not be looked at."""

    def __init__(self):
        self.touched = 0

    def __len__(self):
        return 0

    def __iter__(self):
        self.touched += 1
        return iter(())

    def __getattr__(self, name):
        raise AssertionError(name)


def chord_server(overlay: TestOverlay, storage: object) -> ChordServer:
    ring = overlay.ring()
    options = {**ring._server._options, "on_contacts": lambda _peer: None}
    return ChordServer(ring._sessions._handshake.id, storage, **options)


def test_a11_a12_ours_does_not_touch_its_storage_for_a_stranger():
    network = Network()
    overlay = TestOverlay(clock=network.clock, seed=2)
    storage = Untouchable()

    async def program():
        server = chord_server(overlay, storage)
        await server.listen(4000, HOST)
        for number in range(50):
            server.rpc.welcome_if_new(Node(bytes([number + 1]) * 20, HOST, 5000 + number))
        assert len(server.rpc.router) >= BUCKET_CONTACTS
        # whoever finds a full bucket has its oldest contact probed, but not one for each of them
        assert len(server.rpc.tasks) == 1
        await server.rpc.close()

    network.run(program())
    assert storage.touched == 0


def test_a13_stock_says_that_it_stored_what_nobody_has():
    async def program():
        first, second = await stock_pair()
        third = Server(node_id=b"\x44" * 20)
        await third.listen(4002, HOST)
        third.protocol.router.add_contact(Node(b"\x11" * 20, HOST, 4000))
        answered = third.protocol.call_find_node

        async def find_and_die(node, target):
            result = await answered(node, target)
            stop(first, second)
            return result

        third.protocol.call_find_node = find_and_die
        said = await third.set_digest(b"\x12" * 20, "x")
        stop(third)
        return said, first.storage.get(b"\x12" * 20)

    said, stored = Network().run(program())
    assert said is True
    assert stored is None


def test_a13_ours_counts_true_acknowledgements():
    network = Network(seed=2)
    overlay = TestOverlay(clock=network.clock)
    bob = PrivateBundle.generate()

    async def program():
        async with overlay.running(8, host=HOST) as rings:
            pieces, record = overlay.pieces(bob, "bob"), overlay.record(bob, "bob")
            listed = overlay.share_list(bob, "bob")
            owners = await rings[0].put("bob", pieces, record, share_list=listed)
            assert sorted(owners) == list(range(1, 8))
            assert len(set(owners.values())) == 7
            # who does not answer did not store, and neither did who refuses
            gone = next(ring for ring in rings if ring.me == owners[3])
            await gone.close()
            asking = next(ring for ring in rings if ring is not gone)
            assert not await asking.store_at(owners[3], pieces[2], record, share_list=listed)
            wrong = TestOverlay(private=overlay.private, dealing=SigningKey.generate(), clock=network.clock)
            assert await asking.put("bob", wrong.pieces(bob, "bob"), record, share_list=listed) == {}

    network.run(program())


def test_a14_stock_raises_when_everybody_is_dead():
    async def program():
        first, second = await stock_pair()
        first.stop()
        try:
            with pytest.raises(ValueError):
                await second.set("bob", "x")
        finally:
            second.stop()

    Network().run(program())


def test_a14_ours_keeps_what_nobody_else_can_keep():
    network = Network(seed=3)
    overlay = TestOverlay(clock=network.clock)
    bob = PrivateBundle.generate()

    async def program():
        async with overlay.running(3, host=HOST) as rings:
            await rings[0].close()
            await rings[1].close()
            owners = await rings[2].put(
                "bob", overlay.pieces(bob, "bob"), None, share_list=overlay.share_list(bob, "bob")
            )
            assert set(owners.values()) == {rings[2].me}
            assert len(owners) == 7

    network.run(program())


def test_a25_stock_replaces_an_empty_storage():
    storage = Untouchable()
    assert Server(storage=storage).storage is not storage


def test_a25_ours_keeps_it():
    network = Network()
    storage = Untouchable()

    async def program():
        return chord_server(TestOverlay(clock=network.clock), storage).storage

    assert network.run(program()) is storage


class Bomb:
    def __reduce__(self):
        return (exec, ("import builtins; builtins.bomb_went_off = True",))


def test_a26_stock_runs_what_is_in_its_state_file(tmp_path):
    import builtins

    path = tmp_path / "state"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(TypeError):
        asyncio.run(Server.load_state(str(path), 0))
    assert builtins.bomb_went_off
    del builtins.bomb_went_off


def test_a26_ours_has_no_such_file(tmp_path):
    network = Network()

    async def program():
        server = chord_server(TestOverlay(clock=network.clock), None)
        with pytest.raises(LocalError):
            server.save_state(str(tmp_path / "state"))
        with pytest.raises(LocalError):
            await ChordServer.load_state(str(tmp_path / "state"), 0)
        for refused in (server.get("bob"), server.set("bob", "x"), server.set_digest(bytes(20), "x")):
            with pytest.raises(LocalError):
                await refused

    network.run(program())
    assert not list(tmp_path.iterdir())


def test_a_request_in_the_name_of_another_node_is_not_answered():
    network = Network(seed=4)
    overlay = TestOverlay(clock=network.clock)

    async def program():
        async with overlay.running(2, host=HOST) as rings:
            ring, other = rings
            name = id_to_bytes(RingId(7))
            answer = await other._server.rpc.ask(ring.me, "find_node", name, name)
            assert answer == (False, None)
            assert ring.counters()["ring: request in the name of another node"] >= 1

    network.run(program())
