"""The server with connections: who is known by which, and what ends with one."""

from __future__ import annotations

import pytest

from adapter.sip.matching import Flow
from adapter.sip.refusal import Refusal
from adapter.sip.server import SipServer
from adapter.sip.verdict import Cancelled, InviteAsked, RegisterAsked, RegisterVerdict
from tests.support.sip_phone import spell
from tests.unit.sip.servers import ADDRESS, FLOW, answers, ask, invite, make_server

FIRST = Flow(transport="TCP", host="192.0.2.5", port=40_000, connection=1)
SECOND = Flow(transport="TCP", host="192.0.2.5", port=40_000, connection=2)


def registration(contact: str = "<sip:alice@192.0.2.5:5062;transport=tcp>", **fields: object) -> bytes:
    return spell(headers=(f"Contact: {contact}",), call_id="reg", **fields)  # type: ignore[arg-type]


def test_a_port_used_again_by_another_connection_is_another_phone():
    server = make_server()
    assert [answer.status for answer in ask(server, registration(), flow=FIRST)] == [200]
    assert [answer.status for answer in ask(server, invite(), flow=SECOND)] == [403]
    udp = Flow(host="192.0.2.5", port=40_000)
    assert [answer.status for answer in ask(server, invite(), flow=udp)] == [403]
    assert [answer.status for answer in ask(server, invite(), flow=FIRST)] == [100, 302]


def test_a_lost_connection_gives_up_its_calls_and_nothing_else():
    server = make_server()
    ask(server, registration(), flow=FIRST)
    server.receive(registration(cseq=2), FIRST, 0.0)
    register = server.next_event()
    assert isinstance(register, RegisterAsked)
    server.receive(invite(), FIRST, 0.0)
    call = server.next_event()
    assert isinstance(call, InviteAsked)
    server.connection_lost(1, 0.0)
    assert server.next_event() == Cancelled(ticket=call.ticket)
    assert (server.next_event(), server.live_transactions()) == (None, 0)
    server.datagrams_to_send()
    server.answer(register.ticket, RegisterVerdict(), 1.0)
    server.fail(call.ticket, Refusal(500), 1.0)
    assert server.datagrams_to_send() == []
    assert [binding.cseq for binding in server.contacts("alice", 1.0)] == [2]
    assert server._exchanges._connected == {}
    server.connection_lost(1, 2.0)


@pytest.mark.parametrize(
    ("flow", "port", "one_way"),
    [
        (FIRST, 40_000, True),
        (FIRST, 5062, False),
        (Flow(transport="TCP", host="192.0.2.5", port=5062, connection=1), 5062, False),
        (Flow(host="192.0.2.5", port=40_000), 40_000, False),
    ],
)
def test_a_contact_that_is_a_connection_s_own_end_is_one_way(flow, port, one_way):
    server = make_server()
    ask(server, registration(f"<sip:alice@192.0.2.5:{port}>"), flow=flow)
    assert [binding.is_one_way for binding in server.contacts("alice", 0.0)] == [one_way]


def test_a_loopback_contact_keeps_its_transport_when_its_host_is_rewritten():
    server = make_server()
    ask(server, registration("<sip:alice@127.0.0.1:5062;transport=tls>"), flow=FIRST)
    (binding,) = server.contacts("alice", 0.0)
    assert binding.uri == f"sip:alice@{ADDRESS[0]}:5062;transport=tls"
    assert (binding.host, binding.port, binding.transport) == (ADDRESS[0], 5062, "tls")


@pytest.mark.parametrize(
    ("contact", "status"),
    [
        ("<sip:alice@192.0.2.1:5071;transport=tls>", 400),
        ("<sip:alice@127.0.0.1:5071;transport=tcp>", 400),
        ("<sip:alice@192.0.2.1:5070;transport=tcp>", 400),
        ("<sip:alice@192.0.2.1:5071>", 200),
    ],
)
def test_a_contact_at_a_door_of_the_adapter_is_refused_and_beside_it_is_not(contact, status):
    server = SipServer(
        accepts=lambda host: True,
        serves=lambda user: True,
        is_own_host=lambda host, port: True,
        address=lambda: ADDRESS,
        tls_port=lambda: 5071,
        tag_key=bytes(32),
    )
    assert [answer.status for answer in ask(server, registration(contact))] == [status]


def test_stun_is_answered_to_phones_of_this_host_and_to_nobody_else():
    server = make_server()
    request = b"\0\x01\0\0\x21\x12\xa4\x42" + bytes(12)
    server.receive(request, FLOW, 0.0)
    ((answer, flow),) = server.datagrams_to_send()
    assert (answer[:2], flow) == (b"\x01\x01", FLOW)
    server.receive(request, Flow(host="198.51.100.1", port=9), 0.0)
    server.receive(request, FIRST, 0.0)
    assert server.datagrams_to_send() == []


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [(b"Content-Length: 0\r\n", b"", 400), (b"Content-Length: 0", b"Content-Length: 70000", 413)],
)
def test_over_a_connection_a_length_must_be_there_and_small(old, new, status):
    server = make_server()
    server.receive(spell("OPTIONS").replace(old, new), FIRST, 0.0)
    assert [answer.status for answer in answers(server)] == [status]
