"""Whatever bytes a stranger sends, a decoder takes them or raises RemoteError; `make fuzz-wire` does it at length."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.decoders import every_decoder, feed

DECODERS = every_decoder()


@pytest.mark.parametrize("name", DECODERS)
def test_takes_what_is_true(name):
    decoder = DECODERS[name]
    assert all(feed(decoder, example) for example in decoder.true)


@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_raises_the_declared_error_and_no_other(name, data):
    decoder = DECODERS[name]
    true = data.draw(st.sampled_from(decoder.true))
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(true))] * 2)))
    noise = data.draw(st.binary(max_size=80))
    feed(decoder, data.draw(st.sampled_from([noise, true[:start] + noise + true[end:], true[:start] + true[end:]])))
