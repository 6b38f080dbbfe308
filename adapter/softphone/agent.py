"""The softphone's child process: `python -m adapter.softphone.agent --fd N`.

I/O: JSON lines over the socket of file descriptor N (commands in, events out), and PJSIP's own sockets. PJSIP aborts
its process on several events that the network can bring about, so it lives here alone. The end of the channel is the
end of everything: calls are hung up, the registration is withdrawn, the process exits, whatever became of the parent.
"""

import argparse
import asyncio
import contextlib
import os
import resource
import signal
import socket
import sys
import time
from typing import Final

from adapter.softphone import commands, events
from adapter.softphone.message import MAX_LINE_BYTES
from adapter.softphone.protocol import decode_command, encode_line
from adapter.softphone.switchboard import Switchboard
from overlay.errors import RemoteError

BUSY_POLL_S: Final = 0.005
"""Between two looks at the sockets while something goes on."""
IDLE_POLL_S: Final = 0.02
"""The same once nothing has gone on for QUIET_S: a fifth of the processor time, and a first answer 10 ms later."""
QUIET_S: Final = 1.0
CLOSE_S: Final = 1.0
"""How long hanging up and unregistering may take at the end."""
MAX_UNREAD_BYTES: Final = 1_000_000
"""Events that the parent has not read: beyond it the parent is as good as dead."""


class Agent:
    """The loop of the child: reads commands, polls PJSIP, and ends cleanly."""

    def __init__(self, channel: socket.socket) -> None:
        """Take over the connected socket."""
        self._channel = channel
        self._writer: asyncio.StreamWriter | None = None
        self._switchboard = Switchboard(self._emit)
        self._stopping = asyncio.Event()
        self._active_at = 0.0

    async def run(self) -> None:
        """Serve until the channel ends, Close comes, or SIGTERM."""
        reader, self._writer = await asyncio.open_connection(sock=self._channel, limit=MAX_LINE_BYTES)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stopping.set)
        reading = asyncio.create_task(self._read(reader))
        try:
            await self._poll()
            self._switchboard.begin_close()
            deadline = time.monotonic() + CLOSE_S
            while not self._switchboard.is_settled and time.monotonic() < deadline:
                self._work()
                await asyncio.sleep(BUSY_POLL_S)
        finally:
            self._switchboard.end_close()
            reading.cancel()
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
        with contextlib.suppress(asyncio.CancelledError):
            await reading  # a bug in a command ends the process like any other: traceback and exit code 1

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                command = decode_command(line)
                if isinstance(command, commands.Close):
                    return
                self._active_at = time.monotonic()
                self._switchboard.handle(command)
        except (OSError, ValueError, RemoteError) as flaw:  # ValueError: a line over the limit
            print(f"the channel is broken: {flaw}", file=sys.stderr)  # noqa: T201  the parent keeps the tail of stderr
        finally:
            self._stopping.set()

    async def _poll(self) -> None:
        while not self._stopping.is_set():
            quiet = not self._work() and time.monotonic() - self._active_at > QUIET_S
            await asyncio.sleep(IDLE_POLL_S if quiet else BUSY_POLL_S)

    def _work(self) -> bool:
        """Give PJSIP its turn; tell whether anything goes on."""
        worked = self._switchboard.poll()
        now = time.monotonic()
        self._switchboard.tick(now)
        if worked or self._switchboard.is_busy:
            self._active_at = now
        return worked

    def _emit(self, event: events.Event) -> None:
        if self._writer is None or self._writer.is_closing():
            return
        self._writer.write(encode_line(event))
        if self._writer.transport.get_write_buffer_size() > MAX_UNREAD_BYTES:
            self._stopping.set()


def main() -> None:
    """Run the child on the socket that the parent passed."""
    parser = argparse.ArgumentParser(prog="adapter.softphone.agent", description="the softphone's child process")
    parser.add_argument("--fd", type=int, required=True, help="the connected socket to the parent")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # an abort shall not write calls and keys to disk
    channel = socket.socket(fileno=parser.parse_args().fd)
    channel.setblocking(False)  # noqa: FBT003  the socket module takes no keyword
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)  # PJSIP prints its first lines to stdout whatever its log level
    os.close(quiet)
    asyncio.run(Agent(channel).run())
    os._exit(0)  # PJSIP is destroyed; what SWIG would still collect at interpreter exit has aborted processes before


if __name__ == "__main__":
    main()
