"""Faults A1, A1b, A2, A4, A5 and A27 of the library's routing table: shown there, absent here."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kademlia.node import Node
from kademlia.routing import RoutingTable

from overlay.errors import LocalError
from overlay.ring.routing import BUCKET_CONTACTS, ExactRoutingTable

K = 20
ME = bytes([0x5A]) * 20


class QuietProtocol:
    """The library's table pings the oldest contact of a full bucket through its protocol."""

    async def call_ping(self, node):
        return False, None


def node(node_id: bytes, number: int = 1) -> Node:
    return Node(node_id, "10.0.0.1", 1000 + number)


def stock_table() -> RoutingTable:
    table = RoutingTable(QuietProtocol(), K, Node(ME))
    # a full bucket makes a task without a loop to run it in; what is shown here does not depend on it
    table.protocol.call_ping = lambda _: None
    return table


def exact_table() -> tuple[ExactRoutingTable, list[Node]]:
    probed: list[Node] = []
    return ExactRoutingTable(Node(ME), probe=probed.append), probed


def random_ids(count: int, seed: int) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(20) for _ in range(count)]


def nearest(ids: list[bytes], wanted: bytes, count: int) -> list[bytes]:
    return sorted(ids, key=lambda i: int.from_bytes(i, "big") ^ int.from_bytes(wanted, "big"))[:count]


