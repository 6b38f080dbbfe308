"""The built-in softphone, `secp2psip call` and `secp2psip listen`, with its real child process.  I/O: processes."""

from __future__ import annotations

import signal

from tests.interop.phones.base import Phone
from tests.interop.tool import InteropFailed, Tool
from tests.support.programs import command

START_S = 20.0


class Own(Phone):
    kind = "own"
    program = ""
    role = "listen"

    async def start(self) -> None:
        self._tools: list[Tool] = []
        if self.role == "listen":
            options = ["--auto-answer"] if self.seat.answers else []
            await self._go("listen", *options)
            await self.tool.hear('"listening"', within_s=START_S)

    async def _go(self, *words: str) -> None:
        seat = self.seat
        await self.run(
            *(command("secp2psip"), *words, "--user", seat.user, "--state", str(seat.state), "--json"),
            *("--play", str(seat.voice.pattern), "--record", str(self.recording)),
            env={"PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
        )

    async def call(self, name: str) -> None:
        await self._go("call", name)

    async def hang_up(self) -> None:
        self.tool.signal_group(signal.SIGINT) if self.role == "listen" else self.tool.process.send_signal(signal.SIGINT)

    async def decline(self) -> None:
        raise InteropFailed("listen declines by a key on a terminal, which is not here")

    async def stop(self) -> None:
        if self._tool is not None and self._tool.running:
            self._tool.process.send_signal(signal.SIGINT)
            await self._tool.wait(6)
            await self._tool.stop()


class OwnCaller(Own):
    """It starts when it calls."""

    role = "call"
