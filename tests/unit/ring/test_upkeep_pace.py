"""How soon a round of upkeep follows another: at once where that helps, and never again and again where it does not."""

from __future__ import annotations

import pytest

from adapter.pace import HURRY_S, MAX_EAGER, MAX_HURRIED, RETRY_S, Pace

LONGEST_S = 30.0


def after(pace: Pace, *, has_moved: bool = False, is_settled: bool = False, quiet_s: float = LONGEST_S) -> float:
    return pace.after(has_moved=has_moved, is_settled=is_settled, quiet_s=quiet_s, longest_s=LONGEST_S)


def test_what_makes_headway_goes_on_at_once():
    pace = Pace()
    assert [after(pace, has_moved=True) for _ in range(MAX_EAGER)] == [RETRY_S] * MAX_EAGER
    assert after(pace, is_settled=True, quiet_s=17) == 17


def test_what_stands_still_is_tried_ever_more_rarely():
    pace = Pace()
    assert [after(pace) for _ in range(7)] == [2, 4, 8, 16, 30, 30, 30]


@pytest.mark.parametrize("has_moved", [False, True])
def test_what_is_due_anyway_is_not_waited_out_and_brings_no_rounds_without_a_pause(has_moved):
    pace = Pace()
    assert after(pace, has_moved=has_moved, quiet_s=0) == RETRY_S
    for _ in range(MAX_EAGER + 4):
        after(pace, has_moved=has_moved, quiet_s=0)
    assert after(pace, has_moved=has_moved, quiet_s=7) == 7
    assert after(pace, has_moved=has_moved) == LONGEST_S


def test_who_takes_everything_and_has_nothing_is_no_headway_for_ever():
    pace = Pace()
    pauses = [after(pace, has_moved=True) for _ in range(MAX_EAGER + 6)]
    assert pauses == [RETRY_S] * MAX_EAGER + [2, 4, 8, 16, 30, 30]
    # one that is calm for a while gains no more by it than it was calm
    for _ in range(3):
        after(pace, is_settled=True)
    assert [after(pace, has_moved=True) for _ in range(4)][:3] == [RETRY_S] * 3
    assert after(pace, has_moved=True) > RETRY_S


def test_changes_are_answered_at_once_unless_they_never_end():
    pace = Pace()
    assert [pace.hurry(100.0) for _ in range(MAX_HURRIED + 2)] == [0.0] * MAX_HURRIED + [HURRY_S, 2 * HURRY_S]
    # a calm earns it anew
    later = 100.0 + (2 * MAX_HURRIED + 2) * HURRY_S
    assert [pace.hurry(later) for _ in range(MAX_HURRIED + 1)] == [0.0] * MAX_HURRIED + [HURRY_S]
