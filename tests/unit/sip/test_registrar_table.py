"""Every state of a binding meets every REGISTER, and every caller's standing every INVITE: legal or refused."""

from __future__ import annotations

import itertools

import pytest

from adapter.sip.binding import MIN_EXPIRES_S
from adapter.sip.message import parse_request
from adapter.sip.redirect import decide
from adapter.sip.refusal import as_refusal
from adapter.sip.validate import validate
from overlay.errors import RemoteError
from tests.support.sip_phone import spell
from tests.unit.sip.servers import make_server
from tests.unit.sip.test_registrar import ALICE, send, uris

EXPIRES_S = 100
REGISTER_CSEQ = 5
# what is sent: its headers, its CSeq number, its Call-ID
EVENTS = {
    "ask": ((), 6, "reg"),
    "bind": ((f"Contact: {ALICE}",), 6, "reg"),
    "bind, out of order": ((f"Contact: {ALICE}",), 4, "reg"),
    "bind, phone restarted": ((f"Contact: {ALICE}",), 1, "another"),
    "remove": ((f"Contact: {ALICE};expires=0",), 6, "reg"),
    "remove, out of order": ((f"Contact: {ALICE};expires=0",), 4, "reg"),
    "remove all": (("Contact: *", "Expires: 0"), 6, "reg"),
    "remove all, out of order": (("Contact: *", "Expires: 0"), 4, "reg"),
    "remove all, for a time": (("Contact: *", "Expires: 60"), 6, "reg"),
    "bind for too short": ((f"Contact: {ALICE};expires={MIN_EXPIRES_S - 1}",), 6, "reg"),
    "bind what is no contact": (("Contact: <tel:+49301234>",), 6, "reg"),
}
# event -> (status and whether it is bound afterwards) where nothing is bound, and where it is [RFC 3261 §10.3]
BINDING_TABLE = {
    "ask": ((200, False), (200, True)),
    "bind": ((200, True), (200, True)),
    "bind, out of order": ((200, True), (500, True)),
    "bind, phone restarted": ((200, True), (200, True)),
    "remove": ((200, False), (200, False)),
    "remove, out of order": ((200, False), (500, True)),
    "remove all": ((200, False), (200, False)),
    "remove all, out of order": ((200, False), (500, True)),
    "remove all, for a time": ((400, False), (400, True)),
    "bind for too short": ((423, False), (423, True)),
    "bind what is no contact": ((400, False), (400, True)),
}
STATES = ("absent", "removed", "expired", "bound")


def server_in(state: str):
    server = make_server()
    if state != "absent":
        send(server, f"Contact: {ALICE};expires={EXPIRES_S}", cseq=REGISTER_CSEQ)
    if state == "removed":
        send(server, f"Contact: {ALICE};expires=0", cseq=REGISTER_CSEQ + 1, call_id="other")
    return server


@pytest.mark.parametrize(("state", "event"), list(itertools.product(STATES, EVENTS)))
def test_every_register_in_every_state_of_a_binding(state, event):
    server = server_in(state)
    now = EXPIRES_S + 1.0 if state == "expired" else 50.0
    headers, cseq, call_id = EVENTS[event]
    answer = send(server, *headers, cseq=cseq, call_id=call_id, now=now, branch=";branch=z9hG4bK-under-test")
    is_bound = uris(server, now=now) == ["sip:alice@192.0.2.5:5062"]
    assert (answer.status, is_bound) == BINDING_TABLE[event][state == "bound"]


def test_the_table_of_bindings_is_whole():
    assert set(BINDING_TABLE) == set(EVENTS)


CALLERS = {
    "nobody": frozenset(),
    "alice": frozenset({"alice"}),
    "carol": frozenset({"carol"}),
    "both": frozenset({"alice", "carol"}),
}
INVITES = {
    "good": {},
    "in a dialog": {"to": "<sip:bob@192.0.2.1>;tag=there"},
    "foreign host": {"uri": "sip:bob@198.51.100.1"},
    "no name": {"uri": "sip:no%20such@192.0.2.1"},
}
KNOWN = {"good": "bob", "in a dialog": 481, "foreign host": 404, "no name": 404}


@pytest.mark.parametrize(("callers", "invite"), list(itertools.product(CALLERS, INVITES)))
def test_every_invite_from_every_kind_of_phone(callers, invite):
    fields = {"uri": "sip:bob@192.0.2.1", "to": "<sip:bob@192.0.2.1>", "sender": "<sip:alice@192.0.2.1>;tag=a"}
    request = validate(parse_request(spell("INVITE", **fields | INVITES[invite])), transport="UDP")
    try:
        call = decide(
            request,
            source=("192.0.2.5", 5062),
            callers=CALLERS[callers],
            is_own_host=lambda host, _port: host == "192.0.2.1",
        )
        said = call.callee
        assert call.caller == "alice"
    except RemoteError as error:
        said = as_refusal(error).status
    assert said == (KNOWN[invite] if "alice" in CALLERS[callers] else 403)
