"""A terminal of a given width that a script types into and reads.  I/O: processes (tmux).

Each belongs to a tmux server of its own, on a socket in the scene's folder, so that nobody's sessions are touched.
"""

from __future__ import annotations

import asyncio
import shlex
from typing import TYPE_CHECKING, Self

from tests.support.programs import ProgramFailed, command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

ROWS = 40
LOOK_EVERY_S = 0.1
SHOWN_WITHIN_S = 30.0
PROMPT = "$ "
EMPTY = f"{PROMPT.strip()}\n"


class Terminal:
    """One window with a shell in it."""

    def __init__(self, folder: Path, columns: int) -> None:
        self._folder, self._columns = folder, columns
        self._socket = folder / f"terminal-{columns}"

    @classmethod
    async def open(cls, folder: Path, *, columns: int, env: Mapping[str, str]) -> Self:
        """Open a window of that many columns; its shell knows nothing but `env`."""
        self = cls(folder, columns)
        variables = [f"{name}={value}" for name, value in env.items()]
        path = f"PATH={command('')}:/usr/bin:/bin"
        shell = ["env", "-i", *variables, path, f"PS1={PROMPT}", "TERM=screen-256color", "LANG=C.UTF-8"]
        words = ["new-session", "-d", "-c", str(folder), "-x", str(columns), "-y", str(ROWS)]
        await self._tmux(*words, shlex.join([*shell, f"HOME={folder}", "bash", "--norc", "--noprofile"]))
        await self._tmux("set-option", "-g", "status", "off")
        await self.see(PROMPT.strip())
        return self

    async def type(self, text: str) -> None:
        """Type a line."""
        await self._tmux("send-keys", "-l", text)
        await self._tmux("send-keys", "Enter")

    async def press(self, key: str) -> None:
        """Press one key, as tmux names it."""
        await self._tmux("send-keys", key)

    async def see(self, text: str) -> str:
        """Return what is on the screen once `text` is there. Raises ProgramFailed."""
        return await self._until(lambda screen: text in screen, f"{text!r} does not appear")

    async def done(self) -> str:
        """Return the screen once the shell asks for the next command, without that last line."""
        screen = await self._until(lambda screen: screen.endswith(f"\n{EMPTY}"), "the command does not end")
        return screen.removesuffix(EMPTY)

    async def look(self) -> str:
        """Return what is on the screen."""
        text = await self._tmux("capture-pane", "-p")
        return "\n".join(line.rstrip() for line in text.rstrip().splitlines()) + "\n"

    async def clear(self) -> None:
        """Begin with an empty screen."""
        await self._tmux("send-keys", "C-l")
        await self._tmux("clear-history")
        await self._until(lambda screen: screen == EMPTY, "the screen is not cleared")

    async def close(self) -> None:
        """End the window and what runs in it."""
        await self._tmux("kill-server")

    async def _until(self, holds: Callable[[str], bool], otherwise: str) -> str:
        screen = await self.look()
        try:
            async with asyncio.timeout(SHOWN_WITHIN_S):
                while not holds(screen):
                    await asyncio.sleep(LOOK_EVERY_S)  # tmux tells nobody when a screen changes
                    screen = await self.look()
        except TimeoutError:
            raise ProgramFailed(f"{otherwise} at {self._columns} columns\n{screen}") from None
        return screen

    async def _tmux(self, *words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *("tmux", "-S", str(self._socket), "-f", "/dev/null", *words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        if process.returncode:
            raise ProgramFailed(f"tmux {words[0]}: {err.decode().strip()}")
        return out.decode()
