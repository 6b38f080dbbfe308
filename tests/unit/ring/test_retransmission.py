"""The round-trip estimator and the schedules of repetition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import LocalError
from overlay.ring.retransmission import (
    BRIEF,
    INITIAL_RTO_S,
    MAX_RTO_S,
    MIN_RTO_S,
    PATIENT,
    QUICK,
    Patience,
    RoundTripEstimator,
)


def test_first_sample_sets_mean_and_variance():
    estimator = RoundTripEstimator()
    assert (estimator.srtt_s, estimator.rto_s) == (None, INITIAL_RTO_S)
    estimator.sample(0.05, transmissions=1)
    assert estimator.srtt_s == 0.05
    assert estimator.rto_s == pytest.approx(0.05 + 4 * 0.025)


def test_later_samples_are_smoothed_as_the_rfc_says():
    estimator = RoundTripEstimator()
    estimator.sample(0.08, transmissions=1)
    estimator.sample(0.04, transmissions=1)
    variance = 0.75 * 0.04 + 0.25 * 0.04
    assert estimator.srtt_s == pytest.approx(0.875 * 0.08 + 0.125 * 0.04)
    assert estimator.rto_s == pytest.approx(0.075 + 4 * variance)


def test_an_answer_to_a_repeated_request_measures_nothing():
    estimator = RoundTripEstimator()
    estimator.sample(0.05, transmissions=1)
    estimator.sample(5.0, transmissions=2)
    assert estimator.srtt_s == 0.05


@given(st.lists(st.floats(0, 100), min_size=1, max_size=50))
def test_timeout_stays_within_its_bounds(samples):
    estimator = RoundTripEstimator()
    for sample in samples:
        estimator.sample(sample, transmissions=1)
        assert MIN_RTO_S <= estimator.rto_s <= MAX_RTO_S


@given(st.floats(MIN_RTO_S, MAX_RTO_S), st.sampled_from([QUICK, PATIENT]))
def test_a_silent_node_costs_less_than_a_second(rto, patience):
    schedule = patience.schedule(rto)
    assert list(schedule) == sorted(schedule)
    assert schedule[-1] < 1.0
    assert len(schedule) >= 3


def test_a_suspect_is_pinged_twice_each_time():
    assert BRIEF.schedule(0.1) == pytest.approx((0.1, 0.2))


def test_quick_requests_go_out_five_times_in_three_timeouts():
    assert QUICK.schedule(0.1) == pytest.approx((0.1, 0.15, 0.2, 0.25, 0.3))


def test_nonsense_is_our_own_fault():
    with pytest.raises(LocalError):
        RoundTripEstimator().sample(-1, transmissions=1)
    with pytest.raises(LocalError):
        RoundTripEstimator().sample(1, transmissions=0)
    with pytest.raises(LocalError):
        Patience(gaps=(), limit_s=1)
