"""What the routing table knows around a place, and what keeps its contacts young: checked against plain sorting."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from overlay.ring.contacts import node_of, peer_of, target
from overlay.ring.ids import RING_SIZE, Peer, RingId, clockwise
from overlay.ring.neighbourhood import SIDE, Neighbourhood, around
from overlay.ring.routing import ExactRoutingTable


def peers(seed: int, count: int) -> list[Peer]:
    rng = random.Random(seed)
    return [Peer(id=RingId(rng.getrandbits(160)), host="10.0.0.1", port=1024 + n) for n in range(count)]


def table(me: Peer, known: list[Peer]) -> ExactRoutingTable:
    made = ExactRoutingTable(target(me.id), probe=lambda node: None)
    for peer in known:
        made.add_contact(node_of(peer))
    return made


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 150), st.integers(1, 9))
def test_the_contacts_around_a_place_are_those_of_plain_sorting(seed, count, wanted):
    me, *known = peers(seed, count + 1)
    made = table(me, known)
    held = [peer_of(node) for node in made]
    rng = random.Random(seed)
    for place in (rng.getrandbits(160), *(peer.id for peer in held[:2]), 0, RING_SIZE - 1):
        ordered = sorted(held, key=lambda peer: clockwise(place, peer.id))
        expected = {*ordered[:wanted], *ordered[-wanted:]}
        assert {peer_of(node) for node in made.around(place, wanted)} == expected


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 150), st.integers(1, 30))
def test_the_nearest_contacts_are_those_of_plain_sorting_whoever_is_left_out(seed, count, wanted):
    me, *known = peers(seed, count + 1)
    made = table(me, known)
    place = random.Random(seed).getrandbits(160)
    left_out = known[0].id
    expected = sorted((node.long_id for node in made if node.long_id != left_out), key=lambda one: one ^ place)
    assert [node.long_id for node in made.nearest(place, wanted, exclude=left_out)] == expected[:wanted]


def test_a_contact_that_speaks_is_the_youngest_and_one_that_moved_is_not_known():
    me, *known = peers(1, 8)
    made = table(me, known)
    assert made.refresh(known[0])
    assert list(made)[-1].long_id == known[0].id
    assert not made.refresh(Peer(id=known[1].id, host="10.0.0.2", port=1))
    assert not made.refresh(me)


@given(st.integers(0, 10**6), st.integers(0, 60), st.integers(0, 10))
def test_the_neighbourhood_is_that_of_plain_sorting_whoever_left(seed, count, gone):
    me, *known = peers(seed, count + 1)
    near = Neighbourhood(me.id)
    for peer in known:
        near.meet(peer)
    for peer in known[:gone]:
        near.forget(peer.id)
    for peer in known[gone:]:
        near.meet(peer)
    assert set(near) == set(around(known[gone:], me.id, SIDE))
