"""The walk that makes Chord's successors out of XOR look-ups."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlay.errors import LocalError
from overlay.ring.ids import RING_SIZE, Peer, RingId
from overlay.ring.successors import MAX_LOOKUPS, SuccessorWalk

K = 20


def ring_of(count: int, seed: int) -> list[Peer]:
    rng = random.Random(seed)
    return [Peer(id=RingId(rng.getrandbits(160)), host="10.0.0.1", port=1 + index) for index in range(count)]


def nearest(peers: list[Peer], target: int, me: Peer) -> list[Peer]:
    """What a perfect look-up returns: it never names the node that asks."""
    return sorted((peer for peer in peers if peer != me), key=lambda peer: peer.id ^ target)[:K]


def walk_over(walk: SuccessorWalk, peers: list[Peer], me: Peer) -> int:
    lookups = 0
    while (target := walk.next_lookup()) is not None:
        walk.learn(nearest(peers, target, me), me=me, complete_at=K)
        lookups += 1
    return lookups


def clockwise(peers: list[Peer], start: int) -> list[Peer]:
    return sorted(peers, key=lambda peer: (peer.id - start) % RING_SIZE)


def places(peers: list[Peer], rng: random.Random) -> list[int]:
    """Random ids, ids of nodes, ids just after them and before them, and those beyond the largest."""
    chosen = [peer.id for peer in rng.sample(peers, min(3, len(peers)))]
    largest = max(peer.id for peer in peers)
    return [
        *(rng.getrandbits(160) for _ in range(4)),
        *chosen,
        *((place + 1) % RING_SIZE for place in chosen),
        *((place - 1) % RING_SIZE for place in chosen),
        (largest + 1) % RING_SIZE,
        rng.randrange(largest, RING_SIZE),
        0,
        RING_SIZE - 1,
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 8, 19, 20, 21, 22, 40, 64, 256, 1000])
def test_walk_finds_the_exact_successors(count):
    peers, rng = ring_of(count, count), random.Random(count)
    for place in places(peers, rng):
        for wanted in (1, 7, 20):
            walk = SuccessorWalk(RingId(place), count=wanted)
            walk_over(walk, peers, rng.choice(peers))
            assert walk.found == clockwise(peers, place)[:wanted]


@pytest.mark.parametrize("count", [1, 2, 3, 8, 21, 64, 256])
def test_mirrored_walk_finds_the_exact_predecessors(count):
    peers, rng = ring_of(count, count), random.Random(count)
    for place in places(peers, rng):
        walk = SuccessorWalk(RingId((place - 1) % RING_SIZE), count=3, mirrored=True)
        walk_over(walk, peers, rng.choice(peers))
        assert walk.found == clockwise(peers, place)[::-1][:3]


@pytest.mark.parametrize("count", [2, 20, 21])
def test_walk_knows_a_ring_that_is_smaller_than_a_lookup(count):
    peers = ring_of(count, 5)
    walk = SuccessorWalk(RingId(77), count=1)
    assert walk_over(walk, peers, peers[0]) == 1
    assert (walk.whole_ring is not None) == (count <= K)


def test_walk_round_the_ring_meets_everybody_once():
    peers = ring_of(64, 9)
    walk = SuccessorWalk(RingId(123), count=1000)
    lookups = walk_over(walk, peers, peers[0])
    assert walk.found == clockwise(peers, 123)
    assert lookups < MAX_LOOKUPS


def test_walk_needs_few_lookups():
    peers, rng = ring_of(256, 3), random.Random(3)
    total = sum(walk_over(SuccessorWalk(RingId(rng.getrandbits(160)), count=1), peers, peers[0]) for _ in range(300))
    assert total / 300 < 1.5


@settings(max_examples=150, deadline=None)
@given(
    ids=st.sets(st.integers(0, 255), min_size=1, max_size=60),
    high=st.booleans(),
    start=st.integers(0, 300),
    wanted=st.integers(1, 30),
)
def test_walk_is_exact_for_crowded_ids(ids, high, start, wanted):
    """Ids that share all but their last, or first, eight bits."""
    shift = 152 if high else 0
    peers = [Peer(id=RingId(number << shift), host="10.0.0.1", port=1) for number in ids]
    place = (start << shift) % RING_SIZE
    walk = SuccessorWalk(RingId(place), count=wanted)
    walk_over(walk, peers, peers[0])
    # beyond such a crowd lie 150 empty blocks, more than a walk looks at: what comes after them need not be found
    expected = [peer for peer in clockwise(peers, place)[:wanted] if high or peer.id >= place]
    assert walk.found[: len(expected)] == expected


def test_walk_refuses_what_is_not_on_the_ring():
    with pytest.raises(LocalError):
        SuccessorWalk(RingId(RING_SIZE), count=1)
    with pytest.raises(LocalError):
        SuccessorWalk(RingId(1), count=0)
