"""The door of the bootstrap server: how many may come in at once, and from where.  I/O: tcp.

64 connections in all and 8 from one source; who comes above that is told so and sent away, and above twice that closed
without a word. A dialog that fails in an unforeseen way ends itself and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter as Tally
from typing import TYPE_CHECKING, Final

from bootstrap.dialog import Counter, Dialog
from bootstrap.sources import source_of

MAX_CONNECTIONS: Final = 64
MAX_CONNECTIONS_PER_SOURCE: Final = 8
MAX_REFUSALS_AT_ONCE: Final = 64
CLOSE_GRACE_S: Final = 2.0

if TYPE_CHECKING:
    Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Door:
    """Holds a dialog with each connection that comes in."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._tasks: set[asyncio.Task[None]] = set()
        self._open: Tally[str] = Tally()
        """Dialogs under way by source address."""
        self._refusing = 0

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection; the callback of asyncio.start_server."""
        task = asyncio.get_running_loop().create_task(self._serve((reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give the dialogs two seconds to end, then end them."""
        running: set[asyncio.Task[object]] = {*self._tasks, *self._counter.storing}
        if running:
            _, late = await asyncio.wait(running, timeout=CLOSE_GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _serve(self, streams: Streams) -> None:
        reader, writer = streams
        try:
            peer = writer.get_extra_info("peername")
            # a connection that was reset before it was taken has no other end
            if peer is not None:
                await self._talk(Dialog(self._counter, reader, writer, (peer[0], peer[1])), source_of(peer[0]))
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _talk(self, dialog: Dialog, host: str) -> None:
        if self._open.total() >= MAX_CONNECTIONS or self._open[host] >= MAX_CONNECTIONS_PER_SOURCE:
            await self._turn_away(dialog)
            return
        self._open[host] += 1
        try:
            await dialog.run()
        except Exception as error:  # noqa: BLE001 - one connection must not end the server; it is told and reported
            self._counter.report({"event": "fault", "source": host, "reason": repr(error)})
            await dialog.refuse("internal", "the server failed: its operator can see why")
        finally:
            self._open[host] -= 1
            if not self._open[host]:
                del self._open[host]

    async def _turn_away(self, dialog: Dialog) -> None:
        if self._refusing >= MAX_REFUSALS_AT_ONCE:
            return
        self._refusing += 1
        try:
            await dialog.refuse("busy", "too many connections at once: try again in a moment")
        finally:
            self._refusing -= 1
