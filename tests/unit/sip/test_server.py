"""The server without its sockets: order of treatment, timers on a clock of the test's own, caps."""

from __future__ import annotations

import pytest

from adapter.sip.limits import Limits
from adapter.sip.matching import Flow
from adapter.sip.refusal import Refusal
from adapter.sip.server import SipServer
from adapter.sip.verdict import Acknowledged, Cancelled, InviteAsked, InviteVerdict, RegisterVerdict
from overlay.errors import LocalError
from tests.support.sip_phone import spell
from tests.unit.sip.servers import ADDRESS, BOB, FLOW, answer_all, answers, ask, invite, make_server, register


def pass_time(server: SipServer, *, until: float) -> list[float]:
    """Let time pass; return when something was sent."""
    sent = []
    while (due := server.next_deadline()) is not None and due <= until:
        server.handle_timer(due)
        sent += [due] * len(server.datagrams_to_send())
    return sent


def called(server: SipServer, data: bytes | None = None) -> InviteAsked:
    register(server)
    server.receive(data or invite(), FLOW, 0.0)
    event = server.next_event()
    assert isinstance(event, InviteAsked)
    return event


def test_100_goes_out_before_the_service_is_asked():
    server = make_server()
    called(server, invite(headers=("Timestamp: 54",)))
    (trying,) = answers(server)
    assert (trying.status, trying.to_tag, trying.one("Timestamp")) == (100, "", "54")


def test_a_redirect_is_repeated_on_schedule_until_its_ack():
    server = make_server()
    event = called(server)
    server.answer(event.ticket, InviteVerdict(contacts=(BOB,)), 0.0)
    _, moved = answers(server)
    assert pass_time(server, until=8.0) == [0.5, 1.5, 3.5, 7.5]
    server.receive(invite(method="ACK", to=moved.one("To")), FLOW, 9.0)
    assert pass_time(server, until=13.9) == []
    assert server.live_transactions() == 2
    pass_time(server, until=14.0)
    assert server.live_transactions() == 1


def test_the_first_ack_is_told_and_no_other():
    server = make_server()
    event = called(server)
    server.answer(event.ticket, InviteVerdict(contacts=(BOB,)), 0.0)
    for _ in range(2):
        server.receive(invite(method="ACK"), FLOW, 1.0)
    assert server.next_event() == Acknowledged(call=event.call)
    assert server.next_event() is None


def test_without_an_ack_a_redirect_is_given_up_after_32_s():
    server = make_server()
    event = called(server)
    server.answer(event.ticket, InviteVerdict(contacts=(BOB,)), 0.0)
    server.datagrams_to_send()
    assert pass_time(server, until=100.0)[-1] == 31.5
    assert (server.live_transactions(), server.next_deadline()) == (0, None)


def test_an_answered_register_is_kept_32_s_and_then_forgotten():
    server = make_server()
    data = spell(headers=("Contact: <sip:alice@h>",))
    (first,) = ask(server, data)
    (again,) = ask(server, data, now=31.9)
    assert first.raw == again.raw
    server.handle_timer(32.0)
    assert server.live_transactions() == 0


def test_two_contacts_are_ranked():
    server = make_server()
    event = called(server)
    server.answer(event.ticket, InviteVerdict(contacts=(BOB, "sip:bob@192.0.2.8")), 0.0)
    moved = answers(server)[-1]
    assert moved.all("Contact") == [f"<{BOB}>;q=1.0", "<sip:bob@192.0.2.8>;q=0.5"]


def test_every_answer_of_a_transaction_names_one_to_tag_and_two_transactions_two():
    server = make_server()
    register(server)
    first = ask(server, invite())[-1]
    second = ask(server, invite(branch=";branch=z9hG4bK-2", call_id="call-2"))[-1]
    assert first.to_tag != second.to_tag


