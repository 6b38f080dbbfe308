"""A callee whose own REDIRECT, truly signed, steers the caller's phone at something that is no phone of his."""

from __future__ import annotations

import pytest

from adapter.calls.events import Done, SendLine
from overlay.ring.ids import Peer
from tests.unit.calls.call_desk import BOB_NODE, NOW, drain, found, inviting, only
from tests.unit.calls.test_inviting_answers import redirect_to

LAN_NODE = Peer(id=BOB_NODE.id, host="192.0.2.20", port=7002)
OWN_SIP = ("192.0.2.10", 5070)
OWN_RING = ("192.0.2.10", 7001)


def outcome_of(*contacts, node=LAN_NODE):
    machine = inviting(own=(OWN_SIP, OWN_RING))
    machine.looked_up(found("bob", contact=node), NOW)
    line = only(machine, SendLine).line
    machine.line_received(redirect_to(line, contacts=contacts), node, NOW + 0.1)
    return next(event.outcome for event in drain(machine) if isinstance(event, Done))


@pytest.mark.parametrize(
    "contact",
    [
        "127.0.0.1:6379;tcp",
        "127.0.0.1:5060;udp",
        "[::1]:5060;udp",
        "[::ffff:7f00:1]:6379;tcp",
        "192.0.2.66:25;tcp",
        "192.0.2.66:53;udp",
        "0.1.2.3:5060;udp",
        "240.0.0.1:5060;udp",
        "192.0.2.10:5070;udp",
        "192.0.2.10:7001;udp",
    ],
)
def test_no_phone_is_sent_to_what_is_no_phone(contact):
    outcome = outcome_of(contact)
    assert (outcome.status, outcome.contacts) == (480, ())


def test_a_second_contact_that_is_sound_is_used():
    outcome = outcome_of("127.0.0.1:5060;udp", "192.0.2.20:5062;udp")
    assert outcome.status == 302
    assert [uri.partition(";")[0] for uri in outcome.contacts] == ["sip:bob@192.0.2.20:5062"]


def test_a_callee_on_the_same_host_may_name_its_loopback():
    assert outcome_of("127.0.0.1:5062;udp", node=BOB_NODE).status == 302
