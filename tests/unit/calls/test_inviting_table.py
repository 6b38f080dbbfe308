"""Every state meets every input: what the table allows happens, what it does not changes nothing."""

import pytest

from adapter.calls.events import AskHigherSequence, Done, Failure, LookUp, SendLine
from adapter.calls.inviting_table import GIVE_UP_S, SEARCH_AFTER_S, TABLE, Input, State
from tests.unit.calls.call_desk import ALICE_NODE, BOB_NODE, NOW, answering, drain, found, inviting, only


def machine_in(state):
    """Bring a call into a state by what really leads there, and throw away the events on the way."""
    machine = inviting()
    if state is State.LOOKING:
        drain(machine)
        return machine
    machine.looked_up(found("bob"), NOW)
    if state in {State.SEARCHING, State.WAITING}:
        machine.handle_timer(NOW + SEARCH_AFTER_S)
    if state is State.WAITING:
        machine.searched(None, NOW + SEARCH_AFTER_S)
    if state is State.DONE:
        machine.cancel(NOW)
    assert machine.state is state
    drain(machine)
    return machine


def answer_to(machine):
    """A good REDIRECT to an INVITE of this very machine, whatever state it is in."""
    twin = inviting()  # the same dice, so the same INVITE id
    twin.looked_up(found("bob"), NOW)
    callee = answering()
    callee.line_received(only(twin, SendLine).line, ALICE_NODE, NOW)
    callee.looked_up(only(callee, LookUp).ticket, found("alice"), NOW)
    return only(callee, SendLine).line


INPUTS = {
    Input.LOOKED_UP: lambda machine, now: machine.looked_up(found("bob"), now),
    Input.LOOKUP_FAILED: lambda machine, now: machine.lookup_failed(Failure.UNKNOWN, now),
    Input.DELIVERED: lambda machine, now: machine.delivered(BOB_NODE, ok=True, now=now),
    Input.UNDELIVERED: lambda machine, now: machine.delivered(BOB_NODE, ok=False, now=now),
    Input.SEARCHED: lambda machine, now: machine.searched(None, now),
    Input.LINE: lambda machine, now: machine.line_received(answer_to(machine), BOB_NODE, now),
    Input.TIMER: lambda machine, now: machine.handle_timer(NOW + 100),
    Input.CANCEL: lambda machine, now: machine.cancel(now),
}


def test_every_input_has_a_way_in():
    assert set(INPUTS) == set(Input)
    assert set(TABLE) == set(State)


@pytest.mark.parametrize("what", Input)
@pytest.mark.parametrize("state", State)
def test_an_input_leads_where_the_table_says_or_nowhere(state, what):
    machine = machine_in(state)
    move = TABLE[state].get(what)
    INPUTS[what](machine, NOW + 1.1)
    if move is not None:
        assert machine.state in move.to
        assert not machine.counters["out of place"]
        return
    assert machine.state is state
    assert drain(machine) == []
    # a timer that nobody set is not even an input
    assert machine.counters["out of place"] == (0 if what is Input.TIMER else 1)


@pytest.mark.parametrize("state", [state for state in State if state is not State.DONE])
def test_a_cancel_ends_the_call_in_487_from_every_state(state):
    machine = machine_in(state)
    machine.cancel(NOW + 1.1)
    (done,) = drain(machine)
    assert done.outcome.status == 487
    assert machine.next_deadline() is None


@pytest.mark.parametrize("state", [State.INVITED, State.SEARCHING, State.WAITING])
def test_a_call_that_was_cancelled_sends_nothing_more(state):
    machine = machine_in(state)
    machine.cancel(NOW + 1.1)
    drain(machine)
    machine.line_received(answer_to(machine), BOB_NODE, NOW + 1.2)
    machine.searched(found("bob", sequence=8, contact=ALICE_NODE), NOW + 1.2)
    machine.handle_timer(NOW + 10)
    assert drain(machine) == []


