"""Hosts of one family or the other, and hosts of both, in one overlay: real processes on 127.0.0.1 and ::1."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from overlay.ring.addresses import is_own_address
from overlay.ring.ids import spelt
from tests.support.scene import scene
from tests.support.sip_client import status_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.cast import Cast

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not is_own_address("::1"), reason="this host has no IPv6 loopback address"),
]

FOUR, SIX = "127.0.0.1", "::1"
HOMES = {"alice": (FOUR, SIX), "bob": (FOUR, SIX), "fay": (FOUR,), "sue": (SIX,)}
"""Two users with both families, one with IPv4 alone, one with IPv6 alone. Their phones all speak IPv4."""
KEPT_WITHIN_S = 8.0
"""How soon an adapter has written down whom it knows."""
AWAY = {404, 438, 480, 503}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ring() -> AsyncIterator[Cast]:
    async with scene(host=FOUR, other_host=SIX) as cast:
        for user, rings in HOMES.items():
            await cast.start_adapter(user, rings=rings)
            await cast.register(user)
        yield cast


async def call(ring: Cast, caller: str, callee: str) -> int:
    phone = dict(zip(HOMES, ring.plain_phones, strict=True))[caller]
    message = phone.request("INVITE", f"sip:{callee}@{spelt(ring.sip[caller])}", caller)
    phone.send(message, ring.sip[caller])
    answer = await phone.final()
    phone.send(phone.ack(message, answer), ring.sip[caller])
    return status_of(answer)


async def calls(ring: Cast) -> dict[tuple[str, str], int]:
    return {(one, other): await call(ring, one, other) for one in HOMES for other in HOMES if one != other}


def reach(one: str, other: str) -> bool:
    """Whether two users have a family in common."""
    return bool(set(HOMES[one]).intersection(HOMES[other]))


async def test_whoever_have_a_family_in_common_call_each_other_and_no_others(ring: Cast):
    statuses = await calls(ring)
    assert {pair: status for pair, status in statuses.items() if reach(*pair) and status != 302} == {}
    assert {pair: status for pair, status in statuses.items() if not reach(*pair) and status not in AWAY} == {}


async def test_a_node_of_both_is_one_node_at_two_addresses(ring: Cast):
    status = await ring.ask("alice", "status")
    assert (status["ring"].rpartition(":")[0], status["other_ring"].rpartition(":")[0]) == (FOUR, "[::1]")
    assert status["nodes"] == 5
    nodes = {row["node"]: row for row in (await ring.ask("alice", "ring"))["nodes"]}
    assert len(nodes) == 5
    assert sum(bool(row["other_address"]) for row in nodes.values()) == 3, "the bootstrap server, alice and bob"
    for user, family in (("fay", FOUR), ("sue", "[::1]")):
        rows = (await ring.ask(user, "ring"))["nodes"]
        assert {row["address"].rpartition(":")[0] for row in rows} == {family}
        assert len(rows) == 4


def families_kept(peers_file: Path) -> set[int]:
    """Return the IP versions of those that an adapter would join through another time."""
    if not peers_file.exists():
        return set()
    return {6 if ":" in host else 4 for _, host, _ in json.loads(peers_file.read_text())["peers"]}


async def test_without_the_bootstrap_a_node_of_both_comes_back_to_both(ring: Cast):
    assert ring.bootstrap is not None
    await ring.bootstrap.kill()
    async with asyncio.timeout(KEPT_WITHIN_S):
        while families_kept(ring.folder / "bob" / "peers.json") != {4, 6}:  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.1)
    await ring.adapters["bob"].kill()
    await ring.start_adapter("bob", rings=HOMES["bob"])
    assert status_of(await ring.plain_phones[1].register("bob", ring.sip["bob"])) == 200
    for caller, callee in (("bob", "fay"), ("bob", "sue"), ("fay", "bob"), ("sue", "bob"), ("alice", "bob")):
        assert await call(ring, caller, callee) == 302, f"{caller} calls {callee}"
