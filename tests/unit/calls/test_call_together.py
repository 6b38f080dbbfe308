"""The two machines talk to each other, line by line, as two adapters would."""

import base64

import pytest

from adapter.calls.events import Announced, Done, LookUp, Refused, SendLine
from adapter.calls.inviting_table import State
from tests.support.people import EVE
from tests.unit.calls.call_desk import (
    ALICE_NODE,
    BOB_NODE,
    NOW,
    Phone,
    answering,
    drain,
    found,
    inviting,
    only,
    replaced_key,
)


def exchange(caller, callee, now=NOW):
    """Like `place_call`, with lookups answered in the same turn."""
    caller.looked_up(found("bob"), now)
    lines = [event for event in drain(caller) if isinstance(event, SendLine)]
    heard = []
    while lines:
        for sent in lines:
            callee.line_received(sent.line, ALICE_NODE, now)
        answers = []
        while (event := callee.next_event()) is not None:
            heard.append(event)
            if isinstance(event, LookUp):
                callee.looked_up(event.ticket, found("alice"), now)
            elif isinstance(event, SendLine):
                answers.append(event)
        for answer in answers:
            caller.line_received(answer.line, BOB_NODE, now)
        lines = [event for event in drain_keeping_done(caller, heard) if isinstance(event, SendLine)]
    return heard


def drain_keeping_done(machine, heard):
    events = drain(machine)
    heard.extend(event for event in events if isinstance(event, Done))
    return events


def outcome_of(heard):
    (done,) = [event for event in heard if isinstance(event, Done)]
    return done.outcome


def test_a_call_ends_in_a_302_with_the_phone_and_a_token():
    heard = exchange(inviting(), answering(phones=(Phone(port=5062), Phone(port=5064, transport="tcp"))))
    outcome = outcome_of(heard)
    (announced,) = [event for event in heard if isinstance(event, Announced)]
    token = base64.urlsafe_b64encode(announced.token).rstrip(b"=").decode()
    assert outcome.status == 302
    assert outcome.contacts == (
        f"sip:bob@127.0.0.1:5062;p2p={token}",
        f"sip:bob@127.0.0.1:5064;transport=tcp;p2p={token}",
    )
    assert outcome.token == announced.token
    assert (announced.caller, announced.callee) == ("alice", "bob")


SECURE_PHONE = Phone(port=5064, tls_port=5065, fingerprint=b"\x0b" * 32)


def test_both_sides_learn_the_other_certificate_and_the_call_goes_to_tls_alone():
    heard = exchange(inviting(fingerprint=b"\x0a" * 32), answering(phones=(Phone(), SECURE_PHONE)))
    (announced,) = [event for event in heard if isinstance(event, Announced)]
    outcome = outcome_of(heard)
    assert announced.fingerprint == b"\x0a" * 32
    assert outcome.fingerprint == b"\x0b" * 32
    (contact,) = outcome.contacts
    assert contact.startswith("sip:bob@127.0.0.1:5065;transport=tls;p2p=")
    assert outcome.receipt["encrypted"] is True


@pytest.mark.parametrize(
    ("fingerprint", "phones"), [(b"", (SECURE_PHONE,)), (b"\x0a" * 32, (Phone(),)), (b"", (Phone(),))]
)
def test_where_one_phone_cannot_encrypt_the_call_is_plain_and_said_to_be(fingerprint, phones):
    heard = exchange(inviting(fingerprint=fingerprint), answering(phones=phones))
    (announced,) = [event for event in heard if isinstance(event, Announced)]
    outcome = outcome_of(heard)
    assert (announced.fingerprint, outcome.fingerprint) == (b"", b"")
    assert "transport" not in outcome.contacts[0]
    assert outcome.receipt["encrypted"] is False


def test_no_registered_phone_is_480():
    outcome = outcome_of(exchange(inviting(), answering(phones=())))
    assert (outcome.status, outcome.contacts) == (480, ())


def test_a_caller_whom_the_callee_does_not_want_gets_603_and_no_lookup():
    heard = exchange(inviting(), answering(accepts=lambda caller, callee: caller != "alice"))
    assert outcome_of(heard).status == 603
    assert not [event for event in heard if isinstance(event, LookUp)]


def test_a_caller_whose_key_cannot_be_proved_gets_403():
    caller, callee = inviting(), answering()
    caller.looked_up(found("bob"), NOW)
    callee.line_received(only(caller, SendLine).line, ALICE_NODE, NOW)
    lookup = only(callee, LookUp)
    callee.looked_up(lookup.ticket, replaced_key(found("alice"), EVE.public), NOW)
    caller.line_received(only(callee, SendLine).line, BOB_NODE, NOW)
    assert only(caller, Done).outcome.status == 403


def test_clocks_an_hour_apart_cost_one_more_round_trip():
    for ahead in (-3600, 3600):
        caller, callee = inviting(), answering(started_at=NOW + ahead - 100)
        caller.looked_up(found("bob"), NOW)
        callee.line_received(only(caller, SendLine).line, ALICE_NODE, NOW + ahead)
        again = drain(callee)
        assert [type(event) for event in again] == [Refused, SendLine]  # before any lookup
        caller.line_received(again[1].line, BOB_NODE, NOW)
        callee.line_received(only(caller, SendLine).line, ALICE_NODE, NOW + ahead)
        callee.looked_up(only(callee, LookUp).ticket, found("alice"), NOW + ahead)
        caller.line_received(only(callee, SendLine).line, BOB_NODE, NOW)
        assert only(caller, Done).outcome.status == 302


def test_a_callee_that_has_just_started_asks_for_a_cookie():
    caller, callee = inviting(), answering(started_at=NOW)
    heard = exchange(caller, callee)
    assert outcome_of(heard).status == 302
    assert [event.code for event in heard if isinstance(event, Refused)] == ["again"]
    assert caller.state is State.DONE


def test_lines_with_everything_in_them_fit_the_datagram():
    heard = exchange(
        inviting(fingerprint=b"\x0a" * 32),
        answering(
            started_at=NOW,
            phones=(
                Phone(
                    host="2001:db8:1111:2222:3333:4444:5555:6666",
                    port=65535,
                    transport="tls",
                    tls_port=65535,
                    fingerprint=b"\x0b" * 32,
                ),
                Phone(port=65534),
            ),
        ),
    )
    assert all(len(event.line) <= 1200 for event in heard if isinstance(event, SendLine))
    assert outcome_of(heard).status == 302


def test_the_receipt_says_what_the_call_rests_on():
    receipt = outcome_of(exchange(inviting(), answering())).receipt
    assert receipt["caller"] == "alice"
    assert receipt["callee"] == "bob"
    assert receipt["basis"] == "polynomial"
    assert receipt["attackers_needed"] == 3
    assert receipt["status"] == 302
    assert set(receipt["times_ms"]) >= {"looked_up", "invited", "redirected", "done"}
