"""What a caller is told to do about a call that came to nothing."""

import pytest

from adapter.calls.events import Failure
from adapter.calls.outcomes import FAILURES, REFUSALS
from adapter.commands.advice import advice


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (FAILURES[Failure.REVOKED], "names release bob"),
        (FAILURES[Failure.CHANGED], "contacts forget bob"),
        (REFUSALS["unverified"], "contacts forget alice"),
        (FAILURES[Failure.UNKNOWN], "once its user has registered"),
        (FAILURES[Failure.UNVERIFIABLE], "secp2psip lookup bob"),
        (REFUSALS["unavailable"], "try again later"),
    ],
)
def test_each_cause_has_its_own_cure(outcome, words):
    status, sentence = outcome
    said = sentence.format(caller="alice", callee="bob")
    said = said[:1].upper() + said[1:]  # as a reason phrase
    assert words in advice(status, said, caller="alice", callee="bob")


def test_a_sentence_that_is_not_known_leaves_the_status_to_decide():
    assert "try again later" in advice(480, "Gone fishing", caller="alice", callee="bob")
    assert advice(499, "Gone fishing", caller="alice", callee="bob") == ""
