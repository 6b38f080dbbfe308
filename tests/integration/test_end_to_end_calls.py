"""`secp2psip call` and `secp2psip listen` with real sound on a real ring: how calls begin, and every way they end."""

from __future__ import annotations

import os
import signal
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from adapter.softphone.audio import compare
from tests.support.cast import Cast, is_event
from tests.support.proof import family_of, owns_udp_port
from tests.support.scene import scene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.programs import Program

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.audio]

SPEECH = {name: Path(str(files("adapter.softphone") / "data" / f"{name}.wav")) for name in ("alice", "bob")}
TALK_S = 5.0
SILENCE_S = 10.0
"""A call without any sound from the other side is ended after this long."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ring() -> AsyncIterator[Cast]:
    async with scene("alice", "bob") as cast:
        await cast.unregister("bob")
        yield cast


@pytest_asyncio.fixture(loop_scope="module")
async def bob(ring: Cast) -> AsyncIterator[Program]:
    phone = await ring.listen("bob", play=SPEECH["bob"], record=ring.folder / "bob-heard.wav")
    yield phone
    await phone.stop()


async def call(ring: Cast, callee: str = "bob", *, duration_s: float = TALK_S) -> Program:
    heard = ring.folder / f"alice-heard-{len(ring.phones)}.wav"
    return await ring.call(callee, user="alice", play=SPEECH["alice"], record=heard, duration_s=duration_s)


async def established(phone: Program, *, since: int = 0) -> dict[str, object]:
    return await phone.expect(is_event("established"), within_s=20, what="established", since=since)


async def test_two_calls_in_a_row_carry_speech_both_ways(ring: Cast, bob: Program):
    for _ in range(2):
        since = len(bob.events)
        alice = await call(ring)
        up = await established(alice)
        assert owns_udp_port(family_of(bob.process.pid), int(str(up["media_remote"]).rsplit(":", 1)[1]))
        assert up["verified"] is True
        assert await alice.wait(30) == 0
        await bob.expect(is_event("ended"), within_s=5, what="ended", since=since)
        heard_by_alice = ring.folder / f"alice-heard-{len(ring.phones) - 1}.wav"
        for said, heard in ((SPEECH["alice"], ring.folder / "bob-heard.wav"), (SPEECH["bob"], heard_by_alice)):
            score = compare(said, heard)
            assert score.ok, score
            assert score.median >= 0.9


async def test_call_to_ones_own_name_is_one_sentence_and_exit_code_2(ring: Cast):
    alice = await call(ring, "alice")
    assert await alice.wait(20) == 2
    errors = [event for event in alice.events if event["event"] == "error"]
    assert len(errors) == 1
    assert "your own name" in errors[0]["error"]


async def test_call_to_an_unknown_name_is_exit_code_3(ring: Cast):
    alice = await call(ring, "nobody-has-this")
    assert await alice.wait(20) == 3


async def test_ctrl_c_while_ringing_ends_the_ringing_there(ring: Cast):
    bob = await ring.listen("bob", play=SPEECH["bob"], record=ring.folder / "unheard.wav", auto_answer=False)
    try:
        alice = await call(ring)
        await alice.expect(is_event("ringing"), within_s=20, what="ringing")
        alice.process.send_signal(signal.SIGINT)
        assert await alice.wait(10) == 130
        ended = await bob.expect(is_event("ended"), within_s=5, what="ended")
        assert ended["established"] is False
    finally:
        await bob.stop()


async def test_ctrl_c_in_a_call_hangs_up_and_is_no_failure(ring: Cast, bob: Program):
    alice = await call(ring, duration_s=60)
    await established(alice)
    alice.process.send_signal(signal.SIGINT)
    assert await alice.wait(10) == 0
    assert (await bob.expect(is_event("ended"), within_s=5, what="ended"))["cause"] == "hung up there"


async def test_killed_phone_hangs_up_through_its_child(ring: Cast, bob: Program):
    alice = await call(ring, duration_s=60)
    await established(alice)
    os.kill(bob.process.pid, signal.SIGKILL)  # the program alone: its child notices by the end of the socketpair
    await alice.wait(8)
    assert next(event for event in alice.events if event["event"] == "ended")["cause"] == "hung up there"


async def test_phone_that_vanishes_whole_is_given_up_with_a_reason(ring: Cast, bob: Program):
    alice = await call(ring, duration_s=60)
    await established(alice)
    family = family_of(bob.process.pid)
    for number in (signal.SIGSTOP, signal.SIGKILL):  # at one blow: whoever sees the others go would hang up
        for pid in family:
            os.kill(pid, number)
    assert await alice.wait(SILENCE_S + 10) == 1
    ended = next(event for event in alice.events if event["event"] == "ended")
    assert ended["cause"] == "no sound"
    assert "10 s" in ended["reason"]


async def test_adapter_restarted_without_a_bootstrap_server_can_be_called_again(ring: Cast):
    assert ring.bootstrap is not None
    known_at = (await ring.ask("bob", "status"))["ring"]
    await ring.bootstrap.kill()
    await ring.adapters["bob"].kill()
    await ring.start_adapter("bob")
    assert (await ring.ask("bob", "status"))["ring"] == known_at  # where the others' peer caches look for it
    bob = await ring.listen("bob", play=SPEECH["bob"], record=ring.folder / "bob-heard.wav")
    alice = await call(ring, duration_s=1)
    await established(alice)
    assert await alice.wait(20) == 0
    await bob.stop()
