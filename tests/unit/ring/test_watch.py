"""When a holder has done for a user who is away what it can."""

from __future__ import annotations

import pytest

from overlay.ring.ids import Peer, RingId
from overlay.ring.watch import MAX_GAPS, PLACES_GOOD_S, Watch

PLACES = {index: Peer(id=RingId(index), host="10.0.0.1", port=4000 + index) for index in range(1, 8)}
STRAY = Peer(id=RingId(99), host="10.0.0.1", port=5000)


def test_a_gap_is_old_when_each_holder_has_had_its_turn_and_a_new_one_beside_it_is_not():
    watch, gap = Watch(hearing=0), (3, PLACES[3])
    for _ in range(len(PLACES) + 1):
        watch.see(PLACES, [gap])
        assert not watch.are_old([gap])
    watch.see(PLACES, [gap])
    assert watch.are_old([gap])
    assert watch.are_old([])
    assert not watch.are_old([gap, (4, PLACES[4])])
    # another node at that place is another gap
    assert not watch.are_old([(3, STRAY)])


def test_what_is_remembered_is_bounded_and_what_lasts_is_remembered():
    watch, gap = Watch(hearing=0), (3, PLACES[3])
    for number in range(3 * MAX_GAPS):
        watch.see(PLACES, [gap, (4, Peer(id=RingId(1000 + number), host="10.0.0.1", port=4000))])
    assert len(watch._gaps) == MAX_GAPS
    assert watch.are_old([gap])


@pytest.mark.parametrize("back_s", [1.0, 86_400.0 * 365])
def test_a_clock_that_is_set_back_ends_it(back_s):
    watch = Watch(hearing=0)
    watch.see(PLACES, [])
    watch.settle(1_000.0)
    assert watch.is_settled(1_000.0 + PLACES_GOOD_S - 1)
    assert not watch.is_settled(1_000.0 - back_s)
