"""A changed key is known to callers at once, and the former one answers for a minute."""

import pytest

from adapter.calls.local_users import FORMER_KEY_S, LocalUsers
from tests.support.people import ALICE, BOB, EVE


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_user_has_the_generation_that_is_in_force_when_he_is_asked_for():
    generations = {"alice": 1}
    users = LocalUsers({"alice": ALICE}, generation=generations.__getitem__, clock=Clock())
    generations["alice"] = 7
    assert users["alice"].party.generation == users.party("alice").generation == 7


def test_a_former_key_answers_for_a_minute_and_not_longer():
    clock = Clock()
    generations = {"alice": 1, "bob": 1}
    users = LocalUsers({"alice": ALICE, "bob": BOB}, generation=generations.__getitem__, clock=clock)
    users.change("alice", EVE, former_generation=1)
    generations["alice"] = 2
    assert [user.private for user in users.values()] == [EVE, BOB, ALICE]
    assert [user.party.generation for user in users.values()] == [2, 1, 1]
    assert users.private("alice") is EVE
    clock.now += FORMER_KEY_S
    assert [user.private for user in users.values()] == [EVE, BOB]
    assert len(users) == 2
    with pytest.raises(KeyError):
        users["nobody"]
