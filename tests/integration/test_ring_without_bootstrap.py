"""The ring goes on without the bootstrap: every user who runs can be called, whoever else was killed or restarted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.support.scene import scene
from tests.support.sip_client import status_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.cast import Cast
    from tests.support.sip_client import SipClient

pytestmark = pytest.mark.asyncio(loop_scope="module")

USERS = ("alice", "bob", "carol", "dave", "erin")
KILLED = "carol"
RESTARTED = ("alice", "dave")
"""Half of those who are left."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ring() -> AsyncIterator[Cast]:
    async with scene(*USERS) as cast:
        yield cast


def phones_of(ring: Cast) -> dict[str, SipClient]:
    """Return the phone that each user registered."""
    return dict(zip(USERS, ring.plain_phones, strict=True))


async def call(ring: Cast, caller: str, callee: str) -> int:
    """Let the caller's phone call, and return the final status."""
    phone, (host, port) = phones_of(ring)[caller], ring.sip[caller]
    message = phone.request("INVITE", f"sip:{callee}@{host}:{port}", caller)
    phone.send(message, ring.sip[caller])
    answer = await phone.final()
    phone.send(phone.ack(message, answer), ring.sip[caller])
    return status_of(answer)


async def each_calls_each(ring: Cast, users: tuple[str, ...]) -> dict[str, int]:
    """Let every user call every other, one call after the other, and return what did not end as it should."""
    statuses = {
        f"{one} calls {other}": await call(ring, one, other) for one in users for other in users if one != other
    }
    return {pair: status for pair, status in statuses.items() if status != 302}


async def test_killed_bootstrap_then_a_killed_node_then_half_restarted(ring: Cast):
    assert ring.bootstrap is not None
    await ring.bootstrap.kill()
    assert await each_calls_each(ring, USERS) == {}

    await ring.adapters[KILLED].kill()
    left = tuple(user for user in USERS if user != KILLED)
    assert await each_calls_each(ring, left) == {}
    assert await call(ring, "alice", KILLED) in {408, 480, 404, 504}, "who does not run cannot be called"

    await asyncio.gather(*(ring.adapters[user].kill() for user in RESTARTED))
    for user in RESTARTED:
        await ring.start_adapter(user)
        assert status_of(await phones_of(ring)[user].register(user, ring.sip[user])) == 200
    assert await each_calls_each(ring, left) == {}