def fill(table: RoutingTable, ids: list[bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kademlia.routing.asyncio.ensure_future", lambda _: None)
    for number, node_id in enumerate(ids):
        table.add_contact(node(node_id, number))


def known_to(table: RoutingTable) -> list[bytes]:
    return [contact.id for bucket in table.buckets for contact in bucket.nodes.values()]


def test_a01_stock_does_not_return_the_nearest(monkeypatch):
    table = stock_table()
    fill(table, random_ids(100, 1), monkeypatch)
    wrong = 0
    for wanted in random_ids(100, 2):
        found = [contact.id for contact in table.find_neighbors(Node(wanted))]
        wrong += found != nearest(known_to(table), wanted, K)
    assert wrong > 50


@pytest.mark.parametrize("count", [1, 19, 30, 100, 1000])
def test_a01_ours_returns_exactly_the_nearest(count):
    table, _ = exact_table()
    for number, node_id in enumerate(random_ids(count, 1)):
        table.add_contact(node(node_id, number))
    for wanted in random_ids(50, 2):
        found = [contact.id for contact in table.find_neighbors(Node(wanted))]
        assert found == nearest(known_to(table), wanted, K)


def test_a01b_stock_stops_although_contacts_remain(monkeypatch):
    short = 0
    for seed in range(20):
        ids, rng = random_ids(60, seed), random.Random(seed)
        table = stock_table()
        fill(table, ids, monkeypatch)
        for node_id in rng.sample(ids, 30):
            table.remove_contact(node(node_id))
        known = min(K, len(known_to(table)))
        short += sum(len(table.find_neighbors(Node(wanted))) < known for wanted in random_ids(20, 5))
    assert short > 0


def test_a01b_ours_returns_all_there_are_after_churn():
    ids, rng = random_ids(60, 3), random.Random(4)
    table, _ = exact_table()
    for number, node_id in enumerate(ids):
        table.add_contact(node(node_id, number))
    for node_id in rng.sample(ids, 30):
        table.remove_contact(node(node_id))
    for wanted in random_ids(200, 5):
        assert len(table.find_neighbors(Node(wanted))) == min(K, len(table))


def test_a02_stock_never_names_the_node_whose_id_is_asked_for(monkeypatch):
    table = stock_table()
    ids = random_ids(5, 6)
    fill(table, ids, monkeypatch)
    assert ids[0] not in [contact.id for contact in table.find_neighbors(Node(ids[0]))]


def test_a02_ours_names_it_first_and_leaves_out_who_asks():
    table, _ = exact_table()
    ids = random_ids(5, 6)
    for node_id in ids:
        table.add_contact(node(node_id))
    assert table.find_neighbors(Node(ids[0]))[0].id == ids[0]
    assert ids[1] not in [contact.id for contact in table.find_neighbors(Node(ids[0]), exclude=node(ids[1]))]


def test_a04_stock_fails_over_two_ids_of_one_number(monkeypatch):
    table = stock_table()
    fill(table, [b"\x07" * 20, b"\0" + b"\x07" * 20], monkeypatch)
    with pytest.raises(TypeError):
        table.find_neighbors(Node(bytes(20)))


def test_a05_stock_splits_without_end_for_ids_of_one_number(monkeypatch):
    table = stock_table()
    fill(table, [bytes(length) + ME for length in range(25)], monkeypatch)
    assert len(table.buckets) > 100


@pytest.mark.parametrize("length", [0, 1, 19, 21, 64])
def test_a04_a05_ours_takes_ids_of_twenty_bytes_only(length):
    table, _ = exact_table()
    with pytest.raises(LocalError):
        table.add_contact(node(b"\x07" * length if length else b"\0"))
    assert (len(table), len(table.buckets)) == (0, 1)


@settings(max_examples=60, deadline=None)
@given(shared_bytes=st.integers(0, 19), seed=st.integers(0, 999))
def test_a05_ours_stays_small_for_ids_that_agree_in_many_bytes(shared_bytes, seed):
    rng = random.Random(seed)
    table, _ = exact_table()
    for number in range(100):
        table.add_contact(node(ME[:shared_bytes] + rng.randbytes(20 - shared_bytes), number))
    assert len(table.buckets) <= 160
    assert sorted(known_to(table)) == sorted(set(known_to(table)))


def test_a27_stock_does_not_find_a_contact_at_the_edge_of_its_bucket(monkeypatch):
    table = stock_table()
    edge = node(b"\x80" + bytes(19))
    fill(table, [edge.id, *random_ids(100, 7)], monkeypatch)
    assert edge.id in known_to(table)
    assert table.is_new_node(edge)


def test_a27_our_buckets_are_aligned_and_their_ends_belong_to_them():
    table, _ = exact_table()
    for number, node_id in enumerate(random_ids(300, 7)):
        table.add_contact(node(node_id, number))
    for bucket in table.buckets:
        low, high = bucket.range
        assert low % (high + 1 - low) == 0
        for end in (low, high):
            assert table.buckets[table.get_bucket_for(Node(end.to_bytes(20, "big")))] is bucket
    assert table.buckets[0].range[0] == 0
    assert table.buckets[-1].range[1] == 2**160 - 1


def test_a_ring_of_twice_k_is_known_completely():
    table, _ = exact_table()
    ids = random_ids(BUCKET_CONTACTS, 8)
    for number, node_id in enumerate(ids):
        table.add_contact(node(node_id, number))
    assert sorted(known_to(table)) == sorted(ids)


def test_the_oldest_contact_of_a_full_bucket_is_probed_and_keeps_its_place():
    table, probed = exact_table()
    far = [bytes([0x80 | number]) + bytes(19) for number in range(BUCKET_CONTACTS)]
    near = [bytes([number]) + bytes(19) for number in range(1, 3)]
    for number, node_id in enumerate(far + near):
        table.add_contact(node(node_id, number))
    table.add_contact(node(b"\xff" * 20))
    assert [contact.id for contact in probed] == [far[0]]
    assert table.get(node(far[0])) is not None
    table.remove_contact(node(far[0]))
    assert table.get(node(b"\xff" * 20)) is not None


def test_a_contact_moves_to_the_address_that_it_proved():
    table, _ = exact_table()
    table.add_contact(Node(b"\x07" * 20, "10.0.0.1", 1))
    table.add_contact(Node(b"\x07" * 20, "10.0.0.2", 2))
    assert [(contact.ip, contact.port) for contact in table] == [("10.0.0.2", 2)]
