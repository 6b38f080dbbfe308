"""Single keys from a terminal."""

import os
import pty
import subprocess
import sys

import pytest

from adapter.keyboard import Keyboard


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


async def test_without_a_terminal_there_are_no_keys(pipe):
    with Keyboard(pipe[0]) as keyboard:
        os.write(pipe[1], b"a")
        assert not keyboard.is_there


PRESS_KEYS = """
import asyncio, os, sys, termios
from adapter.keyboard import Keyboard

terminal = os.open(sys.argv[1], os.O_RDWR)  # the first terminal that a session's leader opens becomes its own
before = termios.tcgetattr(terminal)

async def keys():
    with Keyboard(terminal) as keyboard:
        flags = termios.tcgetattr(terminal)[3]
        assert keyboard.is_there and flags & termios.ISIG and not flags & (termios.ICANON | termios.ECHO)
        print("go", flush=True)
        return await keyboard.key() + await keyboard.key()

print(asyncio.run(keys()), termios.tcgetattr(terminal) == before)
"""


def test_keys_come_singly_without_echo_and_the_terminal_is_restored():
    leader, follower = pty.openpty()
    argv = [sys.executable, "-c", PRESS_KEYS, os.ttyname(follower)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout.readline() == "go\n"
        os.write(leader, b"Ax")
        assert process.stdout.read() == "ax True\n"
    os.close(leader)
    os.close(follower)
