"""A registered state is renewed in time, and a user hears of it where that fails and when it matters."""

import pytest

from adapter.enrolment import EnrolmentFailed, EnrolmentRefused
from adapter.keystore import Keys
from adapter.renewal import RENEW_AFTER_S, WARN_BEFORE_S, expires_at, is_due, word_of_failure
from overlay.trust.identity import PrivateBundle, SigningKey
from tests.unit.shell.enrolments import EXPIRES_AT, ISSUED_AT, enrol

SILENCE = EnrolmentFailed("no answer from 192.0.2.9:5070")


@pytest.fixture(scope="module")
def enrolment():
    return enrol("alice", Keys(user=PrivateBundle.generate(), node=SigningKey.generate()))


def test_a_week_old_is_due_for_renewal(enrolment):
    assert not is_due(enrolment, ISSUED_AT + RENEW_AFTER_S - 1)
    assert is_due(enrolment, ISSUED_AT + RENEW_AFTER_S)
    assert is_due(enrolment, EXPIRES_AT + 1)


def test_its_first_part_to_expire_ends_it(enrolment):
    assert expires_at(enrolment) == EXPIRES_AT


def test_nobody_hears_of_a_silent_server_while_there_is_time(enrolment):
    assert word_of_failure("alice", enrolment, SILENCE, EXPIRES_AT - WARN_BEFORE_S) is None


def test_in_the_last_week_the_user_hears_how_long_is_left_and_why(enrolment):
    sentence, hint = word_of_failure("alice", enrolment, SILENCE, EXPIRES_AT - 3.5 * 86_400)
    assert (
        sentence == "alice's registration runs out in 3.5 days and could not be renewed: no answer from 192.0.2.9:5070"
    )
    assert "--bootstrap" in hint


@pytest.mark.parametrize("code", ["taken", "revoked"])
def test_a_lost_name_is_told_at_once(enrolment, code):
    sentence, _ = word_of_failure("alice", enrolment, EnrolmentRefused(code, "no more yours"), ISSUED_AT)
    assert sentence.startswith("the name alice is lost")


def test_another_refusal_is_no_loss_of_the_name(enrolment):
    assert word_of_failure("alice", enrolment, EnrolmentRefused("quota", "too many"), ISSUED_AT) is None
