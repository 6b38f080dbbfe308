"""The table's order of contacts follows whoever comes, moves and goes; being asked refreshes no bucket."""

import random

from kademlia.node import Node

from overlay.ring.contacts import node_of, peer_of
from overlay.ring.ids import Peer, RingId, clockwise, id_to_bytes
from overlay.ring.neighbourhood import SIDE, Neighbourhood, around
from overlay.ring.routing import ExactRoutingTable


def peer(rng: random.Random, port: int) -> Peer:
    return Peer(id=RingId(rng.getrandbits(160)), host="10.0.0.1", port=port)


def test_the_nearest_are_those_of_a_search_through_all_whatever_came_and_went():
    rng = random.Random(1)
    table = ExactRoutingTable(Node(rng.randbytes(20)), probe=lambda node: None)
    for step in range(400):
        table.add_contact(node_of(peer(rng, 1024 + step)))
        if step % 3 == 0:
            table.remove_contact(rng.choice(list(table)))
        everybody = [node.long_id for node in table]
        wanted = rng.choice([rng.getrandbits(160), *everybody]) if everybody else 0
        exclude = rng.choice([None, *everybody])
        count = rng.choice([1, 7, 20, 1000])
        found = [node.long_id for node in table.nearest(RingId(wanted), count, exclude=exclude)]
        assert found == sorted((one for one in everybody if one != exclude), key=lambda one: one ^ wanted)[:count]
        silent = set(rng.sample(everybody, len(everybody) // 4))
        spoken = {peer_of(node) for node in table if node.long_id not in silent}
        near = {peer_of(node) for node in table.around(RingId(wanted), 4, without=silent)}
        assert near == set(around(spoken, RingId(wanted), 4))


def test_a_contact_that_moved_is_named_at_its_new_address_and_one_heard_again_is_youngest():
    rng = random.Random(2)
    table = ExactRoutingTable(Node(rng.randbytes(20)), probe=lambda node: None)
    first, second = peer(rng, 4001), peer(rng, 4002)
    for one in (first, second):
        table.add_contact(node_of(one))
    assert table.refresh(first)
    assert [node.port for node in table] == [4002, 4001]
    moved = Peer(id=second.id, host="10.0.0.2", port=5000)
    assert table.nearest(second.id, 1)[0].ip == "10.0.0.1"
    assert not table.refresh(moved)
    table.add_contact(node_of(moved))
    assert table.nearest(second.id, 1)[0].ip == "10.0.0.2"
    assert not table.refresh(peer(rng, 4003))


def test_only_a_look_up_of_our_own_counts_as_a_refresh():
    rng = random.Random(3)
    table = ExactRoutingTable(Node(rng.randbytes(20)), probe=lambda node: None)
    table.add_contact(node_of(peer(rng, 4001)))
    bucket = table.buckets[0]
    bucket.last_updated = 0.0
    table.nearest(RingId(5), 20)
    assert bucket.last_updated == 0.0
    table.find_neighbors(Node(id_to_bytes(RingId(5))))
    assert bucket.last_updated > 0.0


def test_neighbours_are_those_of_a_search_through_all_who_were_met():
    rng = random.Random(4)
    me = RingId(rng.getrandbits(160))
    near, met = Neighbourhood(me), {}
    for step in range(300):
        one = peer(rng, 1024 + step)
        near.meet(one)
        met[one.id] = one
        assert set(near) == set(around(met.values(), me, SIDE))
    nearest = min(met.values(), key=lambda one: clockwise(me, one.id))
    near.forget(nearest.id)
    assert len(near) == 2 * SIDE - 1
    met.pop(nearest.id)
    for one in met.values():
        near.meet(one)
    assert set(near) == set(around(met.values(), me, SIDE))
