"""The built-in softphone, `secp2psip call` and `secp2psip listen`, with its real child process.  I/O: processes."""

from __future__ import annotations

import shlex
import signal

from tests.interop.phones.base import Phone
from tests.support.programs import command

START_S = 20.0


class Own(Phone):
    kind = "own"
    program = ""
    role = "listen"

    async def start(self) -> None:
        if self.role == "listen":
            options = ["--auto-answer"] if self.seat.answers else []
            await self._go("listen", *options)
            await self.tool.hear('"listening"', within_s=START_S)

    async def _go(self, *words: str) -> None:
        seat = self.seat
        # on another host than its adapter it is a phone with a password, and has no adapter's state beside it
        via = ("--via", seat.domain) if seat.password else ()
        state = seat.folder / "state" if seat.password else seat.state
        argv = (
            *(command("secp2psip"), *words, *via, "--user", seat.user, "--state", str(state), "--json"),
            *(["--srtp"] if seat.srtp else ["--plain"] if seat.plain else []),
            *("--codec", "PCMU", "--codec", "PCMA"),  # what a capture can be heard in
            *("--play", str(seat.voice.pattern), "--record", str(self.recording)),
        )
        if not seat.answers:  # it takes and declines calls by keys on a terminal
            argv = ("script", "-qefc", shlex.join(argv), "/dev/null")
        await self.run(
            *argv,
            env={"PYTHONUNBUFFERED": "1", "NO_COLOR": "1", "SECP2PSIP_PASSWORD": seat.password},
        )

    async def call(self, name: str) -> None:
        await self._go("call", name)

    async def hang_up(self) -> None:
        self.tool.process.send_signal(signal.SIGINT)

    async def decline(self) -> None:
        assert self.tool.process.stdin is not None
        self.tool.process.stdin.write(b"d")

    async def stop(self) -> None:
        if self._tool is not None and self._tool.running:
            self._tool.process.send_signal(signal.SIGINT)
            await self._tool.wait(6)
            await self._tool.stop()


class OwnCaller(Own):
    """It starts when it calls."""

    role = "call"
