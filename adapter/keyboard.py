"""Single keys from a terminal, without Enter and without an echo.  I/O: the terminal on standard input.

Ctrl-C stays a signal. Where standard input is no terminal there are simply no keys. [termios(3)]
"""

import asyncio
import os
import sys
import termios
import tty
from types import TracebackType
from typing import Any, Final, Self

MAX_WAITING_KEYS: Final = 16


class Keyboard:
    """A context in which keys arrive in a queue; the terminal is as before when it ends."""

    def __init__(self, fd: int | None = None) -> None:
        self._fd = sys.stdin.fileno() if fd is None else fd
        self._before: list[Any] | None = None
        self._keys: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING_KEYS)

    @property
    def is_there(self) -> bool:
        """Whether somebody can press a key."""
        return self._before is not None

    def __enter__(self) -> Self:
        # a job in the background would be stopped for touching the terminal
        if os.isatty(self._fd) and os.tcgetpgrp(self._fd) == os.getpgrp():
            self._before = termios.tcgetattr(self._fd)
            tty.setcbreak(self._fd, termios.TCSADRAIN)
            asyncio.get_running_loop().add_reader(self._fd, self._read)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._before is not None:
            asyncio.get_running_loop().remove_reader(self._fd)
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
            self._before = None

    async def key(self) -> str:
        """Return the next key, lower case; waits for ever where there is no terminal."""
        return await self._keys.get()

    def _read(self) -> None:
        text = os.read(self._fd, MAX_WAITING_KEYS).decode("ascii", errors="ignore").lower()
        if not text:  # the terminal is gone
            asyncio.get_running_loop().remove_reader(self._fd)
        for key in text:
            if not self._keys.full():
                self._keys.put_nowait(key)
