"""Where a passphrase comes from: a file, the environment, or the person at the terminal.  I/O: files, the terminal."""

from __future__ import annotations

import asyncio
import getpass
import os
import signal
import stat
import sys
from typing import TYPE_CHECKING, Final

from adapter.config_tables import MAX_PASSWORD_CHARS
from adapter.key_export import MAX_PASSPHRASE_BYTES, check_passphrase
from adapter.problems import Problem
from overlay.errors import LocalError

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE: Final = "SECP2PSIP_PASSPHRASE"
PASSWORD_VARIABLE: Final = "SECP2PSIP_PASSWORD"  # noqa: S105 -- its name
_FLAGS: Final = {VARIABLE: "--passphrase-file", PASSWORD_VARIABLE: "--password-file"}


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


def find_password(file: Path | None, *, of: str) -> str:
    """Return a phone's password: of the first line of `file`, else of $SECP2PSIP_PASSWORD, else asked for.

    Raises Problem for none and one that will not do; CancelledError for Ctrl-C.
    """
    if file is not None:
        password = _first_line(file)
    else:
        password = os.environ.get(PASSWORD_VARIABLE, "") or _ask(f"password of {of}: ", variable=PASSWORD_VARIABLE)
    if not password or not password.isprintable() or len(password) > MAX_PASSWORD_CHARS:
        text = f"a phone's password is 1 to {MAX_PASSWORD_CHARS} characters on one line"
        raise Problem(text, hint="it is the one in [phones] of config.toml on the adapter's host", code="usage")
    return password


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
                raise Problem(f"what is in {file} can be read by others", hint=f"chmod 600 {file}")
            line = stream.readline(MAX_PASSPHRASE_BYTES + 3)
    except OSError as error:
        text = f"{file} cannot be read: {(error.strerror or '').lower()}"
        raise Problem(text, hint="is it the right file, and may you read it?", code="usage") from None
    try:
        return line.rstrip(b"\r\n").decode("utf-8")
    except UnicodeDecodeError:
        raise Problem(f"what is in {file} is no UTF-8 text", hint="is it the right file?", code="usage") from None


def _ask(prompt: str, *, variable: str = VARIABLE) -> str:
    if not sys.stdin.isatty():
        hint = f"give {_FLAGS[variable]} FILE, or the variable {variable}"
        what = "passphrase" if variable == VARIABLE else "password"
        raise Problem(f"there is no terminal to ask for the {what} at", hint=hint, code="usage")
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