def test_487_is_sent_before_the_service_hears_of_the_cancel():
    server = make_server()
    event = called(server)
    server.datagrams_to_send()
    server.receive(invite(method="CANCEL"), FLOW, 0.1)
    ok, terminated = answers(server)
    assert (ok.status, terminated.status) == (200, 487)
    assert ok.to_tag == terminated.to_tag != ""
    assert server.next_event() == Cancelled(ticket=event.ticket)
    server.answer(event.ticket, InviteVerdict(contacts=(BOB,)), 0.2)
    assert server.datagrams_to_send() == []


def test_a_cancel_from_another_host_finds_nothing():
    server = make_server()
    called(server)
    server.datagrams_to_send()
    server.receive(invite(method="CANCEL"), Flow(host="192.0.2.66", port=5062), 0.1)
    assert [answer.status for answer in answers(server)] == [481]
    assert server.next_event() is None


def test_a_branch_used_again_over_another_connection_is_another_transaction():
    server = make_server()
    data = spell("OPTIONS")
    first, second = (Flow(transport="TCP", host="192.0.2.5", port=4000, connection=number) for number in (1, 2))
    server.receive(data, first, 0.0)
    server.receive(data, second, 0.0)
    assert [flow for _, flow in server.datagrams_to_send()] == [first, second]


def test_an_old_phone_without_a_cookie_is_matched_by_its_fields():
    server = make_server()
    register(server)
    old = {"branch": ";branch=1", "call_id": "old@phone"}
    (trying, moved) = ask(server, invite(**old))
    assert (trying.status, moved.status) == (100, 302)
    assert [answer.status for answer in ask(server, invite(**old))] == [302]
    assert [answer.status for answer in ask(server, invite(cseq=2, **old))] == [100, 302]
    server.receive(invite(method="ACK", to=moved.one("To"), **old), FLOW, 0.0)
    assert ask(server, invite(**old)) == []


def test_a_request_that_comes_by_two_ways_is_482():
    server = make_server()
    called(server)
    server.datagrams_to_send()
    assert [answer.status for answer in ask(server, invite(branch=";branch=z9hG4bK-other"))] == [482]


def test_no_hop_left_and_not_arrived_is_483():
    data = spell("OPTIONS", uri="sip:example.org").replace(b"Max-Forwards: 70", b"Max-Forwards: 0")
    assert [answer.status for answer in ask(make_server(), data)] == [483]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (spell("OPTIONS", uri="sip:example.org"), 404),
        (spell("OPTIONS", uri="tel:+123"), 416),
        (spell("OPTIONS", uri="sips:127.0.0.1"), 416),
        (spell("OPTIONS", headers=("Require: 100rel",)), 420),
        (spell("BYE"), 405),
        (spell("OPTIONS").replace(b"SIP/2.0\r\n", b"SIP/3.0\r\n", 1), 505),
        (spell("OPTIONS", cseq_method="INVITE"), 400),
        (spell("OPTIONS").replace(b"Call-ID: call-1@phone\r\n", b""), 400),
        (spell("OPTIONS", headers=("no colon here",)), 400),
    ],
)
def test_what_cannot_be_served_is_refused_with_its_status(data, status):
    assert [answer.status for answer in ask(make_server(), data)] == [status]


def test_an_invite_inside_a_dialog_is_481():
    server = make_server()
    register(server)
    assert [answer.status for answer in ask(server, invite(to="<sip:bob@192.0.2.1>;tag=x"))] == [481]


@pytest.mark.parametrize(
    "uri", ["sip:bob@example.org", "sip:bob@192.0.2.1:5071", "sip:b%00b@192.0.2.1", "sip:192.0.2.1"]
)
def test_a_foreign_host_or_no_name_is_404_and_no_lookup(uri):
    server = make_server()
    register(server)
    assert [answer.status for answer in ask(server, spell("INVITE", uri=uri, to=f"<{uri}>"))] == [404]


