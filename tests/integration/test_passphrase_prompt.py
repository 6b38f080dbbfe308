"""`secp2psip keys export` at a real terminal: asked for twice, never echoed, and Ctrl-C leaves no trace."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from adapter.key_export import open_export
from adapter.keystore import load_or_create
from tests.support.programs import command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "correct horse battery staple"
WITHIN_S = 30.0
ON_ITS_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


@dataclass
class Terminal:
    """A program at a terminal of its own."""

    leader: int
    program: subprocess.Popen[bytes]
    seen: bytes = b""
    deadline: float = field(default_factory=lambda: time.monotonic() + WITHIN_S)

    def until(self, text: str) -> None:
        """Read what the program shows until this is there."""
        while text.encode() not in self.seen:
            if not self._read():
                raise AssertionError(f"no {text!r} in {self.seen!r}")

    def type(self, keys: str) -> None:
        os.write(self.leader, keys.encode())

    @property
    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.leader)[3] & termios.ECHO)

    def end(self) -> tuple[int, str]:
        """Return exit code and everything that was on the screen."""
        while self.program.poll() is None and self._read():
            pass
        code = self.program.wait(timeout=max(0.1, self.deadline - time.monotonic()))
        while select.select([self.leader], [], [], 0)[0] and self._read():
            pass
        return code, self.seen.decode()

    def _read(self) -> bool:
        ready, _, _ = select.select([self.leader], [], [], max(0.0, self.deadline - time.monotonic()))
        if not ready:
            return False
        try:
            some = os.read(self.leader, 4096)
        except OSError:  # the program has closed its side
            return False
        self.seen += some
        return bool(some)


@pytest.fixture
def export(tmp_path: Path) -> Iterator[tuple[Terminal, Path]]:
    """Begin to export alice's key."""
    load_or_create(tmp_path / "state", "alice")
    file = tmp_path / "alice.key"
    leader, follower = pty.openpty()
    program = subprocess.Popen(
        [
            *(sys.executable, "-c", ON_ITS_TERMINAL, command("secp2psip")),
            *("keys", "export", "--user", "alice", str(file), "--state", str(tmp_path / "state")),
        ],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
        env={name: value for name, value in os.environ.items() if name != "SECP2PSIP_PASSPHRASE"},
    )
    os.close(follower)  # or the end of the program would not be the end of what it shows
    terminal = Terminal(leader, program)
    try:
        yield terminal, file
    finally:
        program.kill()
        program.wait()
        os.close(leader)


def test_it_is_asked_for_twice_and_never_shown(export):
    terminal, file = export
    terminal.until("passphrase: ")
    assert not terminal.echoes
    terminal.type(SECRET + "\n")
    terminal.until("the same again: ")
    assert not terminal.echoes
    terminal.type(SECRET + "\n")
    code, screen = terminal.end()
    assert code == 0
    assert SECRET not in screen
    assert terminal.echoes
    assert open_export(file.read_bytes(), SECRET).aor == "alice"


def test_two_that_differ_write_nothing(export):
    terminal, file = export
    terminal.until("passphrase: ")
    terminal.type(SECRET + "\n")
    terminal.until("the same again: ")
    terminal.type(SECRET + "r\n")
    code, screen = terminal.end()
    assert code == 2
    assert "the two passphrases differ" in screen
    assert SECRET not in screen
    assert not file.exists()


@pytest.mark.parametrize("asked", [1, 2])
def test_ctrl_c_ends_it_and_gives_the_echo_back(export, asked):
    terminal, file = export
    terminal.until("passphrase: ")
    if asked > 1:
        terminal.type(SECRET + "\n")
        terminal.until("the same again: ")
    terminal.type("\x03")
    code, screen = terminal.end()
    assert code == 130
    assert "Traceback" not in screen
    assert terminal.echoes
    assert not file.exists()


def test_an_end_of_input_is_no_passphrase(export):
    terminal, file = export
    terminal.until("passphrase: ")
    terminal.type("\x04")
    code, screen = terminal.end()
    assert code == 2
    assert "no passphrase was given" in screen
    assert not file.exists()
