"""How a call ended: whose doing it was, and the status that programs compare."""

import pytest

from adapter.softphone.ending import Ending, ending_of
from adapter.softphone.events import CAUSES


def ended(*, was_up=False, outgoing=True, doom=None, refusal=0, status=0, phrase=""):
    return ending_of(was_up=was_up, outgoing=outgoing, doom=doom, refusal=refusal, status=status, phrase=phrase)


@pytest.mark.parametrize(
    ("how", "status", "cause"),
    [
        ({"status": 404, "phrase": "Not Found"}, 404, "refused"),
        ({"status": 486, "phrase": "Busy Here"}, 486, "refused"),
        ({"status": 503, "phrase": "Later"}, 503, "unreachable"),
        ({"was_up": True, "status": 200}, 200, "hung up there"),
        ({"outgoing": False, "status": 487}, 487, "hung up there"),
        ({"doom": ("hung up here", "hung up"), "status": 487}, 487, "hung up here"),
        ({"doom": ("unreachable", "no answer")}, 408, "unreachable"),
        ({"outgoing": False, "doom": ("hung up here", "declined"), "refusal": 603}, 603, "hung up here"),
        ({"was_up": True, "doom": ("no sound", "no sound for 10 s"), "refusal": 480}, 200, "no sound"),
    ],
)
def test_the_end_of_a_call_has_its_status_and_cause(how, status, cause):
    end = ended(**how)
    assert (end.status, end.cause) == (status, cause)
    assert cause in CAUSES
    assert end.reason


def test_a_reason_phrase_cannot_move_the_cursor():
    assert ended(status=500, phrase="\x1b[2J no") == Ending(status=500, cause="refused", reason="500 ?[2J no")