def test_an_ack_is_never_answered_however_wrong_it_is():
    server = make_server()
    for data in (
        invite(method="ACK"),
        invite(method="ACK", cseq_method="INVITE"),
        invite(method="ACK").replace(b"SIP/2.0\r\n", b"SIP/9.0\r\n", 1),
        invite(method="ACK").replace(b"Via", b"Xia"),
        invite(method="ACK", headers=("Require: x",)),
    ):
        server.receive(data, FLOW, 0.0)
        server.receive(data, Flow(host="198.51.100.1", port=5060), 0.0)
    assert server.datagrams_to_send() == []
    assert server.live_transactions() == 0


def test_without_a_via_nothing_can_be_answered():
    server = make_server()
    server.receive(spell("OPTIONS").replace(b"Via", b"Xia"), FLOW, 0.0)
    assert server.datagrams_to_send() == []


def test_refusals_keep_nothing_and_are_the_same_each_time():
    server = make_server()
    stranger = Flow(host="198.51.100.1", port=5060)
    for flow, data in ((stranger, spell()), (FLOW, spell(cseq_method="X"))):
        first, second = ask(server, data, flow=flow), ask(server, data, flow=flow)
        assert first == second
        assert first[0].to_tag != ""
    assert server.live_transactions() == 0


def test_a_refusal_of_a_stranger_is_hardly_larger_than_what_it_sent():
    data = spell("REGISTER")
    server = make_server()
    server.receive(data, Flow(host="198.51.100.1", port=5060), 0.0)
    ((answer, _),) = server.datagrams_to_send()
    assert len(answer) < 1.3 * len(data)


def test_over_the_cap_of_transactions_there_is_a_503():
    server = make_server(limits=Limits(transactions=2))
    results = [ask(server, spell("OPTIONS", call_id=f"c{number}"))[0] for number in range(3)]
    assert [answer.status for answer in results] == [200, 200, 503]
    assert results[2].one("Retry-After") == "5"
    assert server.live_transactions() == 2


def test_over_the_cap_of_questions_there_is_a_503():
    server = make_server(limits=Limits(questions=1))
    called(server)
    server.datagrams_to_send()
    busy = ask(server, invite(branch=";branch=z9hG4bK-9", call_id="call-9"))
    assert [answer.status for answer in busy] == [503]


def test_what_the_service_fails_at_is_what_it_is_told():
    server = make_server()
    event = called(server)
    server.fail(event.ticket, Refusal(500), 0.0)
    server.fail(event.ticket, Refusal(503), 0.0)
    assert [answer.status for answer in answers(server)] == [100, 500]
    assert server.open_tickets() == ()


def test_a_verdict_of_the_wrong_kind_leaves_the_question_open():
    server = make_server()
    event = called(server)
    with pytest.raises(LocalError):
        server.answer(event.ticket, RegisterVerdict(), 0.0)
    assert server.open_tickets() == (event.ticket,)


def test_a_key_of_the_wrong_length_is_our_own_mistake():
    with pytest.raises(LocalError):
        SipServer(
            accepts=lambda host: True,
            serves=lambda user: True,
            is_own_host=lambda host, port: True,
            address=lambda: ADDRESS,
            tag_key=b"short",
        )


def test_retransmissions_do_not_lengthen_the_queue_of_timers():
    server = make_server()
    data = spell("OPTIONS")
    for _ in range(1000):
        server.receive(data, FLOW, 0.0)
    assert len(server._exchanges._deadlines) == 1


def test_hundreds_of_calls_end_without_a_trace():
    server = make_server()
    register(server)
    for number in range(300):
        branch, call_id = f";branch=z9hG4bK-{number}", f"call-{number}"
        moved = ask(server, invite(branch=branch, call_id=call_id), now=float(number))[-1]
        server.receive(invite(method="ACK", branch=branch, call_id=call_id, to=moved.one("To")), FLOW, float(number))
    pass_time(server, until=1000.0)
    answer_all(server)
    assert (server.live_transactions(), server.next_deadline(), server.open_tickets()) == (0, None, ())
    assert server._exchanges._twins == {}
