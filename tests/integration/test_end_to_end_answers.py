"""What a phone is told, by real adapters on a real ring of three nodes: one promise of the README a test."""

from __future__ import annotations

import itertools
import signal
import time
from collections import defaultdict
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pytest
import pytest_asyncio

from tests.support.cast import HOST, Cast, is_event
from tests.support.programs import Program, command
from tests.support.scene import scene
from tests.support.sip_client import SipClient, status_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.asyncio(loop_scope="module")

FREE_SINCE_S = 3.0
"""A caller whose callee's adapter is away is told within this time."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ring() -> AsyncIterator[Cast]:
    async with scene("alice", "bob") as cast:
        yield cast


@pytest_asyncio.fixture(loop_scope="module")
async def phone(ring: Cast) -> AsyncIterator[SipClient]:
    """Alice's phone, registered with her adapter."""
    client = await SipClient().open(HOST)
    assert status_of(await client.register("alice", ring.sip["alice"])) == 200
    yield client
    client.close()


def invite(phone: SipClient, ring: Cast, callee: str, *, user: str = "alice") -> str:
    host, port = ring.sip["alice"]
    return phone.request("INVITE", f"sip:{callee}@{host}:{port}", user)


async def test_known_user_is_redirected_to_his_phone(ring: Cast, phone: SipClient):
    message = invite(phone, ring, "bob")
    phone.send(message, ring.sip["alice"])
    answer = await phone.final()
    phone.send(phone.ack(message, answer), ring.sip["alice"])
    assert status_of(answer) == 302
    host, port = ring.plain_phones[1].address
    assert f"Contact: <sip:bob@{host}:{port}" in answer
    assert [status_of(response) for response in phone.provisional] == [100]


async def test_same_invite_twice_is_one_lookup(ring: Cast, phone: SipClient):
    adapter = ring.adapters["alice"]
    since = len(adapter.events)
    message = invite(phone, ring, "bob")
    for _ in range(3):
        phone.send(message, ring.sip["alice"])
    answer = await phone.final()
    phone.send(message, ring.sip["alice"])
    phone.send(phone.ack(message, answer), ring.sip["alice"])
    other = invite(phone, ring, "nobody-has-this")
    phone.send(other, ring.sip["alice"])
    # the adapter works in order: when the other call has ended, all copies of the first have been dealt with
    await adapter.expect(lambda event: event.get("step", "").startswith("404"), within_s=10, what="404", since=since)
    lookups = [event for event in adapter.events[since:] if event.get("step") == "PIECES"]
    assert len(lookups) == 2


async def test_unknown_user_is_404(ring: Cast, phone: SipClient):
    message = invite(phone, ring, "nobody-has-this")
    phone.send(message, ring.sip["alice"])
    assert status_of(await phone.final()) == 404


async def test_from_that_names_another_user_is_403(ring: Cast, phone: SipClient):
    phone.send(invite(phone, ring, "bob", user="bob"), ring.sip["alice"])
    assert status_of(await phone.final()) == 403


async def test_phone_that_is_not_registered_is_403(ring: Cast):
    stranger = await SipClient().open(HOST)
    stranger.send(invite(stranger, ring, "bob"), ring.sip["alice"])
    assert status_of(await stranger.final()) == 403
    stranger.close()


async def test_own_name_is_refused_in_words(ring: Cast, phone: SipClient):
    phone.send(invite(phone, ring, "alice"), ring.sip["alice"])
    assert (await phone.final()).startswith("SIP/2.0 486 You are calling yourself")


async def test_taken_name_with_another_key_is_refused_in_words(ring: Cast):
    thief = await Program.start(
        "adapter thief",
        [
            *(command("secp2psip"), "adapter", "--user", "bob", "--bootstrap", ring.bootstrap_address, "--json"),
            *("--sip", f"{HOST}:0", "--ring", f"{HOST}:0", "--state", str(ring.folder / "thief"), "--trace"),
        ],
        folder=ring.folder,
    )
    try:
        host, port = str((await thief.expect(is_event("ready"), within_s=20, what="ready"))["sip"]).rsplit(":", 1)
        phone = await SipClient().open(HOST)
        answer = await phone.register("bob", (host, int(port)))
        phone.close()
    finally:
        await thief.stop()
    assert status_of(answer) == 403
    assert "taken" in answer.splitlines()[0] or "belongs" in answer.splitlines()[0], answer


async def test_ring_shows_who_holds_what_and_draws_it(ring: Cast, tmp_path: Path):
    picture = tmp_path / "ring.svg"
    seen = await ring.ask("alice", "ring", "--name", "bob", "--svg", str(picture))
    rows = {row["node"]: row for row in seen["nodes"]}
    assert len(rows) == 3
    [me] = [row for row in rows.values() if row["self"]]
    others = [row for row in rows.values() if row is not me]
    assert me["pieces"] > 0
    assert all(row["pieces"] is None and row["rtt_ms"] > 0 and row["since"] <= time.time() for row in others)
    # bob's pieces lie where his own adapter put them, as the ring tells alice and as he tells himself
    told = {int(index) for row in rows.values() for index in row["holds"].get("bob", ())}
    assert told == {piece["index"] for piece in seen["lookup"]["pieces"] if piece["ok"]}
    assert seen["svg"] == str(picture)
    drawn = ET.parse(picture)
    titles = [node.text for node in drawn.iter("{http://www.w3.org/2000/svg}title")]
    assert all(any(node in title for title in titles) for node in rows)


async def test_lookup_tells_how_many_nodes_an_attacker_needs(ring: Cast):
    found = await ring.ask("alice", "lookup", "bob")
    held: dict[str, set[int]] = defaultdict(set)
    for piece in found["pieces"]:
        held[piece["node"]].add(piece["index"])
    # counted again here, by trying every set of nodes
    fewest = next(
        size
        for size in range(1, len(held) + 1)
        if any(
            len(set().union(*(held[n] for n in nodes))) >= found["k"] for nodes in itertools.combinations(held, size)
        )
    )
    assert (found["nodes"], found["attackers_needed"]) == (3, fewest)
    assert found["basis"] == "signatures"  # three nodes cannot bear what five have to


async def test_callee_whose_adapter_is_frozen_is_480_and_cancel_before_that_is_487(ring: Cast, phone: SipClient):
    adapter = ring.adapters["bob"]
    adapter.process.send_signal(signal.SIGSTOP)
    try:
        message = invite(phone, ring, "bob")
        phone.send(message, ring.sip["alice"])
        phone.send(phone.cancel(message), ring.sip["alice"])
        answers = {status_of(await phone.final()), status_of(await phone.final())}
        assert answers == {200, 487}
        second = invite(phone, ring, "bob")
        began = time.monotonic()
        phone.send(second, ring.sip["alice"])
        while status_of(answer := await phone.final()) == 487:
            phone.send(phone.ack(message, answer), ring.sip["alice"])
        assert status_of(answer) == 480
        assert time.monotonic() - began < FREE_SINCE_S
    finally:
        adapter.process.send_signal(signal.SIGCONT)


async def test_callee_without_a_phone_is_480(ring: Cast, phone: SipClient):
    await ring.unregister("bob")
    phone.send(invite(phone, ring, "bob"), ring.sip["alice"])
    answer = await phone.final()
    await ring.register("bob")
    assert status_of(answer) == 480
