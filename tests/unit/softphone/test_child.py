"""What is said of a child's end."""

import signal

import pytest

from adapter.softphone.child import cause_of_death


@pytest.mark.parametrize(
    ("code", "last_words", "said"),
    [
        (0, "", "the phone's process exited with code 0"),
        (1, "Traceback\n  File x\nTypeError: no\n", "the phone's process exited with code 1: TypeError: no"),
        (
            -signal.SIGABRT,
            "x: Assertion `a' failed.\n",
            "the phone's process was ended by SIGABRT: x: Assertion `a' failed.",
        ),
        (-signal.SIGKILL, "\n\n", "the phone's process was ended by SIGKILL"),
        (-99, "", "the phone's process was ended by signal 99"),
    ],
)
def test_the_end_of_a_child_is_said_in_words(code, last_words, said):
    assert cause_of_death(code, last_words) == said
