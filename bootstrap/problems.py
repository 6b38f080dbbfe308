"""What the operator is told when something cannot be: one sentence, its cure, an exit code.  I/O: none.

The rooms raise LocalError for what the operator can mend and RemoteError for a file that is broken; where they know the
cure they say it in a :class:`UsageProblem`.
"""

from __future__ import annotations

import argparse
import errno
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NoReturn

from overlay.errors import LocalError, Secp2psipError

PROGRAM: Final = "secp2psip-bootstrap"


class ExitCode(IntEnum):
    """What the process tells its caller; ``secp2psip-bootstrap --help`` lists them."""

    OK = 0
    FAILED = 1
    USAGE = 2


EXIT_MEANINGS: Final = {
    ExitCode.OK: "it ended as it was asked to, by Ctrl-C too",
    ExitCode.FAILED: "the port or a file cannot be used",
    ExitCode.USAGE: "wrong use",
}
NAMES_HINT: Final = f"{PROGRAM} names list shows which are"
INVITES_HINT: Final = f"{PROGRAM} invites list shows those that are out, by id; invites revoke ID takes one back"
_MORE: Final = f"{PROGRAM} --help shows how it is used"


class UsageProblem(LocalError):
    """The operator asks for something that makes no sense here."""

    def __init__(self, reason: str, *, hint: str) -> None:
        super().__init__(reason)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """An error in the words that an operator sees."""

    code: str
    """snake_case, stable: what scripts compare."""
    error: str
    """One sentence, lower case, no period, printable."""
    hint: str
    """What to do about it."""
    exit_code: ExitCode


def describe(error: Secp2psipError | OSError, *, where: str) -> Trouble:
    """Return the words for `error`; `where` names what was to be opened, if the error does not."""
    if isinstance(error, OSError):
        place = error.filename or where
        text = f"cannot use {place}: {(error.strerror or str(error)).lower()}"
        code = "os_error" if error.filename else "address_in_use"
        return Trouble(code=code, error=_one_line(text), hint=_cure(error), exit_code=ExitCode.FAILED)
    is_usage = isinstance(error, LocalError)
    hint = getattr(error, "hint", "") or (_MORE if is_usage else "is there another copy of it?")
    return Trouble(
        code="usage" if is_usage else "damaged_file",
        error=_one_line(error.reason),
        hint=_one_line(hint),
        exit_code=ExitCode.USAGE if is_usage else ExitCode.FAILED,
    )


def exit_codes() -> str:
    """Return the table of exit codes as --help shows it."""
    return "exit codes:\n" + "\n".join(f"  {int(code):<5}{meaning}" for code, meaning in EXIT_MEANINGS.items())


class Parser(argparse.ArgumentParser):
    """Argparse whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise UsageProblem(message, hint=f"{self.prog} --help shows how it is used")


def _cure(error: OSError) -> str:
    if error.filename:
        return "can you write there? --data DIR names another place"
    if error.errno == errno.EADDRINUSE:
        return "another program has it, perhaps another bootstrap server: choose another port with --listen HOST:PORT"
    if error.errno == errno.EADDRNOTAVAIL:
        return "it is no address of this machine: name one of its own with --listen HOST:PORT"
    return "choose another address with --listen HOST:PORT"


def _one_line(text: str) -> str:
    return "".join(ch if ch.isprintable() else " " for ch in text).strip()
