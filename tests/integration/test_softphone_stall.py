"""A real call over a network that stands still for a moment: what was held back stays as delay, up to a bound."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from statistics import median

import numpy as np
import pytest

import adapter.softphone
from adapter.softphone import events
from adapter.softphone.audio import RATE_HZ, read
from adapter.softphone.phone import Softphone
from tests.integration.test_softphone_call import HOST, last
from tests.sound.ear import LATEST_S, hear
from tests.support.lossy_relay import LossyRelay

pytestmark = pytest.mark.audio
ALICE = Path(adapter.softphone.__file__).parent / "data" / "alice.wav"
TALK_S, STALL_S = 2.5, 0.4
EARLIER_S = 0.3
"""The recording may have begun so much later than what was said."""
BOUND_MS = 100 + 20
"""JITTER_MAX_MS less JITTER_MS of useragent.py, and the frame that is just being played."""


async def test_a_network_that_stood_still_adds_less_delay_than_it_stood_still(tmp_path):
    async with contextlib.AsyncExitStack() as stack:
        alice, bob = [await stack.enter_async_context(Softphone()) for _ in range(2)]
        await alice.start(host=HOST, user="alice", play=ALICE, encrypt=False)
        await bob.start(host=HOST, user="bob", record=tmp_path / "bob.wav", auto_answer=True, encrypt=False)
        async with LossyRelay(bob.address) as relay:
            await alice.call(f"sip:bob@{relay.name}")
            await last(alice, events.Established)
            await asyncio.sleep(TALK_S)
            await relay.stand_still(STALL_S)
            await asyncio.sleep(TALK_S)
            await alice.hangup()
            ended = await last(bob, events.Ended)
    heard = hear(*lined_up(read(ALICE), read(tmp_path / "bob.wav")))
    before = [lag for at, lag in heard.lags if at < TALK_S - 0.5]
    after = [lag for at, lag in heard.lags if at > TALK_S + 2 * STALL_S]
    assert len(before) > 3
    assert len(after) > 3
    assert ended.packets_lost == 0
    assert -BOUND_MS < 1000 * (median(after) - median(before)) <= BOUND_MS


def lined_up(said, recorded):
    """What was said and what was heard on one scale of time, the latter by EARLIER_S late."""
    early, tail = np.zeros(int(EARLIER_S * RATE_HZ)), np.zeros(int(LATEST_S * RATE_HZ))
    ear = np.concatenate((early, recorded, tail))
    return np.concatenate((np.resize(said, len(recorded)), early, tail)), ear
