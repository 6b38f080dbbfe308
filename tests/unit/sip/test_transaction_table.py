"""Every state and every event of both server transaction machines [RFC 3261 §17.2] [RFC 6026 §7.1]."""

from __future__ import annotations

import itertools

import pytest

from adapter.sip.transaction import ANSWERS, LIFETIME_S, T4_S, Event, ServerTransaction, State, event_of
from overlay.errors import LocalError

S, E = State, Event
NEW, OLD, NOTHING = b"new", b"old", None

# written from the RFCs' figures, not from the table under test: (state, event) -> (next state, what is sent)
INVITE = {
    (S.PROCEEDING, E.REQUEST): (S.PROCEEDING, OLD),
    (S.PROCEEDING, E.PROVISIONAL): (S.PROCEEDING, NEW),
    (S.PROCEEDING, E.SUCCESS): (S.ACCEPTED, NEW),
    (S.PROCEEDING, E.FAILURE): (S.COMPLETED, NEW),
    (S.PROCEEDING, E.TRANSPORT_ERROR): (S.TERMINATED, NOTHING),
    (S.COMPLETED, E.REQUEST): (S.COMPLETED, OLD),
    (S.COMPLETED, E.ACK): (S.CONFIRMED, NOTHING),
    (S.COMPLETED, E.TIMER_G): (S.COMPLETED, OLD),
    (S.COMPLETED, E.TIMER_H): (S.TERMINATED, NOTHING),
    (S.COMPLETED, E.TRANSPORT_ERROR): (S.TERMINATED, NOTHING),
    (S.CONFIRMED, E.TIMER_I): (S.TERMINATED, NOTHING),
    (S.CONFIRMED, E.TRANSPORT_ERROR): (S.TERMINATED, NOTHING),
    (S.ACCEPTED, E.SUCCESS): (S.ACCEPTED, NEW),
    (S.ACCEPTED, E.TIMER_L): (S.TERMINATED, NOTHING),
    (S.ACCEPTED, E.TRANSPORT_ERROR): (S.TERMINATED, NOTHING),
}
OTHER = {
    (S.TRYING, E.PROVISIONAL): (S.PROCEEDING, NEW),
    (S.TRYING, E.SUCCESS): (S.COMPLETED, NEW),
    (S.TRYING, E.FAILURE): (S.COMPLETED, NEW),
    (S.TRYING, E.TRANSPORT_ERROR): (S.TERMINATED, NOTHING),
    (S.PROCEEDING, E.REQUEST): (S.PROCEEDING, OLD),
    (S.PROCEEDING, E.PROVISIONAL): (S.PROCEEDING, NEW),
    (S.PROCEEDING, E.SUCCESS): (S.COMPLETED, NEW),
    (S.PROCEEDING, E.FAILURE): (S.COMPLETED, NEW),
    (S.PROCEEDING, E.TRANSPORT_ERROR): (S.TERMINATED, NOTHING),
    (S.COMPLETED, E.REQUEST): (S.COMPLETED, OLD),
    (S.COMPLETED, E.TIMER_J): (S.TERMINATED, NOTHING),
    (S.COMPLETED, E.TRANSPORT_ERROR): (S.TERMINATED, NOTHING),
}
INVITE_PATHS = {
    S.PROCEEDING: (E.PROVISIONAL,),
    S.COMPLETED: (E.FAILURE,),
    S.CONFIRMED: (E.FAILURE, E.ACK),
    S.ACCEPTED: (E.SUCCESS,),
    S.TERMINATED: (E.FAILURE, E.TIMER_H),
}
OTHER_PATHS = {
    S.TRYING: (),
    S.PROCEEDING: (E.PROVISIONAL,),
    S.COMPLETED: (E.SUCCESS,),
    S.TERMINATED: (E.SUCCESS, E.TIMER_J),
}


