"""Laws of the circle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import LocalError, RemoteError
from overlay.ring.ids import (
    RING_SIZE,
    Peer,
    RingId,
    between,
    clockwise,
    clockwise_from,
    id_from_bytes,
    id_to_bytes,
    piece_position,
    position_of,
    shift,
)

points = st.integers(0, RING_SIZE - 1).map(RingId)


@given(points)
def test_id_bytes_round_trip(point):
    assert id_from_bytes(id_to_bytes(point)) == point


@given(points, points)
def test_clockwise_and_back_is_the_whole_circle(a, b):
    assert shift(a, clockwise(a, b)) == b
    assert (clockwise(a, b) + clockwise(b, a)) % RING_SIZE == 0


@given(points, points, points)
def test_between_splits_the_circle_in_two(x, low, high):
    if low != high:
        assert between(x, low, high) != between(x, high, low)


@given(points, points)
def test_between_includes_the_end_and_not_the_start(low, high):
    assert between(high, low, high)
    if low != high:
        assert not between(low, low, high)


@given(points, points)
def test_between_of_one_point_is_everything(x, point):
    assert between(x, point, point)


def test_between_across_zero():
    low, high = RingId(RING_SIZE - 5), RingId(5)
    assert between(RingId(RING_SIZE - 1), low, high)
    assert between(RingId(0), low, high)
    assert not between(RingId(6), low, high)


@pytest.mark.parametrize("data", [b"", b"x" * 19, b"x" * 21, "x" * 20, None, bytearray(20)])
def test_id_of_another_length_or_type_is_refused(data):
    with pytest.raises(RemoteError):
        id_from_bytes(data)


@pytest.mark.parametrize("number", [-1, RING_SIZE])
def test_id_out_of_range_is_our_own_mistake(number):
    with pytest.raises(LocalError):
        id_to_bytes(RingId(number))


@given(st.integers(2, 25))
def test_piece_positions_divide_the_circle_equally(n):
    places = sorted(piece_position("bob", index, n) for index in range(1, n + 1))
    gaps = [clockwise(a, b) for a, b in zip(places, places[1:] + places[:1], strict=True)]
    assert len(set(places)) == n
    assert max(gaps) - min(gaps) <= 1


def test_last_piece_lies_at_the_name_itself():
    assert piece_position("bob", 7, 7) == position_of("bob")


def test_name_position_is_pinned():
    assert f"{position_of('bob'):040x}" == "f6d77b510d997d20a3af1f545f366eaa07e7b42c"


@pytest.mark.parametrize("index", [0, 8, -1])
def test_piece_outside_the_n_is_our_own_mistake(index):
    with pytest.raises(LocalError):
        piece_position("bob", index, 7)


@given(points, st.lists(points, unique=True))
def test_clockwise_walk_meets_the_successor_first(start, ids):
    peers = [Peer(id=point, host="127.0.0.1", port=9) for point in ids]
    walk = clockwise_from(start, peers)
    steps = [clockwise(start, peer.id) for peer in walk]
    assert steps == sorted(steps)
    assert set(walk) == set(peers)
