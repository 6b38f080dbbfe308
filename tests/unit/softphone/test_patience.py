"""How long a call may stay without a sign of life, on a clock of numbers."""

from adapter.softphone.gate import MAX_LEGS, WINDOW_S, LegGate
from adapter.softphone.patience import (
    NO_ANSWER_S,
    PROCEEDING_S,
    RINGING_S,
    SILENCE_ENDS_S,
    SILENCE_WARNED_S,
    Patience,
    SoundWatch,
)


def test_an_invite_without_any_answer_is_unreachable_after_four_seconds():
    patience = Patience.invited("192.0.2.7:5062", 100.0)
    assert patience.run_out(100.0 + NO_ANSWER_S - 0.01) is None
    assert patience.run_out(100.0 + NO_ANSWER_S) == ("unreachable", "no answer from 192.0.2.7:5062 for 4 s")


def test_a_hundred_buys_the_time_of_a_transaction():
    patience = Patience.proceeding("192.0.2.7:5062", 100.0)
    assert patience.run_out(100.0 + PROCEEDING_S - 0.01) is None
    cause, why = patience.run_out(100.0 + PROCEEDING_S)
    assert cause == "unreachable"
    assert "nothing more" in why


def test_ringing_buys_the_time_to_come_to_the_phone():
    patience = Patience.ringing(100.0)
    assert patience.run_out(100.0 + RINGING_S - 0.01) is None
    assert patience.run_out(100.0 + RINGING_S)[0] == "not answered"


def test_sound_keeps_a_call_alive():
    watch = SoundWatch(0.0)
    for second in range(1, 60):
        watch.count(second * 50, float(second))
        assert watch.warning(float(second)) is None
        assert watch.run_out(float(second)) is None


def test_silence_warns_once_and_ends_the_call_after_ten_seconds():
    watch = SoundWatch(0.0)
    watch.count(50, 1.0)
    assert [watch.warning(1.0 + second) for second in range(6)] == [None, None, None, SILENCE_WARNED_S, None, None]
    assert watch.run_out(1.0 + SILENCE_ENDS_S - 0.01) is None
    assert watch.run_out(1.0 + SILENCE_ENDS_S) == "no sound from the other side for 10 s"


def test_a_call_without_a_single_packet_ends_too():
    watch = SoundWatch(5.0)
    watch.count(0, 14.0)
    assert watch.run_out(15.0) is not None


def test_a_stream_that_starts_anew_is_a_sign_of_life():
    watch = SoundWatch(0.0)
    watch.count(500, 10.0)
    watch.count(3, 12.0)
    assert watch.run_out(21.0) is None


def test_sound_that_came_back_warns_anew_when_it_goes_again():
    watch = SoundWatch(0.0)
    assert watch.warning(4.0) == 4.0
    watch.count(1, 5.0)
    assert watch.warning(6.0) is None
    assert watch.warning(9.0) == 4.0


def test_the_gate_shuts_at_its_cap_and_opens_when_the_first_leg_is_old():
    gate = LegGate()
    for leg in range(MAX_LEGS):
        assert not gate.is_shut(leg * 0.001)
        gate.note(leg * 0.001)
    assert gate.is_shut(0.1)
    assert not gate.is_shut(WINDOW_S + 0.001)


def test_twenty_legs_a_second_pass_for_ever():
    gate = LegGate()
    for leg in range(200):
        now = leg * 0.0501
        assert not gate.is_shut(now)
        gate.note(now)
