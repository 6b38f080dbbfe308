"""Programs under test as real processes that speak JSON lines.  I/O: processes, files."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Event = dict[str, Any]

MAX_LINE_BYTES = 1 << 20
"""One JSON line of a program under test: a table of a ring of 64 nodes fits many times over."""

STOP_GRACE_S = 8.0
"""How long a program may take to leave after SIGINT before it is killed."""


class ProgramFailed(Exception):
    """A program ended, or did not say in time what it had to say."""


def command(name: str) -> str:
    """Give the path of a console script of this installation, e.g. `secp2psip`."""
    return str(Path(sys.executable).parent / name)


@dataclass(slots=True, kw_only=True)
class Program:
    """One process of its own session, its JSON lines kept as events."""

    label: str
    """What the test calls it, e.g. `adapter bob`."""

    log: Path
    """File that takes its standard error, and every line that is no JSON."""

    process: asyncio.subprocess.Process
    events: list[Event] = field(default_factory=list)
    """Everything it said, each event with the member `seen`: time.monotonic() of its arrival."""

    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _reader: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, label: str, argv: Sequence[str], *, folder: Path) -> Program:
        """Start argv in a session of its own; its words go to `folder`/<label>.log."""
        log = folder / f"{label.replace(' ', '-')}.log"
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                limit=MAX_LINE_BYTES,
                start_new_session=True,
                env=os.environ | {"PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
            )
        program = cls(label=label, log=log, process=process)
        program._reader = asyncio.create_task(program._read())
        return program

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            try:
                event = json.loads(line)
            except ValueError:
                event = None
            if not isinstance(event, dict):
                with self.log.open("ab") as log:
                    log.write(line)
                continue
            async with self._news:
                self.events.append(event | {"seen": time.monotonic()})
                self._news.notify_all()
        await self.process.wait()
        async with self._news:
            self._news.notify_all()

    async def expect(self, wanted: Callable[[Event], bool], *, within_s: float, what: str, since: int = 0) -> Event:
        """Return the first event from index `since` on that is `wanted`; ProgramFailed when none comes in time."""
        try:
            async with asyncio.timeout(within_s), self._news:
                while True:
                    for event in self.events[since:]:
                        if wanted(event):
                            return event
                    since = len(self.events)
                    if self._reader is None or self._reader.done() or self.process.returncode is not None:
                        raise ProgramFailed(
                            f"{self.label} ended ({self.process.returncode}) before {what}\n{self.tail()}"
                        )
                    await self._news.wait()
        except TimeoutError:
            raise ProgramFailed(f"{self.label} did not reach {what} within {within_s:.0f} s\n{self.tail()}") from None

    def tail(self, lines: int = 12) -> str:
        """Give the last words of it, for a report."""
        said = [json.dumps({k: v for k, v in event.items() if k != "seen"}) for event in self.events[-lines:]]
        with contextlib.suppress(OSError):
            said += self.log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(f"    {line[:400]}" for line in said)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal to the program and everything that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    async def wait(self, within_s: float) -> int:
        """Wait for its end and return the exit code; ProgramFailed when it stays."""
        try:
            async with asyncio.timeout(within_s):
                await self.process.wait()
                if self._reader is not None:
                    await asyncio.wait([self._reader])
        except TimeoutError:
            raise ProgramFailed(f"{self.label} still runs after {within_s:.0f} s\n{self.tail()}") from None
        assert self.process.returncode is not None
        return self.process.returncode

    async def kill(self) -> None:
        """SIGKILL it and everything that it started, and wait for the end."""
        self.signal_group(signal.SIGKILL)
        await self.wait(STOP_GRACE_S)

    async def stop(self) -> None:
        """Ask it to leave (SIGINT); kill it when it does not."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGINT)
            try:
                await self.wait(STOP_GRACE_S)
            except ProgramFailed:
                await self.kill()
        self.signal_group(signal.SIGKILL)
