"""Where a passphrase comes from: a file, the environment, or the person at the terminal.  I/O: files, the terminal."""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import stat
import sys
from typing import TYPE_CHECKING, Final

from adapter.key_export import MAX_PASSPHRASE_BYTES, check_passphrase
from adapter.problems import Problem
from overlay.errors import LocalError

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE: Final = "SECP2PSIP_PASSPHRASE"


def find_passphrase(file: Path | None, *, twice: bool) -> str:
    """Return the passphrase: of the first line of `file`, else of $SECP2PSIP_PASSPHRASE, else asked for.

    `twice`: a new one, so that a person has to type it again. Raises Problem for none, one that will not do, and two
    that differ; CancelledError for Ctrl-C.
    """
    if file is not None:
        passphrase = _first_line(file)
    elif VARIABLE in os.environ:
        passphrase = os.environ[VARIABLE]
    else:
        passphrase = _ask("passphrase: ")
        if twice:
            _check(passphrase)
            if _ask("the same again: ") != passphrase:
                raise Problem("the two passphrases differ", hint="nothing was written: try again", code="usage")
    _check(passphrase)
    return passphrase


def _check(passphrase: str) -> None:
    try:
        check_passphrase(passphrase)
    except LocalError as error:
        raise Problem(str(error), hint="nothing was written", code="usage") from None


def _first_line(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            found = os.fstat(stream.fileno())
            if stat.S_ISREG(found.st_mode) and stat.S_IMODE(found.st_mode) & 0o077:
                raise Problem(f"the passphrase in {file} can be read by others", hint=f"chmod 600 {file}")
            line = stream.readline(MAX_PASSPHRASE_BYTES + 3)
    except OSError as error:
        raise Problem(f"{file} cannot be read: {(error.strerror or '').lower()}", code="usage") from None
    try:
        return line.rstrip(b"\r\n").decode("utf-8")
    except UnicodeDecodeError:
        raise Problem(f"the passphrase in {file} is no UTF-8 text", code="usage") from None


def _ask(prompt: str) -> str:
    if not sys.stdin.isatty():
        hint = f"give --passphrase-file FILE, or the variable {VARIABLE}"
        raise Problem("there is no terminal to ask for the passphrase at", hint=hint, code="usage")
    # the loop's own handler would wait for the end of the question: here Ctrl-C ends it, and the echo comes back
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return getpass.getpass(prompt)
    except KeyboardInterrupt:
        raise asyncio.CancelledError from None
    except EOFError:
        raise Problem("no passphrase was given", hint="nothing was written", code="usage") from None
    finally:
        signal.signal(signal.SIGINT, before)
