"""REGISTER by RFC 3261 §10.3: what is stored, what is refused, what the answer lists."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adapter.sip.binding import MAX_CONTACTS_PER_REQUEST, MAX_EXPIRES_S, MIN_EXPIRES_S
from adapter.sip.matching import Flow
from adapter.sip.registrar import MAX_BINDINGS, MAX_CONTACTS_PER_USER
from adapter.sip.verdict import RegisterAsked, RegisterVerdict
from tests.support.sip_phone import Answer, spell
from tests.unit.sip.servers import FLOW, ask, make_server

if TYPE_CHECKING:
    from adapter.sip.server import SipServer

ALICE = "<sip:alice@192.0.2.5:5062>"


def send(server: SipServer, *headers: str, cseq: int = 1, call_id: str = "reg", now: float = 0.0, **fields) -> Answer:
    (answer,) = ask(server, spell(headers=headers, cseq=cseq, call_id=call_id, **fields), now=now)
    return answer


def uris(server: SipServer, user: str = "alice", now: float = 0.0) -> list[str]:
    return [binding.uri for binding in server.contacts(user, now)]


@pytest.mark.parametrize(
    ("contact", "granted"),
    [
        (f"{ALICE}", MAX_EXPIRES_S),
        (f"{ALICE};expires=90", 90),
        (f"{ALICE};expires=99999999999999999999999", MAX_EXPIRES_S),
        (f"{ALICE};expires=soon", MAX_EXPIRES_S),
        ("sip:alice@192.0.2.5:5062;expires=90", 90),
        (f"{ALICE};EXPIRES = 90", 90),
    ],
)
def test_the_time_asked_for_is_granted_within_bounds(contact, granted):
    answer = send(make_server(), f"Contact: {contact}")
    assert answer.status == 200
    assert answer.one("Contact").endswith(f";expires={granted}")
    assert answer.one("Contact").lower().count("expires") == 1


def test_a_contacts_own_expires_goes_before_the_header():
    answer = send(make_server(), f"Contact: {ALICE};expires=90, <sip:alice@192.0.2.6>", "Expires: 120")
    assert sorted(answer.all("Contact")) == [f"{ALICE};expires=90", "<sip:alice@192.0.2.6>;expires=120"]


def test_a_contact_is_echoed_as_it_came():
    raw = '"Al, \\"ice\\"" <sip:%61lice@192.0.2.5:5062;ob>;reg-id=1;+sip.instance="<urn:uuid:0,1;expires=3>";q=0.7'
    answer = send(make_server(), f"Contact: {raw};expires=60")
    assert answer.one("Contact") == raw + ";expires=60"


def test_too_short_a_time_is_423_and_names_the_least():
    answer = send(make_server(), f"Contact: {ALICE};expires={MIN_EXPIRES_S - 1}")
    assert (answer.status, answer.one("Min-Expires")) == (423, str(MIN_EXPIRES_S))


def test_the_answer_lists_every_contact_with_the_time_left():
    server = make_server()
    send(server, f"Contact: {ALICE};expires=100")
    answer = send(server, "Contact: <sip:alice@192.0.2.6>;expires=60", call_id="other", now=30.4)
    assert sorted(answer.all("Contact")) == [f"{ALICE};expires=70", "<sip:alice@192.0.2.6>;expires=60"]


def test_a_binding_ends_when_its_time_is_over():
    server = make_server()
    send(server, f"Contact: {ALICE};expires=60")
    assert uris(server, now=59.9) == ["sip:alice@192.0.2.5:5062"]
    assert uris(server, now=60.0) == []


def test_a_refresh_lengthens_one_binding():
    server = make_server()
    send(server, f"Contact: {ALICE};expires=60")
    send(server, f"Contact: {ALICE};expires=60", cseq=2, now=50.0)
    assert uris(server, now=100.0) == ["sip:alice@192.0.2.5:5062"]


def test_expires_0_removes_one_contact_and_star_removes_all():
    server = make_server()
    send(server, f"Contact: {ALICE}", "Contact: <sip:alice@192.0.2.6>")
    assert len(uris(server)) == 2
    assert send(server, f"Contact: {ALICE};expires=0", cseq=2).status == 200
    assert uris(server) == ["sip:alice@192.0.2.6"]
    assert send(server, "Contact: *", "Expires: 0", cseq=3).all("Contact") == []
    assert uris(server) == []


@pytest.mark.parametrize(
    "headers",
    [
        ("Contact: *",),
        ("Contact: *", "Expires: 60"),
        ("Contact: *", f"Contact: {ALICE}", "Expires: 0"),
        ("Contact: *;q=1", "Expires: 0"),
        ("Contact: <tel:+123>",),
        ("Contact: <sip:alice@>",),
        (f"Contact: {ALICE};q=2",),
        (f"Contact: {ALICE};q=0.1234",),
        (f"Contact: {ALICE};q",),
        ('Contact: "alice <sip:alice@192.0.2.5>',),
        ("Contact: sip:alice@192.0.2.5?Subject=x",),
        ("Contact: " + ", ".join([ALICE] * (MAX_CONTACTS_PER_REQUEST + 1)),),
        (f"Contact: <sip:{'a' * 1100}@h>",),
    ],
)
def test_a_contact_that_cannot_be_taken_is_400_and_changes_nothing(headers):
    server = make_server()
    send(server, f"Contact: {ALICE}")
    assert send(server, *headers, cseq=2).status == 400
    assert uris(server) == ["sip:alice@192.0.2.5:5062"]


def test_one_bad_contact_spoils_all_of_its_request():
    server = make_server()
    assert send(server, f"Contact: {ALICE}, <sip:alice@192.0.2.6>;expires=1").status == 423
    assert uris(server) == []


def test_an_older_register_of_the_same_phone_changes_nothing():
    server = make_server()
    send(server, f"Contact: {ALICE}", cseq=5)
    for cseq in (4, 5):
        assert send(server, f"Contact: {ALICE};expires=0", cseq=cseq).status == 500
        assert send(server, "Contact: *", "Expires: 0", cseq=cseq).status == 500
    assert uris(server) == ["sip:alice@192.0.2.5:5062"]


def test_another_call_id_has_its_own_order():
    server = make_server()
    send(server, f"Contact: {ALICE}", cseq=5)
    assert send(server, f"Contact: {ALICE};expires=0", cseq=1, call_id="restarted").status == 200
    assert uris(server) == []


def test_the_order_is_checked_again_when_the_overlay_has_answered():
    server = make_server()
    server.receive(spell(headers=(f"Contact: {ALICE}",), cseq=1, call_id="reg"), FLOW, 0.0)
    slow = server.next_event()
    assert isinstance(slow, RegisterAsked)
    assert send(server, "Contact: <sip:alice@192.0.2.5:5062>", cseq=2).status == 200
    server.answer(slow.ticket, RegisterVerdict(), 0.0)
    ((data, _),) = server.datagrams_to_send()
    assert data.startswith(b"SIP/2.0 500 REGISTER out of order\r\n")


def test_contacts_are_ranked_by_q_and_the_youngest_goes_first_among_equals():
    server = make_server()
    send(server, "Contact: <sip:alice@a>;q=0.5, <sip:alice@b>, <sip:alice@c>;q=0.5, <sip:alice@d>;q=1.0")
    assert uris(server) == ["sip:alice@d", "sip:alice@b", "sip:alice@c", "sip:alice@a"]


def test_one_contact_too_many_pushes_the_oldest_out():
    server = make_server()
    for number in range(MAX_CONTACTS_PER_USER + 1):
        assert send(server, f"Contact: <sip:alice@h{number}>", call_id=f"reg-{number}").status == 200
    assert len(uris(server)) == MAX_CONTACTS_PER_USER
    assert "sip:alice@h0" not in uris(server)


def test_a_registrar_that_is_full_is_503_and_refreshes_go_on():
    server = make_server(everywhere=True)
    per_request = MAX_CONTACTS_PER_REQUEST
    for number in range(MAX_BINDINGS // per_request):
        contacts = ", ".join(f"<sip:u@h{index}>" for index in range(per_request))
        assert send(server, f"Contact: {contacts}", user=f"user{number}", call_id=f"reg-{number}").status == 200
    full = send(server, f"Contact: {ALICE}")
    assert (full.status, full.one("Retry-After")) == (503, "60")
    assert send(server, "Contact: <sip:u@h0>", user="user0", call_id="reg-0", cseq=2).status == 200
    # what has ended makes room by itself
    assert send(server, f"Contact: {ALICE}", cseq=2, now=MAX_EXPIRES_S + 1.0).status == 200


def test_asking_and_leaving_need_no_overlay():
    server = make_server()
    send(server, f"Contact: {ALICE};expires=60")
    server.receive(spell(cseq=2, call_id="reg"), FLOW, 1.0)
    server.receive(spell(cseq=3, call_id="reg", headers=(f"Contact: {ALICE};expires=0",)), FLOW, 1.0)
    assert server.next_event() is None
    assert [data[:11] for data, _ in server.datagrams_to_send()] == [b"SIP/2.0 200", b"SIP/2.0 200"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "localhost", "LOCALHOST", "[::1]", "0.0.0.0"])
def test_a_loopback_contact_becomes_this_adapters_address_for_others(host):
    server = make_server()
    answer = send(server, f"Contact: <sip:alice@{host}:5062;ob>;expires=60")
    (binding,) = server.contacts("alice", 0.0)
    assert (binding.uri, binding.host, binding.port) == ("sip:alice@192.0.2.1:5062;ob", "192.0.2.1", 5062)
    assert answer.one("Contact") == f"<sip:alice@{host}:5062;ob>;expires=60"


@pytest.mark.parametrize("address", [("127.0.0.1", 5070), ("0.0.0.0", 5070)])
def test_on_loopback_a_loopback_contact_stays_what_it_is(address):
    server = make_server(address=address)
    send(server, "Contact: <sip:alice@127.0.0.1:5062>")
    assert uris(server) == ["sip:alice@127.0.0.1:5062"]


def test_a_contact_that_is_the_adapter_itself_is_refused():
    assert send(make_server(), "Contact: <sip:alice@192.0.2.1:5070>").status == 400
    assert send(make_server(), "Contact: <sip:alice@127.0.0.1:5070>").status == 400
    assert send(make_server(), "Contact: <sip:alice@192.0.2.1:5062>").status == 200


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ({"user": "dave"}, 404, "No such user on this adapter"),
        ({"to": "<sip:alice@example.org>"}, 404, "This adapter serves another address"),
        ({"uri": "sip:example.org"}, 404, "This adapter serves another address"),
        ({"sender": "<sip:carol@127.0.0.1>;tag=1"}, 403, "From names another user"),
        ({"to": "<tel:+123>"}, 400, "To is not a SIP URI"),
        ({"user": "alice%00"}, 404, "No such user on this adapter"),
    ],
)
def test_a_register_for_somebody_else_is_refused(fields, status, reason):
    answer = send(make_server(), f"Contact: {ALICE}", **fields)
    assert (answer.status, answer.reason) == (status, reason)


def test_a_name_is_one_in_all_of_its_spellings():
    server = make_server()
    assert send(server, f"Contact: {ALICE}", user="%41LICE").status == 200
    assert uris(server) == ["sip:alice@192.0.2.5:5062"]


def test_a_refresh_from_another_port_moves_the_phone():
    server = make_server()
    send(server, f"Contact: {ALICE}")
    ask(server, spell(headers=(f"Contact: {ALICE}",), cseq=2, call_id="reg"), flow=Flow(host="192.0.2.5", port=5099))
    (binding,) = server.contacts("alice", 0.0)
    assert binding.source == ("192.0.2.5", 5099)
