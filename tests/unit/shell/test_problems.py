"""Errors in the words a user sees."""

import pytest

from adapter.problems import EXIT_MEANINGS, DamagedFile, ExitCode, Problem, UsageProblem, describe, exit_code_of_status
from overlay.errors import RemoteError


class NameUnknown(RemoteError):
    """Stands for an error of another room, which knows nothing of codes."""


def test_a_problem_brings_its_own_words():
    trouble = describe(Problem("it is broken", hint="mend it", code="broken"))
    assert (trouble.code, trouble.error, trouble.hint) == ("broken", "it is broken", "mend it")


def test_an_error_of_another_room_gets_its_class_name_as_code():
    trouble = describe(NameUnknown("nobody is called bob"))
    assert (trouble.code, trouble.exit_code) == ("name_unknown", ExitCode.UNKNOWN)
    assert trouble.hint.startswith("check the spelling")


def test_wrong_use_is_exit_2():
    assert describe(UsageProblem("no such thing")).exit_code == ExitCode.USAGE


def test_an_os_error_says_which_file():
    trouble = describe(FileNotFoundError(2, "No such file or directory", "/nowhere/key"))
    assert trouble.error == "/nowhere/key: No such file or directory"
    assert "--state DIR" in trouble.hint


def test_a_bug_says_what_it_is():
    trouble = describe(ZeroDivisionError("division by zero"))
    assert (trouble.code, trouble.error) == ("internal", "ZeroDivisionError: division by zero")


def test_a_peer_cannot_write_to_the_terminal():
    assert describe(RemoteError("be\x1b[2Jnign\r\nerror: forged")).error == "be [2Jnign  error: forged"


def test_a_damaged_file_has_a_cure():
    assert describe(DamagedFile("x is damaged", hint="move it")).hint == "move it"


@pytest.mark.parametrize(
    ("status", "code"),
    [(404, 3), (480, 4), (503, 4), (438, 5), (403, 5), (486, 8), (603, 6), (487, 1), (500, 1), (408, 4)],
)
def test_a_failed_call_has_the_exit_code_of_its_status(status, code):
    assert exit_code_of_status(status) == code


def test_every_exit_code_is_explained():
    assert set(EXIT_MEANINGS) == set(ExitCode)
