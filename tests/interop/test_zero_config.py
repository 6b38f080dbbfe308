"""Three hosts that reach nothing but each other, and no address typed on any of them: the call is up.

Each host is a network namespace with no default route. The programs are the real ones.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time

import pytest

from tests.interop.unconfigured import START_S, UNVERIFIED, UP_WITHIN_S, Hosts, call_up
from tests.support.cast import is_event


@pytest.fixture
async def hosts(tmp_path):
    async with Hosts(tmp_path) as three:
        yield three


async def test_a_call_is_up_with_no_address_typed(hosts, record_testsuite_property):
    fingerprint = await hosts.bootstrap(0)
    took, alice, bob = await call_up(hosts)
    record_testsuite_property("seconds from the last command to the call", round(took, 1))
    assert took < UP_WITHIN_S
    for program in (alice, bob):
        found = await program.expect(is_event("discovered"), within_s=1, what="discovered")
        assert (found["fingerprint"], found["known"]) == (fingerprint, False)
    assert await alice.wait(START_S) == 0
    # the second time nobody is looked for: the ring is known, and so is its key
    again = await hosts.phone(2, ("call", "bob"), "alice", "--duration", "1")
    await again.expect(is_event("established"), within_s=START_S, what="a second call")
    assert not any(event["event"] == "discovered" for event in again.events)


async def test_a_ring_of_one_link_alone_carries_a_call_and_no_scope(hosts):
    """No router and no address given out: the nodes use the addresses that IPv6 has on every link [RFC 4291 §2.5.6]."""
    async with asyncio.timeout(START_S):
        # the kernel asks the link whether somebody has that address already, and tells nobody when it knows
        while not all(hosts.link_local(number) for number in range(3)):  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    server = hosts.link_local(0)
    await hosts.bootstrap(0, "--listen", f"[{server}]:5480", at=server)
    _, alice, bob = await call_up(hosts)
    for program in (alice, bob):
        found = await program.expect(is_event("discovered"), within_s=1, what="discovered")
        assert found["bootstrap"].startswith(f"[{server.partition('%')[0]}%")
    assert await alice.wait(START_S) == 0
    peers = json.loads((hosts.state("alice") / "peers.json").read_text())["peers"]
    assert {host for _, host, _ in peers} == {hosts.link_local(number).partition("%")[0] for number in (0, 1)}


async def test_two_hosts_that_start_at_the_same_moment_both_find_it(hosts):
    """A server answers one question in a second on the network: neither host may miss it [RFC 6762 §6]."""
    await hosts.bootstrap(0)
    bob = await hosts.phone(1, ("listen",), "bob", "--auto-answer")
    alice = await hosts.phone(2, ("adapter",), "alice")
    await bob.expect(is_event("listening"), within_s=START_S, what="listening")
    await alice.expect(is_event("ready"), within_s=START_S, what="ready")


async def test_two_servers_with_one_name_stop_it_and_both_are_shown(hosts):
    one = await hosts.bootstrap(0)
    other = await hosts.bootstrap(1)
    alice = await hosts.phone(2, ("call", "bob"), "alice")
    assert await alice.wait(START_S) == UNVERIFIED
    error = alice.events[-1]
    assert error["event"] == "error"
    assert error["code"] == "unverified"
    assert one in error["error"]
    assert other in error["error"]
    assert "--overlay-key" in error["hint"]
    # the key that a person was told settles it
    carol = await hosts.phone(2, ("ring",), "carol", "--overlay-key", other)
    found = await carol.expect(is_event("discovered"), within_s=START_S, what="discovered")
    assert found["fingerprint"] == other
    assert await carol.wait(START_S) == 0


async def test_two_overlays_are_told_apart_by_name(hosts):
    names = [f"{word}-{secrets.token_hex(2)}" for word in ("office", "lab")]
    for number, name in enumerate(names):
        await hosts.bootstrap(number, "--overlay", name)
    alice = await hosts.phone(2, ("ring",), "alice")
    assert await alice.wait(START_S) == 2
    assert all(name in alice.events[-1]["hint"] for name in names)
    again = await hosts.phone(2, ("ring",), "alice", "--overlay", names[1])
    found = await again.expect(is_event("discovered"), within_s=START_S, what="discovered")
    assert found["overlay"] == names[1]
    assert await again.wait(START_S) == 0


async def test_a_silent_network_says_what_to_do(hosts):
    began = time.monotonic()
    alice = await hosts.phone(2, ("call", "bob"), "alice")
    assert await alice.wait(START_S) == 4
    assert time.monotonic() - began < UP_WITHIN_S
    assert alice.events[-1]["code"] == "no_bootstrap"
    assert "start secp2psip-bootstrap" in alice.events[-1]["hint"]
