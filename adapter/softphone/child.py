"""The softphone's child process seen from outside: started, spoken to, watched to its end.

I/O: a child process, JSON lines over a socketpair with it. The child never outlives us: the end of the socketpair makes
it hang up and exit, and `end` kills it by its process id where it does not.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Final

from adapter.softphone import commands, events
from adapter.softphone.message import MAX_LINE_BYTES
from adapter.softphone.protocol import decode_event, encode_line
from overlay.errors import RemoteError

EXIT_S: Final = 3.0
"""How long the child may take to hang up and exit before it is killed."""
MAX_STDERR_CHARS: Final = 2000
"""The tail of the child's stderr that is kept for the reason of its death."""


class Child:
    """One process of agent.py; `gone` ends with the reason once the process has ended and all it said was taken."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        take: Callable[[events.Event], None],
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._take = take
        self.gone = asyncio.create_task(self._watch())

    @classmethod
    async def spawn(cls, take: Callable[[events.Event], None]) -> "Child":
        """Start the process; `take` gets every event, and may raise asyncio.QueueFull to have the child ended."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-P",  # nothing of the working directory is imported
                    "-m",
                    "adapter.softphone.agent",
                    "--fd",
                    str(theirs.fileno()),
                    pass_fds=(theirs.fileno(),),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.PIPE,
                    start_new_session=True,  # Ctrl-C is for us; we hang up in order
                )
            except BaseException:
                ours.close()
                raise
        reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_LINE_BYTES)
        return cls(process, reader, writer, take)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """The process lives."""
        return self._process.returncode is None

    def send(self, command: commands.Command) -> None:
        """Write a command; one to a child that is going is lost without a word, `gone` tells of it."""
        if not self._writer.is_closing():
            self._writer.write(encode_line(command))

    async def end(self) -> None:
        """Have the child hang up, unregister and exit; kill it where it takes longer than EXIT_S."""
        self.send(commands.Close())
        try:
            await asyncio.wait({self.gone}, timeout=EXIT_S)
        finally:
            self._kill()
            await self.gone

    def _kill(self) -> None:
        """End the process by force, if it lives.

        Not by Process.kill, which looks first whether it lives and thereby takes its exit code away from asyncio.
        """
        if self.is_running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)

    async def _watch(self) -> str:
        """Hand on the child's events until its end, and give the reason of that in words."""
        tail = asyncio.create_task(_tail(self._process.stderr))
        flaw = ""
        try:
            while line := await self._reader.readline():
                self._take(decode_event(line))
        except (ValueError, RemoteError, asyncio.QueueFull) as broken:  # ValueError: a line over the limit
            flaw = f"its channel is broken ({broken!r})"
            self._kill()
        except OSError:
            pass  # it went with a command of ours unread: how it ended says more
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        try:
            code = await asyncio.wait_for(self._process.wait(), EXIT_S)
        except TimeoutError:
            flaw = flaw or "it closed its channel and did not exit"
            self._kill()
            code = await self._process.wait()
        last_words = await tail
        return flaw or cause_of_death(code, last_words)


def cause_of_death(code: int, last_words: str) -> str:
    """Say how a process ended, from its return code (negative: a signal) and the last line of its stderr."""
    said = last_words.strip().splitlines()
    last = f": {said[-1].strip()}" if said else ""
    if code >= 0:
        return f"the phone's process exited with code {code}{last}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"the phone's process was ended by {name}{last}"


async def _tail(stream: asyncio.StreamReader | None) -> str:
    """Read the child's stderr to its end and keep the last of it."""
    kept = ""
    while stream is not None and (some := await stream.read(MAX_STDERR_CHARS)):
        kept = (kept + some.decode(errors="replace"))[-MAX_STDERR_CHARS:]
    return kept