@pytest.mark.parametrize(
    ("failure", "status"),
    [(Failure.UNKNOWN, 404), (Failure.AWAY, 480), (Failure.UNVERIFIABLE, 438), (Failure.UNREACHABLE, 503)],
)
def test_a_lookup_that_fails_says_why(failure, status):
    machine = inviting()
    machine.lookup_failed(failure, NOW + 0.2)
    outcome = only(machine, Done).outcome
    assert outcome.status == status
    assert (outcome.retry_after_s is not None) == (status == 503)


def test_not_found_is_404():
    machine = inviting()
    machine.not_found(NOW)
    assert only(machine, Done).outcome.status == 404


def test_silence_is_480_after_one_search_and_less_than_three_seconds():
    machine = inviting()
    machine.looked_up(found("bob", sequence=7), NOW + 0.1)
    drain(machine)
    assert machine.next_deadline() == NOW + 0.1 + SEARCH_AFTER_S
    machine.handle_timer(machine.next_deadline())
    assert only(machine, AskHigherSequence).min_sequence == 8
    machine.searched(None, NOW + 1.5)
    assert drain(machine) == []
    assert machine.next_deadline() == NOW + GIVE_UP_S < NOW + 3
    machine.handle_timer(machine.next_deadline())
    assert only(machine, Done).outcome.status == 480


def test_a_lookup_without_end_is_503():
    machine = inviting()
    machine.handle_timer(NOW + GIVE_UP_S)
    assert [event.outcome.status for event in drain(machine) if isinstance(event, Done)] == [503]


def test_a_node_that_is_gone_makes_the_call_look_elsewhere_at_once():
    machine = machine_in(State.INVITED)
    machine.delivered(BOB_NODE, ok=False, now=NOW + 0.5)
    assert only(machine, AskHigherSequence)
    machine.searched(None, NOW + 0.6)
    assert only(machine, Done).outcome.status == 480


def test_a_newer_record_brings_an_invite_to_the_new_place():
    machine = machine_in(State.SEARCHING)
    machine.searched(found("bob", sequence=9, contact=ALICE_NODE), NOW + 1.2)
    assert only(machine, SendLine).peer == ALICE_NODE
    assert machine.state is State.WAITING


def test_a_newer_record_of_the_same_place_brings_no_second_invite():
    machine = machine_in(State.SEARCHING)
    machine.searched(found("bob", sequence=9), NOW + 1.2)
    assert drain(machine) == []


def test_a_newer_record_of_a_place_that_did_not_answer_is_tried_again():
    machine = machine_in(State.INVITED)
    machine.delivered(BOB_NODE, ok=False, now=NOW + 0.5)
    machine.searched(found("bob", sequence=9), NOW + 0.6)
    assert [event.peer for event in drain(machine) if isinstance(event, SendLine)] == [BOB_NODE]


def test_an_answer_to_the_first_invite_counts_after_the_second():
    machine = machine_in(State.SEARCHING)
    answer = answer_to(machine)
    machine.searched(found("bob", sequence=9, contact=ALICE_NODE), NOW + 1.2)
    drain(machine)
    machine.line_received(answer, BOB_NODE, NOW + 1.3)
    assert only(machine, Done).outcome.status == 302


def test_a_record_that_names_no_node_is_searched_for_a_better_one_at_once():
    machine = inviting()
    machine.looked_up(found("bob", nowhere=True), NOW)
    assert [type(event) for event in drain(machine)] == [LookUp, AskHigherSequence]
    machine.searched(found("bob", sequence=8), NOW + 0.2)
    assert only(machine, SendLine).peer == BOB_NODE


def test_an_adapter_that_acknowledged_gets_time_to_look_the_caller_up():
    machine = machine_in(State.INVITED)
    machine.delivered(BOB_NODE, ok=True, now=NOW + 0.9)
    machine.handle_timer(NOW + SEARCH_AFTER_S)
    machine.searched(None, NOW + 1.5)
    machine.handle_timer(NOW + GIVE_UP_S)
    assert machine.state is State.WAITING
    machine.handle_timer(NOW + 3.9)
    assert machine.state is State.DONE
