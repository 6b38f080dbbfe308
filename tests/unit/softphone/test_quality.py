"""What a person is told of a call's sound: once when it begins to be bad, once when that is over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.softphone.quality import CALM_S, DELAY, LATE, LOSS, LOSS_THERE, TROUBLES, Counts, QualityWatch

PER_SECOND = 50


class Call:
    """Fifty packets a second, as long as one likes."""

    def __init__(self):
        self.watch = QualityWatch(0.0)
        self.now = 0.0
        self.counts = Counts()

    def run(self, seconds, *, loss=0.0, late=0.0, loss_there=0.0, rtt_ms=1.0):
        """Give every change, with the second of the call that brought it."""
        told = []
        for _ in range(seconds):
            self.now += 1.0
            lost, missed = PER_SECOND * loss, PER_SECOND * late
            self.counts = Counts(
                received=self.counts.received + round(PER_SECOND - lost),
                lost=self.counts.lost + round(lost),
                late=self.counts.late + round(missed),
                sent=self.counts.sent + PER_SECOND,
                lost_there=self.counts.lost_there + round(PER_SECOND * loss_there),
                rtt_ms=rtt_ms,
                buffer_ms=60.0,
            )
            told += [(self.now, change) for change in self.watch.note(self.counts, self.now)]
        return told


@pytest.mark.parametrize(("what", "trouble"), [("loss", LOSS), ("late", LATE), ("loss_there", LOSS_THERE)])
def test_four_percent_are_told_once_and_their_end_once(what, trouble):
    call = Call()
    ((at, begun),) = call.run(60, **{what: 0.04})
    assert (begun.trouble, begun.on, round(begun.figure, 2)) == (trouble, True, 0.04)
    assert at <= 3.0
    ((_, over),) = call.run(60)
    assert (over.trouble, over.on) == (trouble, False)


def test_a_slow_network_is_told():
    call = Call()
    ((_, begun),) = call.run(20, rtt_ms=600.0)
    assert (begun.trouble, begun.figure) == (DELAY, 400.0)


def test_a_good_call_is_told_nothing():
    assert Call().run(120) == []


def test_a_few_packets_at_the_start_prove_nothing():
    call = Call()
    assert call.run(1, loss=0.5) == []


def test_what_comes_and_goes_is_not_told_each_time():
    call = Call()
    told = [change for _ in range(30) for change in (*call.run(2, loss=0.06), *call.run(2))]
    assert len(told) == 1


def test_it_is_over_only_after_a_while_of_calm():
    call = Call()
    call.run(10, loss=0.1)
    ((at, _),) = call.run(60)
    assert at >= 10 + 9 + CALM_S  # the window has to be nearly clean before the calm begins


def test_a_hold_is_no_loss():
    call = Call()
    call.run(20)
    call.watch.forget()
    call.counts = Counts(received=call.counts.received, lost=call.counts.lost + 500, sent=call.counts.sent)
    assert call.run(20) == []


def test_the_opinion_of_now_forgets_what_was():
    call = Call()
    call.run(30, loss=0.2)
    assert call.watch.recent().mean_opinion("PCMU") < 3
    call.run(30)
    assert call.watch.recent().mean_opinion("PCMU") > 4.2
    assert call.counts.mean_opinion("PCMU") < 4


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60)), max_size=80))
def test_changes_of_a_trouble_take_turns(seconds):
    watch, counts, on = QualityWatch(0.0), Counts(), dict.fromkeys(TROUBLES, False)
    for now, (received, lost, late) in enumerate(seconds):
        counts = Counts(
            received=counts.received + received, lost=counts.lost + lost, late=counts.late + min(late, received)
        )
        for change in watch.note(counts, float(now)):
            assert change.on is not on[change.trouble]
            on[change.trouble] = change.on
