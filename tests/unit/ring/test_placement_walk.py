"""The writers' walk gives every piece a node of its own when there are enough nodes."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import LocalError
from overlay.ring.ids import RING_SIZE, Peer, RingId, clockwise_from, piece_position
from overlay.ring.placement import place

rings = st.sets(st.integers(0, RING_SIZE - 1), min_size=1, max_size=40)


def peers_of(ids):
    return [Peer(id=RingId(ring_id), host="10.0.0.1", port=5000) for ring_id in ids]


def walks(ring, positions, length):
    return {index: clockwise_from(position, ring)[:length] for index, position in positions.items()}


def positions_of(n, aor="bob"):
    return {index: piece_position(aor, index, n) for index in range(1, n + 1)}


@given(rings, st.integers(2, 25))
def test_pieces_lie_as_evenly_as_the_ring_allows(ids, n):
    positions = positions_of(n)
    owners = place(positions, walks(peers_of(ids), positions, n))
    assert set(owners) == set(positions)
    counts = Counter(owners.values())
    assert len(counts) == min(n, len(ids))
    assert max(counts.values()) == -(-n // len(ids)) if len(ids) < n else max(counts.values()) == 1


@given(rings, st.integers(2, 25))
def test_walks_of_length_n_decide_as_the_whole_ring_does(ids, n):
    positions = positions_of(n)
    ring = peers_of(ids)
    assert place(positions, walks(ring, positions, n)) == place(positions, walks(ring, positions, len(ring)))


def test_first_piece_goes_to_its_own_successor():
    ring = peers_of(range(0, RING_SIZE, RING_SIZE // 16))
    positions = positions_of(7)
    assert place(positions, walks(ring, positions, 7))[1] == clockwise_from(positions[1], ring)[0]


def test_taken_successor_is_passed_over_for_the_next_node():
    ring = peers_of([100, 200, 300])
    positions = {1: RingId(10), 2: RingId(20), 3: RingId(30)}
    owners = place(positions, walks(ring, positions, 3))
    assert [owner.id for owner in owners.values()] == [100, 200, 300]


def test_small_ring_fills_up_in_walk_order():
    ring = peers_of([100, 200, 300])
    positions = {1: RingId(110), 2: RingId(120), 3: RingId(130), 4: RingId(140), 5: RingId(150)}
    owners = place(positions, walks(ring, positions, 5))
    assert [owner.id for owner in owners.values()] == [200, 300, 100, 200, 300]


def test_one_node_owns_everything():
    positions = positions_of(7)
    assert set(place(positions, walks(peers_of([5]), positions, 7)).values()) == set(peers_of([5]))


def test_indices_are_walked_in_order_whatever_order_they_come_in():
    ring = peers_of([100, 200])
    positions = {2: RingId(50), 1: RingId(60)}
    owners = place(positions, walks(ring, positions, 2))
    assert (owners[1].id, owners[2].id) == (100, 200)


@pytest.mark.parametrize("successors", [{}, {1: []}])
def test_position_without_successors_is_our_own_mistake(successors):
    with pytest.raises(LocalError):
        place({1: RingId(1)}, successors)
