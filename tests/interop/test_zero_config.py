"""Three hosts that reach nothing but each other, and no address typed on any of them: the call is up.

Each host is a network namespace with no default route. The programs are the real ones.
"""

from __future__ import annotations

import secrets
import time
from contextlib import AsyncExitStack

import pytest

from tests.interop.lan import Lan
from tests.support.programs import Program, command

UP_WITHIN_S = 10.0
"""From the last command to the call being up, at both ends."""
START_S = 20.0


def is_event(name):
    return lambda event: event["event"] == name


class Hosts:
    """The hosts, their programs, and the end of both."""

    def __init__(self, lan, folder, stack):
        self._lan, self._folder, self._stack = lan, folder, stack

    async def start(self, number, label, *argv):
        host = self._lan.hosts[number]
        program = await Program.start(label, host.argv(command(argv[0]), *argv[1:]), folder=self._folder)
        self._stack.push_async_callback(program.stop)
        return program

    async def bootstrap(self, number, *more):
        """Start a server and wait until it is announced; return its fingerprint."""
        label = f"bootstrap {number}"
        data = self._folder / label
        argv = ("secp2psip-bootstrap", "--data", str(data), "--enrolments-per-day", "0", "--json", *more)
        program = await self.start(number, label, *argv)
        said = await program.expect(is_event("announced"), within_s=START_S, what="announced")
        assert said["host"] == self._lan.hosts[number].address
        return program, said["fingerprint"]

    async def phone(self, number, verb, user, *more):
        state = self._folder / f"state {user}"
        argv = ("secp2psip", *verb, "--user", user, "--state", str(state), "--json", *more)
        return await self.start(number, f"{verb[0]} {user}", *argv)


@pytest.fixture
async def hosts(tmp_path):
    with Lan(3) as lan:
        async with AsyncExitStack() as stack:
            yield Hosts(lan, tmp_path, stack)


async def test_a_call_is_up_with_no_address_typed(hosts, record_testsuite_property):
    _, fingerprint = await hosts.bootstrap(0)
    bob = await hosts.phone(1, ("listen",), "bob", "--auto-answer")
    await bob.expect(is_event("listening"), within_s=START_S, what="listening")
    began = time.monotonic()
    alice = await hosts.phone(2, ("call", "bob"), "alice", "--duration", "1")
    ends = [
        await program.expect(is_event("established"), within_s=START_S, what="a call that is up")
        for program in (alice, bob)
    ]
    took = max(event["seen"] for event in ends) - began
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


async def test_two_hosts_that_start_at_the_same_moment_both_find_it(hosts):
    """A server answers one question in a second on the network: neither host may miss it [RFC 6762 §6]."""
    await hosts.bootstrap(0)
    bob = await hosts.phone(1, ("listen",), "bob", "--auto-answer")
    alice = await hosts.phone(2, ("adapter",), "alice")
    await bob.expect(is_event("listening"), within_s=START_S, what="listening")
    await alice.expect(is_event("ready"), within_s=START_S, what="ready")


async def test_two_servers_with_one_name_stop_it_and_both_are_shown(hosts):
    _, one = await hosts.bootstrap(0)
    _, other = await hosts.bootstrap(1)
    alice = await hosts.phone(2, ("call", "bob"), "alice")
    assert await alice.wait(START_S) == 5
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
