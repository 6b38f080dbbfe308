"""`--accept`: a caller whom nobody wants here is declined before anything is looked up for him."""

import pytest

from adapter.calls.events import LookUp, Refused, SendLine
from adapter.pins import ACCEPT, CONTACTS, EVERYONE, NOBODY, Pin, Pins
from overlay.wire.envelope import seal_invite, verify_error
from overlay.wire.messages import Invite
from tests.support.people import ALICE, BOB
from tests.unit.calls.call_desk import ALICE_NODE, NOW, answering, drain, party_of

KNOWN = Pins([Pin(aor="alice", bundle=ALICE.public.encode(), generation=1, first_seen=1.0)])
STRANGERS = Pins()


def invite(number: int = 1) -> bytes:
    message = Invite(
        issuer=party_of("alice"),
        audience=party_of("bob"),
        id=number.to_bytes(16, "big"),
        issued_at=int(NOW),
        expires_at=int(NOW) + 30,
    )
    return seal_invite(message, ALICE, BOB.public).line


@pytest.mark.parametrize(
    ("accept", "pins", "is_taken"),
    [
        (EVERYONE, STRANGERS, True),
        (EVERYONE, KNOWN, True),
        (CONTACTS, STRANGERS, False),
        (CONTACTS, KNOWN, True),
        (NOBODY, STRANGERS, False),
        (NOBODY, KNOWN, False),
    ],
)
def test_an_unwanted_caller_costs_no_lookup(accept, pins, is_taken):
    assert accept in ACCEPT
    machine = answering(accepts=lambda caller, _callee: pins.admits(caller, accept))
    machine.line_received(invite(), ALICE_NODE, NOW)
    events = drain(machine)
    if is_taken:
        assert [type(event) for event in events] == [LookUp]
        return
    refused, answer = events
    assert isinstance(refused, Refused)
    assert (refused.code, refused.caller, refused.callee) == ("refused", "alice", "bob")
    assert isinstance(answer, SendLine)
    assert verify_error(answer.line, BOB.public).code == "refused"  # signed: it ends the call over there
    assert machine.next_deadline() is None
    assert machine.counters == {"refused": 1}


def test_unwanted_callers_take_no_place_from_others():
    machine = answering(accepts=lambda caller, _callee: STRANGERS.admits(caller, CONTACTS))
    for number in range(1, 10):
        machine.line_received(invite(number), ALICE_NODE, NOW)
    # the very same line may come again: nothing of it was remembered, so nothing was spent on it
    machine.line_received(invite(1), ALICE_NODE, NOW)
    assert machine.counters == {"refused": 10}
    assert not [event for event in drain(machine) if isinstance(event, LookUp)]
