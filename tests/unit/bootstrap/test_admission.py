"""Who is let in: open, by invite, closed, by code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bootstrap.accounts import MAX_INVITES, Accounts
from bootstrap.admission import Admission, Applicant, Invite, Policy, invite_digest, invite_id, make_code, why_not
from bootstrap.registration import Accepted
from overlay.errors import LocalError
from tests.unit.bootstrap.test_accounts import accepted, enter
from tests.unit.bootstrap.test_registration_decision import FREE, NOW, OWNED, refusal, request, settle

DAY = 86_400
CODE = make_code()
INVITE = Invite(id="h7kmq2xp", digest=invite_digest(CODE), uses_left=1, made_at=int(NOW), expires_at=int(NOW) + 7 * DAY)
NEW = Applicant(
    aor="alice",
    is_new_name=True,
    is_new_device=True,
    new_devices_of_source=0,
    new_devices_of_name=0,
    admitted=False,
    invite=None,
)
KNOWN = replace(NEW, is_new_name=False, is_new_device=False)
BY_INVITE = Policy(admission=Admission.INVITE)
CLOSED = Policy(admission=Admission.CLOSED)


def refused(applicant, policy, *, now=NOW):
    return why_not(applicant, policy, now=now)


def test_everybody_may_in_an_open_overlay_up_to_the_limit_of_his_address():
    assert refused(replace(NEW, new_devices_of_source=3), Policy()) is None
    assert "tomorrow" in refused(replace(NEW, new_devices_of_source=4), Policy())
    assert refused(replace(KNOWN, new_devices_of_source=4), Policy()) is None


def test_a_new_name_and_a_new_device_take_an_invite():
    for applicant in (NEW, replace(KNOWN, is_new_device=True), replace(KNOWN, is_new_name=True)):
        assert "invite" in refused(applicant, BY_INVITE)
        assert refused(replace(applicant, invite=INVITE), BY_INVITE) is None
    assert refused(KNOWN, BY_INVITE) is None


@pytest.mark.parametrize(
    ("invite", "why"),
    [
        (replace(INVITE, expires_at=int(NOW)), "expired"),
        (replace(INVITE, uses_left=0), "used up"),
        (replace(INVITE, aor="bob"), "another name"),
    ],
)
def test_an_invite_that_does_not_count_is_told_why(invite, why):
    assert why in refused(replace(NEW, invite=invite), BY_INVITE)


def test_an_invite_for_the_name_itself_counts():
    assert refused(replace(NEW, invite=replace(INVITE, aor="alice")), BY_INVITE) is None


def test_a_closed_overlay_takes_admitted_names_alone():
    assert "closed" in refused(NEW, CLOSED)
    assert refused(replace(NEW, admitted=True), CLOSED) is None
    assert refused(KNOWN, CLOSED) is None


@pytest.mark.parametrize("policy", [BY_INVITE, CLOSED, Policy(code="sesame")])
def test_whoever_was_let_in_brings_one_new_device_a_day(policy):
    again = replace(NEW, is_new_name=False, admitted=True, invite=INVITE, new_devices_of_source=99)
    assert refused(again, policy) is None
    assert "tomorrow" in refused(replace(again, new_devices_of_name=1), policy)


def test_a_registration_cannot_carry_an_invite_and_a_code():
    with pytest.raises(LocalError):
        Policy(admission=Admission.INVITE, code="sesame")


def test_codes_are_long_readable_and_in_any_case():
    codes = {make_code() for _ in range(1000)}
    assert len(codes) == 1000
    assert all(len(code) == 23 and code.count("-") == 3 for code in codes)
    assert invite_digest(CODE.upper() + " ") == invite_digest(CODE)


def test_an_invite_lets_in_as_often_as_it_says():
    with Accounts(":memory:") as accounts:
        accounts.add_invite(replace(INVITE, uses_left=2))
        for left in (2, 1):
            granted = accepted(f"user{left}")
            found = accounts.books(granted.aor, node_public=granted.node_public, source="192.0.2.7", now=NOW, code=CODE)
            assert found.invite == replace(INVITE, uses_left=left)
            enter(accounts, replace(granted, invite=found.invite))
        gone = accounts.books("carol", node_public=bytes(32), source="192.0.2.7", now=NOW, code=CODE).invite
        assert gone.uses_left == 0
        assert "used up" in refused(replace(NEW, invite=gone), BY_INVITE)


def test_a_wrong_code_is_no_invite_and_one_that_was_taken_back_neither():
    with Accounts(":memory:") as accounts:
        accounts.add_invite(INVITE)
        wrong = accounts.books("carol", node_public=bytes(32), source="192.0.2.7", now=NOW, code=make_code())
        assert wrong.invite is None
        accounts.revoke_invite(INVITE.id)
        assert accounts.books("carol", node_public=bytes(32), source="::1", now=NOW, code=CODE).invite is None
        with pytest.raises(LocalError):
            accounts.revoke_invite(INVITE.id)


def test_invites_are_bounded_and_old_ones_make_room():
    with Accounts(":memory:") as accounts:
        with accounts.transaction():
            accounts._db.executemany(
                "INSERT INTO invites VALUES (?, ?, 1, ?, ?, '')",
                [(str(number), str(number).encode(), int(NOW), int(NOW) + DAY) for number in range(MAX_INVITES)],
            )
        with pytest.raises(LocalError):
            accounts.add_invite(INVITE)
        accounts.add_invite(replace(INVITE, id=invite_id(), made_at=int(NOW) + DAY))
        assert len(accounts.invites()) == 1


def test_a_decision_says_which_invite_it_takes_a_use_of():
    decision = settle(request(code=CODE), books=replace(FREE, invite=INVITE), policy=BY_INVITE)
    assert isinstance(decision, Accepted)
    assert decision.invite == INVITE
    assert refusal(settle(books=FREE, policy=BY_INVITE)) == "policy"
    again = settle(books=replace(FREE, account=OWNED, node_key_known=True, invite=INVITE), policy=BY_INVITE)
    assert isinstance(again, Accepted)
    assert again.invite is None
