"""The order of the paper's steps, read from the traces of real processes merged by the clock that they share."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.support.cast import Cast, is_event
from tests.support.scene import scene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")

SPEECH = Path(str(files("adapter.softphone") / "data" / "bob.wav"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ring() -> AsyncIterator[Cast]:
    async with scene("alice", "bob", registered=False) as cast:
        yield cast


def steps(program: str, events: list[dict[str, Any]], **wanted: object) -> list[tuple[float, str, str]]:
    return [
        (event["time"], program, event["step"])
        for event in events
        if event.get("event") == "step" and all(event.get(key) == value for key, value in wanted.items())
    ]


async def test_registration_runs_in_the_order_of_the_paper(ring: Cast):
    assert ring.bootstrap is not None
    await ring.register("alice")
    await ring.bootstrap.expect(is_event("registered", aor="alice"), within_s=5, what="registered")
    adapter = ring.adapters["alice"]
    await adapter.expect(is_event("step", step="200 OK"), within_s=5, what="200 OK")
    order = sorted(
        steps("adapter", adapter.events, flow="register") + steps("bootstrap", ring.bootstrap.events, aor="alice")
    )
    assert [(program, step) for _, program, step in order] == [
        ("adapter", "REGISTER"),
        ("adapter", "CHALLENGE"),
        ("adapter", "SECP2PSIP REGISTER"),
        ("bootstrap", "SECP2PSIP REGISTER"),
        ("bootstrap", "STORED"),
        ("bootstrap", "SECP2PSIP REGISTERED"),
        ("adapter", "SECP2PSIP REGISTERED"),
        ("adapter", "READ BACK"),
        ("adapter", "JOINED"),
        ("adapter", "200 OK"),
    ]


@pytest.mark.audio
async def test_call_runs_in_the_order_of_the_paper(ring: Cast):
    await ring.register("alice")
    bob = await ring.listen("bob", play=SPEECH, record=ring.folder / "bob-heard.wav")
    alice = await ring.call("bob", user="alice", play=SPEECH, record=ring.folder / "alice-heard.wav", duration_s=1.0)
    assert await alice.wait(30) == 0
    await bob.expect(is_event("ended"), within_s=5, what="ended")
    adapter = ring.adapters["alice"]
    await adapter.expect(is_event("step", step="ACK"), within_s=5, what="ACK")
    order = [step for _, _, step in steps("adapter", adapter.events, flow="call")]
    # a young ring makes the reader ask everybody: that is part of finding the pieces
    assert [step for step in order if step not in {"PIECES ALL", "KEY"}] == [
        "INVITE",
        "100 Trying",
        "PIECES",
        "SECP2PSIP INVITE",
        "SECP2PSIP REDIRECT",
        "302 Moved Temporarily",
        "ACK",
    ]
    # bob's adapter has rebuilt alice's key before it answers
    answer = [step for _, _, step in steps("adapter", ring.adapters["bob"].events, flow="answer")]
    assert [step for step in answer if step != "PIECES ALL"] == [
        "SECP2PSIP INVITE",
        "PIECES",
        "KEY",
        "SECP2PSIP REDIRECT",
    ]
    # the rest is plain SIP between the phones, on the clock that both phones and this test share
    redirected = next(event for event in alice.events if event["event"] == "redirected")
    incoming = next(event for event in bob.events if event["event"] == "incoming")
    established = next(event for event in alice.events if event["event"] == "established")
    assert redirected["at"] <= incoming["at"] <= established["at"]
    assert established["status"] == 200
    assert incoming["request_uri"] == redirected["contact"]
    # and bob's phone knows the call again that his adapter announced
    heard = next(event for event in bob.events if event["event"] == "established")
    assert (heard["verified"], heard["announced"]) == (True, True)