def in_state(state: State, *, invite: bool, reliable: bool = False) -> ServerTransaction:
    transaction = ServerTransaction(invite=invite, reliable=reliable)
    for event in (INVITE_PATHS if invite else OTHER_PATHS)[state]:
        transaction.feed(event, now=0.0, response=OLD if event in ANSWERS else b"")
    assert transaction.state is state
    return transaction


@pytest.mark.parametrize(("state", "event"), list(itertools.product(INVITE_PATHS, Event)))
def test_every_event_in_every_state_of_an_invite(state, event):
    transaction = in_state(state, invite=True)
    sent = transaction.feed(event, now=1.0, response=NEW if event in ANSWERS else b"")
    assert (transaction.state, sent) == INVITE.get((state, event), (state, NOTHING))


@pytest.mark.parametrize(("state", "event"), list(itertools.product(OTHER_PATHS, Event)))
def test_every_event_in_every_state_of_any_other_request(state, event):
    transaction = in_state(state, invite=False)
    sent = transaction.feed(event, now=1.0, response=NEW if event in ANSWERS else b"")
    assert (transaction.state, sent) == OTHER.get((state, event), (state, NOTHING))


@pytest.mark.parametrize("invite", [True, False])
def test_an_ended_transaction_awaits_nothing(invite):
    assert in_state(S.TERMINATED, invite=invite).next_deadline() is None


def test_a_request_before_any_answer_is_absorbed():
    assert ServerTransaction(invite=True, reliable=False).feed(E.REQUEST, now=0.0) is None
    assert ServerTransaction(invite=False, reliable=False).feed(E.REQUEST, now=0.0) is None


def run_out(transaction: ServerTransaction) -> list[float]:
    """Let time pass until nothing is awaited; return when something was sent."""
    sent = []
    while (due := transaction.next_deadline()) is not None:
        if transaction.handle_timer(due) is not None:
            sent.append(due)
    assert transaction.state is S.TERMINATED
    return sent


def test_a_refused_invite_is_answered_again_ever_more_slowly_until_32_s():
    transaction = in_state(S.COMPLETED, invite=True)
    assert run_out(transaction) == [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]


def test_over_a_connection_nothing_is_sent_twice_by_timer():
    transaction = in_state(S.COMPLETED, invite=True, reliable=True)
    assert transaction.next_deadline() == LIFETIME_S
    assert run_out(transaction) == []


@pytest.mark.parametrize(("reliable", "due"), [(False, T4_S), (True, 0.0)])
def test_a_confirmed_invite_stays_for_timer_i(reliable, due):
    assert in_state(S.CONFIRMED, invite=True, reliable=reliable).next_deadline() == due


@pytest.mark.parametrize(("reliable", "due"), [(False, LIFETIME_S), (True, 0.0)])
def test_an_answered_request_stays_for_timer_j(reliable, due):
    assert in_state(S.COMPLETED, invite=False, reliable=reliable).next_deadline() == due


def test_a_late_timer_sends_once_and_not_for_every_step_it_missed():
    transaction = in_state(S.COMPLETED, invite=True)
    assert transaction.handle_timer(20.0) == OLD
    assert transaction.next_deadline() == 21.0


def test_a_timer_that_comes_after_the_end_sends_nothing():
    transaction = in_state(S.COMPLETED, invite=True)
    assert transaction.handle_timer(40.0) is None
    assert transaction.state is S.TERMINATED


@pytest.mark.parametrize(("event", "response"), [(E.SUCCESS, b""), (E.ACK, b"x")])
def test_bytes_come_with_answers_and_with_nothing_else(event, response):
    with pytest.raises(LocalError):
        ServerTransaction(invite=True, reliable=False).feed(event, now=0.0, response=response)


@pytest.mark.parametrize(
    ("status", "event"), [(100, E.PROVISIONAL), (200, E.SUCCESS), (302, E.FAILURE), (699, E.FAILURE)]
)
def test_a_status_is_an_event(status, event):
    assert event_of(status) is event


@pytest.mark.parametrize("status", [0, 99, 700])
def test_what_is_no_status_is_our_own_mistake(status):
    with pytest.raises(LocalError):
        event_of(status)
