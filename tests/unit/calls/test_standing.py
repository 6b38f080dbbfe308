"""Nodes that proved a caller are not kept out by those that did not."""

from adapter.calls.standing import MAX_STANDING, STANDING_S, Standing
from overlay.ring.ids import RingId

NODE = RingId(7)


def test_a_stranger_has_no_standing():
    assert not Standing().is_good(NODE, 0.0)


def test_a_proof_speaks_for_its_node_for_an_hour():
    standing = Standing()
    standing.proved(NODE, 0.0)
    assert standing.is_good(NODE, STANDING_S - 1)
    assert not standing.is_good(NODE, STANDING_S)


def test_one_doubt_ends_it():
    standing = Standing()
    standing.proved(NODE, 0.0)
    standing.doubted(NODE)
    assert not standing.is_good(NODE, 0.0)


def test_the_oldest_proofs_make_room():
    standing = Standing()
    for number in range(MAX_STANDING + 1):
        standing.proved(RingId(number), float(number))
    assert len(standing) == MAX_STANDING
    assert not standing.is_good(RingId(0), 1.0)
    assert standing.is_good(RingId(MAX_STANDING), float(MAX_STANDING))
