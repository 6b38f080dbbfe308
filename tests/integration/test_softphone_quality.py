"""A real call whose RTP passes a network that loses some of it: what either phone says of its sound."""

import contextlib
from pathlib import Path

import pytest

import adapter.softphone
from adapter.softphone import events
from adapter.softphone.phone import Softphone
from tests.integration.test_softphone_call import HOST, last, until
from tests.support.lossy_relay import LossyRelay

pytestmark = pytest.mark.audio
ALICE = Path(adapter.softphone.__file__).parent / "data" / "alice.wav"


@pytest.fixture
async def pair(tmp_path):
    async with contextlib.AsyncExitStack() as stack:
        alice, bob = [await stack.enter_async_context(Softphone()) for _ in range(2)]
        # who records listens; of sound that nobody takes, nothing is held back
        await alice.start(host=HOST, user="alice", play=ALICE, record=tmp_path / "alice.wav")
        await bob.start(host=HOST, user="bob", play=ALICE, record=tmp_path / "bob.wav", auto_answer=True)
        yield alice, bob


async def test_a_network_that_loses_sound_is_measured_and_told_at_both_ends(pair):
    alice, bob = pair
    async with LossyRelay(bob.address, to_caller=0.08) as relay:
        await alice.call(f"sip:bob@{relay.name}")
        up = await last(alice, events.Established)
        await last(bob, events.Established)
        told_bob = await until(bob, events.Troubled)  # the other side's reports come every 5 s
        there = await last(bob, events.Quality)
        told_alice = await until(alice, events.Quality)
        await alice.hangup()
        told_alice += await until(alice, events.Ended)
        told_bob += await until(bob, events.Ended)
        lost = relay.dropped["caller"] / (relay.dropped["caller"] + relay.passed["caller"])

    here, other = told_alice[-1], told_bob[-1]
    assert 0.04 < lost < 0.12  # the seed's own luck
    assert here.packets_lost <= relay.dropped["caller"] <= here.packets_lost + 3  # the last ones leave no gap
    assert here.loss_percent == pytest.approx(100 * lost, abs=1.0)
    assert (here.codec, up.codec) == ("G722", "G722")
    assert here.mos < 4.0 < other.mos
    assert here.rating < other.rating - 5
    assert other.packets_lost == relay.dropped["callee"] == 0
    assert there.loss_there_percent == pytest.approx(100 * lost, abs=5.0)
    assert 0.0 < there.rtt_ms < 100.0
    assert there.delay_ms >= 60.0

    troubles = {"alice": told_alice, "bob": told_bob}
    troubles = {
        who: [(event.trouble, event.on) for event in told if isinstance(event, events.Troubled)]
        for who, told in troubles.items()
    }
    assert troubles == {"alice": [("loss", True)], "bob": [("loss there", True)]}


async def test_a_good_network_is_no_trouble(pair):
    alice, bob = pair
    async with LossyRelay(bob.address) as relay:
        await alice.call(f"sip:bob@{relay.name}")
        seen = await until(alice, events.Quality)
        await alice.hangup()
        seen += await until(alice, events.Ended)
    reading, ended = [event for event in seen if isinstance(event, events.Quality | events.Ended)][-2:]
    assert not any(isinstance(event, events.Troubled) for event in seen)
    assert (reading.loss_percent, ended.packets_lost) == (0.0, 0)
    assert reading.mos > 4.2
    assert ended.mos > 4.2
