"""Every state of an INVITE at the callee meets every input: what is legal happens, the rest changes nothing."""

from __future__ import annotations

import itertools
from enum import Enum, auto

import pytest

from adapter.calls.answering import LOOKUP_PATIENCE_S
from adapter.calls.events import Announced, Failure, LookUp, Refused
from tests.unit.calls.call_desk import ALICE_NODE, NOW, answering, drain, found
from tests.unit.calls.test_answering import invite_line

TICKET = (1).to_bytes(16, "big")


class State(Enum):
    UNKNOWN = auto()
    LOOKING = auto()
    REDIRECTED = auto()
    REFUSED = auto()


class Input(Enum):
    LINE = auto()
    LOOKED_UP = auto()
    LOOKUP_FAILED = auto()
    TIMER = auto()


LOOKED, REDIRECT, NOTHING, LATE = "looked up", "redirected", "nothing", "late lookup"
# (state, input) -> what happens: a step forward, the code of a refusal, nothing, or nothing but a count
TABLE = {
    (State.UNKNOWN, Input.LINE): LOOKED,
    (State.UNKNOWN, Input.LOOKED_UP): LATE,
    (State.UNKNOWN, Input.LOOKUP_FAILED): LATE,
    (State.UNKNOWN, Input.TIMER): NOTHING,
    (State.LOOKING, Input.LINE): "bad",
    (State.LOOKING, Input.LOOKED_UP): REDIRECT,
    (State.LOOKING, Input.LOOKUP_FAILED): "unverified",
    (State.LOOKING, Input.TIMER): "internal",
    (State.REDIRECTED, Input.LINE): "bad",
    (State.REDIRECTED, Input.LOOKED_UP): LATE,
    (State.REDIRECTED, Input.LOOKUP_FAILED): LATE,
    (State.REDIRECTED, Input.TIMER): NOTHING,
    (State.REFUSED, Input.LINE): "bad",
    (State.REFUSED, Input.LOOKED_UP): LATE,
    (State.REFUSED, Input.LOOKUP_FAILED): LATE,
    (State.REFUSED, Input.TIMER): NOTHING,
}


def machine_in(state: State):
    machine = answering()
    if state is not State.UNKNOWN:
        machine.line_received(invite_line(), ALICE_NODE, NOW)
    if state is State.REDIRECTED:
        machine.looked_up(TICKET, found("alice"), NOW)
    if state is State.REFUSED:
        machine.lookup_failed(TICKET, Failure.UNVERIFIABLE, NOW)
    drain(machine)
    return machine


INPUTS = {
    Input.LINE: lambda machine: machine.line_received(invite_line(), ALICE_NODE, NOW + 0.1),
    Input.LOOKED_UP: lambda machine: machine.looked_up(TICKET, found("alice"), NOW + 0.1),
    Input.LOOKUP_FAILED: lambda machine: machine.lookup_failed(TICKET, Failure.UNVERIFIABLE, NOW + 0.1),
    Input.TIMER: lambda machine: machine.handle_timer(NOW + LOOKUP_PATIENCE_S),
}


def outcome(machine) -> str:
    events = drain(machine)
    for kind, name in ((LookUp, LOOKED), (Announced, REDIRECT)):
        if any(isinstance(event, kind) for event in events):
            return name
    refused = [event.code for event in events if isinstance(event, Refused)]
    assert len(refused) == min(1, len(events))
    return refused[0] if refused else (LATE if machine.counters[LATE] else NOTHING)


def test_the_table_is_whole():
    assert set(TABLE) == set(itertools.product(State, Input))


@pytest.mark.parametrize(("state", "what"), TABLE)
def test_an_input_does_what_the_table_says(state, what):
    machine = machine_in(state)
    INPUTS[what](machine)
    assert outcome(machine) == TABLE[state, what]


@pytest.mark.parametrize("state", [State.REDIRECTED, State.REFUSED])
def test_what_has_ended_waits_for_nothing(state):
    assert machine_in(state).next_deadline() is None
