"""Requests under way: who may answer, when they are repeated, when they end."""

from __future__ import annotations

import pytest

from overlay.errors import LocalError
from overlay.ring.calls import HELD_LIMIT_S, Call, Calls, Verdict
from overlay.ring.ids import Peer, RingId
from overlay.ring.retransmission import INITIAL_RTO_S, QUICK

BOB = Peer(id=RingId(7), host="10.0.0.7", port=700)


def call(number: int = 1, expected: int | None = 7) -> Call:
    return Call(
        message_id=bytes([number]) * 20,
        address=BOB.address,
        expected=None if expected is None else RingId(expected),
        payload=b"request",
        patience=QUICK,
        begun_at=0.0,
    )


def run_out(calls: Calls) -> list[tuple[float, Verdict]]:
    """Fire the timer whenever it is due, and note what happens."""
    happened = []
    while (due := calls.next_deadline()) is not None:
        happened.extend((round(due, 6), verdict) for verdict, _ in calls.handle_timer(due))
    return happened


def test_a_silent_peer_is_asked_five_times():
    calls = Calls()
    calls.start(call(), 0.0, 0.1)
    told = run_out(calls)
    assert [verdict for _, verdict in told] == [Verdict.LATE, *4 * [Verdict.AGAIN], Verdict.OVER]
    assert [at for at, _ in told] == pytest.approx([0.1, 0.1, 0.15, 0.2, 0.25, 0.3])
    assert len(calls) == 0


def test_a_held_request_is_late_once_and_given_up_in_the_end():
    calls = Calls()
    calls.hold(call(), 0.0)
    assert run_out(calls) == [(INITIAL_RTO_S, Verdict.LATE), (HELD_LIMIT_S, Verdict.OVER)]


def test_a_held_request_starts_its_clock_with_the_session():
    calls = Calls()
    calls.hold(call(), 0.0)
    calls.release(BOB, 0.6, 0.1)
    again = [at for at, verdict in run_out(calls) if verdict is Verdict.AGAIN]
    assert again == pytest.approx([0.7, 0.75, 0.8, 0.85])


def test_a_session_with_somebody_else_frees_nothing():
    calls = Calls()
    calls.hold(call(expected=8), 0.0)
    calls.release(BOB, 0.1, 0.1)
    assert (HELD_LIMIT_S, Verdict.OVER) in run_out(calls)


@pytest.mark.parametrize(
    "impostor",
    [
        Peer(id=RingId(8), host="10.0.0.7", port=700),
        Peer(id=RingId(7), host="10.0.0.8", port=700),
        Peer(id=RingId(7), host="10.0.0.7", port=701),
    ],
)
def test_an_answer_counts_only_from_the_id_and_address_that_were_asked(impostor):
    calls = Calls()
    calls.start(call(), 0.0, 0.1)
    assert calls.answer(bytes([1]) * 20, impostor) is None
    assert calls.answer(bytes([2]) * 20, BOB) is None
    assert calls.answer(bytes([1]) * 20, BOB) is not None
    assert calls.answer(bytes([1]) * 20, BOB) is None


def test_whoever_is_at_the_address_may_answer_when_nobody_is_expected():
    calls = Calls()
    calls.start(call(expected=None), 0.0, 0.1)
    assert calls.answer(bytes([1]) * 20, BOB) is not None


def test_an_unreachable_address_fails_what_was_asked_of_it():
    calls = Calls()
    calls.hold(call(1), 0.0)
    calls.hold(call(2, expected=None), 0.0)
    assert [failed.message_id[0] for failed in calls.fail(BOB.address, BOB.id)] == [1]
    assert len(calls) == 1


def test_nothing_stays_of_a_request_that_nobody_waits_for():
    calls = Calls()
    calls.start(call(), 0.0, 0.1)
    calls.discard(bytes([1]) * 20)
    assert (len(calls), calls.next_deadline()) == (0, None)


def test_one_message_id_is_used_once():
    calls = Calls()
    calls.start(call(), 0.0, 0.1)
    with pytest.raises(LocalError):
        calls.hold(call(), 0.0)
