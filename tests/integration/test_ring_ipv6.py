"""A whole overlay over IPv6 alone: real processes on ::1, addresses in brackets wherever a person sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from overlay.ring.addresses import is_own_address
from overlay.ring.ids import spelt
from tests.support.scene import scene
from tests.support.sip_client import status_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.cast import Cast

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not is_own_address("::1"), reason="this host has no IPv6 loopback address"),
]

USERS = ("alice", "bob", "carol")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ring() -> AsyncIterator[Cast]:
    async with scene(*USERS, host="::1") as cast:
        yield cast


async def call(ring: Cast, caller: str, callee: str) -> str:
    phone = dict(zip(USERS, ring.plain_phones, strict=True))[caller]
    message = phone.request("INVITE", f"sip:{callee}@{spelt(ring.sip[caller])}", caller)
    phone.send(message, ring.sip[caller])
    answer = await phone.final()
    phone.send(phone.ack(message, answer), ring.sip[caller])
    return answer


async def test_everybody_calls_everybody(ring: Cast):
    phones = dict(zip(USERS, ring.plain_phones, strict=True))
    for caller in USERS:
        for callee in USERS:
            if caller != callee:
                answer = await call(ring, caller, callee)
                assert status_of(answer) == 302
                assert f"<sip:{callee}@{spelt(phones[callee].address)};p2p=" in answer


async def test_commands_show_addresses_in_brackets(ring: Cast):
    status = await ring.ask("alice", "status")
    assert (status["ring"][:6], status["sip"][:6], status["nodes"]) == ("[::1]:", "[::1]:", 4)
    nodes = (await ring.ask("alice", "ring"))["nodes"]
    assert [node["address"][:6] for node in nodes] == ["[::1]:"] * 4
    found = await ring.ask("alice", "lookup", "bob")
    assert (found["contact"][:6], found["basis"]) == ("[::1]:", "signatures")
    assert {piece["address"][:6] for piece in found["pieces"]} == {"[::1]:"}


async def test_it_goes_on_without_the_bootstrap_and_through_a_restart(ring: Cast):
    assert ring.bootstrap is not None
    await ring.bootstrap.kill()
    await ring.adapters["carol"].kill()
    await ring.start_adapter("carol")
    assert status_of(await ring.plain_phones[2].register("carol", ring.sip["carol"])) == 200
    assert status_of(await call(ring, "carol", "alice")) == 302
    assert status_of(await call(ring, "bob", "carol")) == 302
