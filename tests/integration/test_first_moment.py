"""Ctrl-C in the first moment, while a command is still being imported: an exit code, and no traceback."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.programs import command

INTERRUPTED_AT = """\
import os, signal, sys

class AtImport:
    def find_spec(self, name, path=None, target=None):
        if name == "{room}.cli":
            os.kill(os.getpid(), signal.SIGINT)

from {room}.entry import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs the tests in the background has it ignored
sys.meta_path.insert(0, AtImport())
sys.argv[1:] = ["--help"]
sys.exit(main())
"""


@pytest.mark.parametrize("room", ["adapter", "bootstrap"])
def test_an_interrupt_before_the_command_is_there_is_no_traceback(room):
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT.format(room=room)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_a_reader_who_went_away_is_no_traceback(word):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run([command("secp2psip"), word], stdout=writer, stderr=subprocess.PIPE, check=False)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")
