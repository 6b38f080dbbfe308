"""Whatever bytes a stranger sends, a decoder takes them or raises RemoteError; `make fuzz-wire` does it at length."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import overlay.trust
import overlay.wire
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


READS = re.compile(r"(decode|open|parse|unseal|verify_error|kind_of|from_bytes)(_.*)?")
"""How functions are called that read what a stranger sent."""


def readers():
    """Every public function and class method of overlay.trust and overlay.wire with such a name: its code, by name."""
    found = {}
    for package in (overlay.trust, overlay.wire):
        for info in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{info.name}")
            for owner in (module, *(kind for _, kind in inspect.getmembers(module, inspect.isclass))):
                for name, member in vars(owner).items():
                    function = inspect.unwrap(getattr(member, "__func__", member))
                    if (
                        READS.fullmatch(name)
                        and inspect.isfunction(function)
                        and function.__module__ == module.__name__
                    ):
                        found[f"{module.__name__}: {function.__qualname__}"] = function.__code__
    return found


def test_none_is_missing():
    """Whoever adds a decoder adds it to the fuzzers, or this fails."""
    called = set()
    sys.setprofile(lambda frame, _event, _detail: called.add(frame.f_code))
    try:
        for decoder in DECODERS.values():
            for example in decoder.true:
                feed(decoder, example)
    finally:
        sys.setprofile(None)
    expected = readers()
    assert len(expected) > 15
    assert {name for name, code in expected.items() if code not in called} == set()
