"""The ring goes on without the bootstrap: every user who runs can be called, whoever else was killed or restarted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from adapter.state import StateDir
from tests.support.scene import scene
from tests.support.sip_client import status_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.cast import Cast
    from tests.support.sip_client import SipClient

pytestmark = pytest.mark.asyncio(loop_scope="module")

USERS = ("alice", "bob", "carol", "dave", "erin")
AWAY = {404, 408, 480, 504}
"""What a caller may hear of a user who does not run."""
KNOWN_S = 5
"""How soon each has written down the others, and the bootstrap's node, to come back by."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ring() -> AsyncIterator[Cast]:
    """Everybody registered and the bootstrap killed; each test leaves everybody running."""
    async with scene(*USERS) as cast:
        assert cast.bootstrap is not None
        async with asyncio.timeout(KNOWN_S):
            while any(len(StateDir(Path(cast.state(user))).load_peers()) < len(USERS) for user in USERS):  # noqa: ASYNC110 -- other processes write it
                await asyncio.sleep(0.05)
        await cast.bootstrap.kill()
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
    """Let every user call every other, all callers at once, and return what did not end as it should."""

    async def calls(caller: str) -> dict[str, int]:
        return {f"{caller} calls {other}": await call(ring, caller, other) for other in users if other != caller}

    statuses = [pair for told in await asyncio.gather(*map(calls, users)) for pair in told.items()]
    return {pair: status for pair, status in statuses if status != 302}


async def restart(ring: Cast, *users: str) -> None:
    """Start adapters anew, all at once, and let their phones register; nobody answers for the bootstrap."""
    await asyncio.gather(*(ring.start_adapter(user) for user in users))
    for user in users:
        assert status_of(await phones_of(ring)[user].register(user, ring.sip[user])) == 200


async def test_killed_bootstrap(ring: Cast):
    assert await each_calls_each(ring, USERS) == {}


@pytest.mark.parametrize("killed", USERS)
async def test_any_single_node_killed_then_half_of_the_others_restarted(ring: Cast, killed: str):
    place = USERS.index(killed)
    left = USERS[place + 1 :] + USERS[:place]
    half = left[::2]

    await ring.adapters[killed].kill()
    assert await each_calls_each(ring, left) == {}
    assert await call(ring, left[0], killed) in AWAY, "who does not run cannot be called"

    await asyncio.gather(*(ring.adapters[user].kill() for user in half))
    await restart(ring, *half)
    assert await each_calls_each(ring, left) == {}

    await restart(ring, killed)
    found = {user: (await call(ring, user, killed), await call(ring, killed, user)) for user in left}
    assert found == dict.fromkeys(left, (302, 302))
