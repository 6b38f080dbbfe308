"""A new user at a terminal: two questions, asked once, and none where nobody can answer."""

from __future__ import annotations

import asyncio
import os
import pty
from typing import TYPE_CHECKING

import pytest

from tests.support.cast import Cast
from tests.support.programs import command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

SHOWN_WITHIN_S = 20.0


@pytest.fixture
async def cast(tmp_path: Path) -> AsyncIterator[Cast]:
    async with Cast(folder=tmp_path) as made:
        await made.start_bootstrap(k=3, n=7)
        yield made


class Person:
    """Somebody at a terminal with one command."""

    def __init__(self, process: asyncio.subprocess.Process, terminal: int) -> None:
        self.process, self._terminal = process, terminal
        self.seen = ""
        self._news = asyncio.Event()
        asyncio.get_running_loop().add_reader(terminal, self._read)

    @classmethod
    async def start(cls, *words: str, home: Path, user: str) -> Person:
        leader, follower = pty.openpty()
        keep = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "SECP2PSIP_"))}
        try:
            process = await asyncio.create_subprocess_exec(
                *("setsid", "--ctty", command("secp2psip"), *words),
                stdin=follower,
                stdout=follower,
                stderr=follower,
                env=keep | {"HOME": str(home), "USER": user, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "200"},
            )
        finally:
            os.close(follower)
        return cls(process, leader)

    async def sees(self, text: str) -> None:
        async with asyncio.timeout(SHOWN_WITHIN_S):
            while text not in self.seen:
                self._news.clear()
                await self._news.wait()

    def types(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    async def leaves(self) -> int:
        if self.process.returncode is None:
            self.process.terminate()
        return await self.process.wait()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._terminal)
        os.close(self._terminal)

    def _read(self) -> None:
        try:
            self.seen += os.read(self._terminal, 65_536).decode(errors="replace")
        except OSError:  # the program went away
            asyncio.get_running_loop().remove_reader(self._terminal)
        self._news.set()


async def test_a_new_user_is_asked_for_name_and_server_and_never_again(cast: Cast, tmp_path: Path):
    words = ("listen", "--overlay", "nobody-here", "--auto-answer", "--mic", "none", "--speaker", "none")
    person = await Person.start(*words, home=tmp_path, user="dora")
    try:
        await person.sees("your name on this network [dora]: ")
        person.types("Emil Brown\n")
        await person.sees("'Emil Brown' is not a user's name")
        person.types("Emil\n")
        await person.sees("address of the bootstrap server, HOST:PORT: ")
        person.types(f"http://{cast.bootstrap_address}/\n")
        await person.sees("is no address")
        person.types(f"{cast.bootstrap_address}\n")
        await person.sees("emil can be called")
        await person.leaves()
    finally:
        await person.leaves()
        person.close()
    again = await Person.start(*words, home=tmp_path, user="dora")
    try:
        await again.sees("emil can be called")
        assert "your name" not in again.seen
        assert "address of the bootstrap server" not in again.seen
    finally:
        await again.leaves()
        again.close()


async def test_enter_takes_the_login_name_and_no_server_ends_with_the_hint(tmp_path: Path):
    person = await Person.start("call", "bob", "--overlay", "nobody-here", home=tmp_path, user="dora")
    try:
        await person.sees("your name on this network [dora]: ")
        person.types("\n")
        await person.sees("address of the bootstrap server")
        person.types("\n")
        assert await person.process.wait() == 4
        await person.sees("no bootstrap server of overlay nobody-here announces itself")
        await person.sees("hint: ")  # which one depends on who else announces himself here
    finally:
        await person.leaves()
        person.close()


async def test_who_has_no_name_to_give_is_asked_three_times(tmp_path: Path):
    person = await Person.start("adapter", home=tmp_path, user="")
    try:
        await person.sees("your name on this network: ")
        person.types("\n\n\n")
        assert await person.process.wait() == 2
        await person.sees("error: ")
        assert person.seen.count("your name on this network: ") == 3
    finally:
        await person.leaves()
        person.close()


async def test_ctrl_c_ends_a_question(tmp_path: Path):
    person = await Person.start("adapter", home=tmp_path, user="dora")
    try:
        await person.sees("your name on this network")
        person.types("\x03")
        await person.sees("ended by Ctrl-C")
        assert await person.process.wait() == 130
    finally:
        await person.leaves()
        person.close()
    assert not (tmp_path / ".local").exists()
