"""A short run of what `make fuzz-sip` does at length."""

from __future__ import annotations

import pytest

from tests.fuzz.sip import Fuzzer


@pytest.mark.parametrize("seed", [1, 2])
def test_damaged_datagrams_and_streams_leave_a_server_that_serves(seed):
    fuzzer = Fuzzer(seed)
    fuzzer.datagrams(1500)
    fuzzer.prove_served()
    fuzzer.streams(400)
    fuzzer.prove_served()
    assert fuzzer.redirected > 30
    assert fuzzer.framed > 300
