"""What can go wrong in front of a user: the exit codes, and errors that carry their cure.  I/O: none.

Every error of the project has one sentence. Here a second one joins it, the hint, and a short code that a program may
compare. :func:`describe` finds these for an error of any room, so that it reads alike whether it was raised in this
process or came over the control socket.
"""

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from overlay.errors import LocalError, RemoteError, Secp2psipError


class ExitCode(IntEnum):
    """What the process tells its caller; ``secp2psip --help`` lists them."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNKNOWN = 3
    UNREACHABLE = 4
    UNVERIFIED = 5
    DECLINED = 6
    NOT_ENCRYPTED = 7
    BUSY = 8
    INTERRUPTED = 130


EXIT_MEANINGS: Final = {
    ExitCode.OK: "it went well",
    ExitCode.FAILED: "the call or the command failed",
    ExitCode.USAGE: "wrong use",
    ExitCode.UNKNOWN: "nobody has that name",
    ExitCode.UNREACHABLE: "the user, the ring or the bootstrap server cannot be reached",
    ExitCode.UNVERIFIED: "the other side could not prove who it is",
    ExitCode.DECLINED: "declined",
    ExitCode.NOT_ENCRYPTED: "the other phone cannot encrypt, and --require-encryption was given",
    ExitCode.BUSY: "the other side is in another call",
    ExitCode.INTERRUPTED: "ended by Ctrl-C",
}
"""One line each, in the order of the codes."""

_EXIT_BY_CODE: Final = {
    "usage": ExitCode.USAGE,
    "unknown": ExitCode.UNKNOWN,
    "name_unknown": ExitCode.UNKNOWN,
    "unverified": ExitCode.UNVERIFIED,
    "key_unverifiable": ExitCode.UNVERIFIED,
    "key_changed": ExitCode.UNVERIFIED,
    "name_away": ExitCode.UNREACHABLE,
    "name_revoked": ExitCode.UNREACHABLE,
    "unavailable": ExitCode.UNREACHABLE,
    "unreachable": ExitCode.UNREACHABLE,
    "ring_unreachable": ExitCode.UNREACHABLE,
    "enrolment_failed": ExitCode.UNREACHABLE,
    "no_adapter": ExitCode.UNREACHABLE,
    "no_bootstrap": ExitCode.UNREACHABLE,
    "gone": ExitCode.UNREACHABLE,
    "refused": ExitCode.DECLINED,
    "busy": ExitCode.BUSY,
    "interrupted": ExitCode.INTERRUPTED,
}

_HINT_BY_CODE: Final = {
    "name_unknown": "check the spelling; a name is known once its user has registered",
    "ring_unreachable": "secp2psip doctor looks for what is in the way",
}
"""What to do about errors of rooms that know no user."""

_EXIT_BY_STATUS: Final = {
    401: ExitCode.UNVERIFIED,
    403: ExitCode.UNVERIFIED,
    404: ExitCode.UNKNOWN,
    408: ExitCode.UNREACHABLE,
    410: ExitCode.UNREACHABLE,
    438: ExitCode.UNVERIFIED,
    480: ExitCode.UNREACHABLE,
    486: ExitCode.BUSY,
    487: ExitCode.FAILED,
    503: ExitCode.UNREACHABLE,
    600: ExitCode.BUSY,
    603: ExitCode.DECLINED,
    604: ExitCode.UNKNOWN,
}
"""The final status of an INVITE, as the caller's phone got it. [paper §II.C] [RFC 3261 §21]"""


class Problem(LocalError):
    """Something the user can mend: one sentence, how to mend it, and a code for programs."""

    code = "problem"

    def __init__(self, text: str, *, hint: str = "", code: str = "") -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint
        self.code = code or type(self).code


class UsageProblem(Problem):
    """The command line or the configuration file asks for something that makes no sense."""

    code = "usage"


class DamagedFile(RemoteError):
    """A file of the state directory does not hold what was written there."""

    code = "damaged_file"

    def __init__(self, text: str, *, hint: str) -> None:
        super().__init__(text)
        self.text = text
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """An error in the words a user sees."""

    code: str
    """snake_case, stable: what scripts compare."""
    error: str
    """One sentence, lower case, no period."""
    hint: str
    """What to do about it, or empty."""

    @property
    def exit_code(self) -> ExitCode:
        """The process's exit code for this error."""
        return _EXIT_BY_CODE.get(self.code, ExitCode.FAILED)


def describe(error: BaseException) -> Trouble:
    """Return the words for `error`: its own code and hint where it has them, its class's name as code otherwise."""
    code = getattr(error, "code", "")
    hint = getattr(error, "hint", "")
    text = str(error).strip() or type(error).__name__
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        text = where + (error.strerror or text)
        code = "os_error"
        if error.filename and not hint:  # commands open nothing else by themselves
            hint = "can you write to the state directory? --state DIR names another"
    elif not isinstance(error, Secp2psipError):
        text, code = f"{type(error).__name__}: {text}", "internal"
    if not isinstance(code, str) or not code:
        code = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(error).__name__).lower()
    cure = hint if isinstance(hint, str) and hint else _HINT_BY_CODE.get(code, "")
    return Trouble(code=code, error=one_line(text), hint=one_line(cure))


def exit_code_of_status(status: int) -> ExitCode:
    """Return the exit code for the final SIP status of a call that was never established."""
    return _EXIT_BY_STATUS.get(status, ExitCode.FAILED)


def one_line(text: str) -> str:
    """Return `text` without control characters: what a peer said must not repaint the user's terminal."""
    return "".join(ch if ch.isprintable() else " " for ch in text).strip()
