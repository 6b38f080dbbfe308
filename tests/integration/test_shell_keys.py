"""`secp2psip listen` in front of a person: a terminal, single keys, and a second caller."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import re
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.cast import Cast, is_event
from tests.support.programs import Program, command
from tests.support.scene import scene

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.audio
SILENT = ("--mic", "none", "--speaker", "none")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A program in a terminal of its own: what it writes, and keys for it."""

    def __init__(self, argv: list[str]) -> None:
        self.pid, self._leader = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], argv, os.environ | {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"})
        self.text = ""
        self._news = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._leader, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._leader, 65_536)
        except OSError:  # the other end is gone
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._leader)
        self.text += ESCAPES.sub("", data.decode(errors="replace"))
        self._news.set()

    async def expect(self, words: str) -> None:
        """Wait until it has written the words, and go on behind them."""
        try:
            async with asyncio.timeout(20):
                while words not in self.text:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"{words!r} never came in {self.text[-2000:]!r}") from None
        self.text = self.text.partition(words)[2]

    def press(self, keys: str) -> None:
        os.write(self._leader, keys.encode())

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGINT)
        os.waitpid(self.pid, 0)
        asyncio.get_running_loop().remove_reader(self._leader)
        os.close(self._leader)


@pytest.fixture
async def ring() -> AsyncIterator[Cast]:
    async with scene("alice", "bob", "carol") as cast:
        await cast.unregister("bob")
        yield cast


@pytest.fixture
async def bob(ring: Cast) -> AsyncIterator[Terminal]:
    terminal = Terminal([command("secp2psip"), "listen", "--state", ring.state("bob"), *SILENT])
    try:
        await terminal.expect("bob can be called")
        yield terminal
    finally:
        terminal.close()


async def call_bob(ring: Cast, user: str) -> Program:
    argv = [command("secp2psip"), "call", "bob", "--state", ring.state(user), *SILENT, "--json"]
    phone = await Program.start(f"call {user}", argv, folder=ring.folder)
    ring.phones.append(phone)
    return phone


async def test_a_second_caller_waits_is_taken_by_a_key_and_the_first_comes_back(ring: Cast, bob: Terminal):
    alice = await call_bob(ring, "alice")
    await bob.expect("alice is calling")
    bob.press("a")
    await bob.expect("talking with alice")
    carol = await call_bob(ring, "carol")
    await bob.expect("carol is calling too")
    await carol.expect(is_event("ringing"), within_s=10, what="ringing")
    bob.press("a")
    await bob.expect("talking with carol")
    await carol.expect(is_event("established"), within_s=10, what="established")
    bob.press("h")
    await bob.expect("call ended")
    assert await carol.wait(10) == 0
    await bob.expect("in call with alice")
    bob.press("h")
    await bob.expect("call ended")
    assert await alice.wait(10) == 0
    await bob.expect("bob can be called")
    rows = (await ring.ask("bob", "calls"))["calls"]
    assert [(row["caller"], row["talk"]["established"]) for row in rows] == [("alice", True), ("carol", True)]


async def test_a_caller_who_is_declined_hears_so_and_exits_with_6(ring: Cast, bob: Terminal):
    alice = await call_bob(ring, "alice")
    await bob.expect("alice is calling")
    bob.press("d")
    await bob.expect("declined the call from alice")
    assert await alice.wait(10) == 6
    assert alice.events[-1]["code"] == "status_603"


async def test_who_calls_somebody_that_is_calling_hears_busy_and_is_told_of(ring: Cast):
    argv = [command("secp2psip"), "call", "alice", "--state", ring.state("bob"), *SILENT, "--json"]
    dialling = await Program.start("call alice", argv, folder=ring.folder)
    ring.phones.append(dialling)
    await dialling.expect(is_event("registered"), within_s=10, what="registered")
    carol = await call_bob(ring, "carol")
    assert await carol.wait(20) == 8
    assert carol.events[-1]["code"] == "status_486"
    missed = await dialling.expect(is_event("missed"), within_s=5, what="missed")
    assert (missed["peer"], missed["verified"]) == ("carol", True)
    await dialling.wait(20)
    kept = [row for row in (await ring.ask("bob", "calls"))["calls"] if row["side"] == "callee"]
    assert [(row["caller"], row["talk"]["cause"]) for row in kept] == [("carol", "busy")]
