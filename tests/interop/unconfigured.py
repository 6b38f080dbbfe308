"""Hosts on a LAN of their own where nobody types an address: two of the cases, and the hosts of `make zero-config`.

I/O: processes, namespaces. The hosts reach nothing but each other: not even a default route.
"""

from __future__ import annotations

import json
import subprocess
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self

from tests.interop.lan import Lan
from tests.support.cast import is_event
from tests.support.programs import Program, command

if TYPE_CHECKING:
    from pathlib import Path

    from tests.interop.calls import Row, Stage
    from tests.interop.scene import Scene

UP_WITHIN_S = 10.0
"""From the last command to the call being up, at both ends."""
START_S = 20.0
UNVERIFIED = 5
"""Exit code of a command that meets two overlays where it knows none."""


class Hosts:
    """Three hosts, their programs, and the end of both."""

    def __init__(self, folder: Path) -> None:
        self._lan, self._folder, self._stack = Lan(3), folder, AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._stack.enter_context(self._lan)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def start(self, number: int, label: str, *argv: str) -> Program:
        """Start one of the programs on host `number`."""
        host = self._lan.hosts[number]
        program = await Program.start(label, host.argv(command(argv[0]), *argv[1:]), folder=self._folder)
        self._stack.push_async_callback(program.stop)
        return program

    def link_local(self, number: int) -> str:
        """Return the link-local address of a host, with its scope; none while the kernel still looks for a double."""
        shown = subprocess.run(
            self._lan.hosts[number].argv("ip", "-6", "-j", "address", "show", "dev", "eth0", "scope", "link"),
            check=True,
            capture_output=True,
        )
        addresses = [one for link in json.loads(shown.stdout) for one in link.get("addr_info", ())]
        return next((f"{one['local']}%eth0" for one in addresses if not one.get("tentative")), "")

    async def bootstrap(self, number: int, *more: str, at: str = "") -> str:
        """Start a server and wait until it is announced, at its host's address or `at`; return its fingerprint."""
        label = f"bootstrap {number}"
        data = self._folder / label
        argv = ("secp2psip-bootstrap", "--data", str(data), "--enrolments-per-day", "0", "--json", *more)
        program = await self.start(number, label, *argv)
        said = await program.expect(is_event("announced"), within_s=START_S, what="announced")
        assert said["host"] == (at or self._lan.hosts[number].address)
        return str(said["fingerprint"])

    def state(self, user: str) -> Path:
        """Return the state directory of a user's device."""
        return self._folder / f"state {user}"

    async def phone(self, number: int, verb: tuple[str, ...], user: str, *more: str) -> Program:
        """Start `secp2psip VERB --user USER`, its state beside the others'."""
        argv = ("secp2psip", *verb, "--user", user, "--state", str(self.state(user)), "--json", *more)
        return await self.start(number, f"{verb[0]} {user}", *argv)


async def call_up(hosts: Hosts) -> tuple[float, Program, Program]:
    """Let alice call bob, who waits; the seconds from her command to the call being up at both ends, and both."""
    bob = await hosts.phone(1, ("listen",), "bob", "--auto-answer")
    await bob.expect(is_event("listening"), within_s=START_S, what="listening")
    began = time.monotonic()
    alice = await hosts.phone(2, ("call", "bob"), "alice", "--duration", "1")
    ends = [
        await program.expect(is_event("established"), within_s=START_S, what="a call that is up")
        for program in (alice, bob)
    ]
    return max(event["seen"] for event in ends) - began, alice, bob


async def nothing_typed(_scene: Scene, row: Row, stage: Stage) -> None:
    """Three hosts, three commands, no address in any of them."""
    async with Hosts(stage.scene.folder / "cases" / stage.name / "logs") as hosts:
        await hosts.bootstrap(0)
        took_s, alice, _ = await call_up(hosts)
        row.setup_ms = round(took_s * 1000, 1)
        if took_s >= UP_WITHIN_S:
            row.why = f"the call was up after {took_s:.1f} s"
        elif (code := await alice.wait(START_S)) != 0:
            row.why = f"the call ended with exit code {code}"


async def two_keys(_scene: Scene, row: Row, stage: Stage) -> None:
    """Two servers announce one overlay name with different keys: the command stops and asks for the right one."""
    async with Hosts(stage.scene.folder / "cases" / stage.name / "logs") as hosts:
        keys = [await hosts.bootstrap(number) for number in (0, 1)]
        alice = await hosts.phone(2, ("call", "bob"), "alice")
        code = await alice.wait(START_S)
        last = alice.events[-1] if alice.events else {}
        told = "--overlay-key" in str(last.get("hint", "")) and all(key in str(last.get("error", "")) for key in keys)
        if code != UNVERIFIED or not told:
            row.why = f"it did not stop and ask: exit code {code}, {last}"
