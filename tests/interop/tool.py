"""Foreign programs on the hosts of the LAN: spoken to through a pipe, ended by process id.  I/O: processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

STOP_GRACE_S = 3.0
"""How long a program may take to leave after it was told to."""
POLL_S = 0.1


class InteropFailed(Exception):
    """A phone or a program did not do what the case asks for."""


@dataclass(slots=True, kw_only=True)
class Tool:
    """One process of a session of its own, everything it says in one file."""

    label: str
    log: Path
    process: asyncio.subprocess.Process

    @classmethod
    async def start(
        cls,
        label: str,
        argv: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Tool:
        """Start `argv`; its standard input is a pipe for `say`."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as words:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=words,
                stderr=words,
                start_new_session=True,
                env={**os.environ, **(env or {})},
                cwd=cwd,
            )
        return cls(label=label, log=log, process=process)

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self.process.returncode is None

    def say(self, line: str) -> None:
        """Write one line to its standard input."""
        if self.process.stdin is not None and self.running:
            self.process.stdin.write(line.encode() + b"\n")

    def text(self) -> str:
        """Give everything it said so far."""
        return self.log.read_text(errors="replace")

    async def hear(self, pattern: str, *, within_s: float) -> None:
        """Wait until its words match; InteropFailed when they do not in time."""
        deadline = time.monotonic() + within_s
        while not re.search(pattern, self.text()):
            if time.monotonic() > deadline or not self.running:
                last = " / ".join(self.text().splitlines()[-2:])
                raise InteropFailed(f"{self.label} never said {pattern!r} ({last[:200]})")
            await asyncio.sleep(POLL_S)

    async def wait(self, within_s: float) -> int | None:
        """Wait for its end; None when it stays."""
        try:
            async with asyncio.timeout(within_s):
                return await self.process.wait()
        except TimeoutError:
            return None

    async def stop(self, farewell: str = "", *, how: signal.Signals = signal.SIGTERM) -> None:
        """Say the last word, then signal, then kill; also what the program itself started."""
        with contextlib.suppress(ConnectionError, RuntimeError):
            if farewell:
                self.say(farewell)
                await self.wait(STOP_GRACE_S)
        for number in (how, signal.SIGKILL):
            if not self.running:
                break
            self.signal_group(number)
            await self.wait(STOP_GRACE_S)
        self.signal_group(signal.SIGKILL)

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the whole session."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


async def run(*argv: str) -> str:
    """Run a short command and return its output; InteropFailed when it fails."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output = (await process.communicate())[0].decode(errors="replace")
    if process.returncode:
        raise InteropFailed(f"{' '.join(argv)}: {output.strip()[-300:]}")
    return output
