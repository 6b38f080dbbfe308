"""Token buckets: one per source, one for all."""

import pytest

from adapter.calls.rates import Bucket, RateLimiter
from overlay.errors import LocalError


def limiter(**changes):
    given = {"burst": 2, "per_s": 1.0, "total_burst": 3, "total_per_s": 1.0, "now": 0.0} | changes
    return RateLimiter(**given)


def test_a_bucket_gives_its_burst_and_then_its_rate():
    bucket = Bucket(burst=2, per_s=2.0, now=0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]
    assert [bucket.take(0.5), bucket.take(0.5)] == [True, False]
    assert [bucket.take(100.0) for _ in range(3)] == [True, True, False]


def test_a_clock_that_steps_back_takes_nothing_away():
    bucket = Bucket(burst=2, per_s=1.0, now=10.0)
    assert [bucket.take(5.0), bucket.take(5.0), bucket.take(6.0)] == [True, True, True]


def test_one_source_cannot_use_up_what_the_others_share():
    rates = limiter()
    assert [rates.allows("eve", 0.0) for _ in range(50)].count(True) == 2
    assert rates.allows("alice", 0.0)


def test_all_sources_together_have_a_limit():
    rates = limiter()
    assert [rates.allows(number, 0.0) for number in range(5)] == [True, True, True, False, False]


def test_the_memory_of_sources_is_bounded():
    rates = limiter(capacity=4)
    for number in range(100):
        rates.allows(number, 0.0)
    assert len(rates) == 4


@pytest.mark.parametrize(("burst", "per_s"), [(0, 1.0), (1, 0.0)])
def test_a_rate_of_nothing_is_nobodys_wish(burst, per_s):
    with pytest.raises(LocalError):
        Bucket(burst=burst, per_s=per_s, now=0.0)
