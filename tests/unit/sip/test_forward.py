"""The stateless forward, through a whole server: what passes, and a test for each thing that must not."""

from __future__ import annotations

import pytest

from adapter.sip.forward import CALL_S, GRANT_S, MAX_GRANTS, MAX_INVITES, MAX_REQUESTS, MAX_RESPONSES, Forward
from adapter.sip.matching import Flow
from adapter.sip.message import parse_request
from adapter.sip.refusal import Refusal
from adapter.sip.validate import validate
from adapter.sip.verdict import InviteAsked, InviteVerdict
from tests.support.sip_phone import spell
from tests.unit.sip.servers import ADDRESS, BOB, FLOW, ask, invite, make_server, register

CALLEE = Flow(host="192.0.2.7", port=5062)
VIA = "SIP/2.0/UDP 192.0.2.5:5062"
BRANCH = ";branch=z9hG4bK-second"


def follow(method: str = "INVITE", *, uri: str = BOB, branch: str = BRANCH, user: str = "alice", **fields) -> bytes:
    """What the phone sends to the wrong place after its 302."""
    fields = {"via": VIA, "call_id": "call-2@phone", "cseq": 20, "to": f"<{BOB}>", **fields}
    return spell(method, uri=uri, branch=branch, user=user, **fields)


def redirected(now: float = 0.0, *, contact: str = BOB, flow: Flow = FLOW):
    """A server whose phone at FLOW has just got a 302 to `contact`."""
    server = make_server()
    register(server, now=now, flow=flow)
    server.receive(invite(), flow, now)
    asked = server.next_event()
    assert isinstance(asked, InviteAsked)
    server.answer(asked.ticket, InviteVerdict(contacts=(contact,)), now)
    server.datagrams_to_send()
    return server


def sent(server, data: bytes, flow: Flow = FLOW, now: float = 1.0):
    server.receive(data, flow, now)
    return server.datagrams_to_send()


def forwarded(server, data: bytes | None = None, *, now: float = 1.0) -> str:
    ((message, target),) = sent(server, data or follow(), now=now)
    assert target == CALLEE
    return message.decode()


def vias(message: str) -> list[str]:
    return [line.removeprefix("Via: ") for line in message.split("\r\n") if line.startswith("Via: ")]


def reply(request: str, status: str = "200 OK", *, drop: str = "", swap: tuple[str, str] = ("", "")) -> bytes:
    """What the called phone answers: the request's own headers under a status line."""
    lines = [line for line in request.split("\r\n")[1:] if not drop or not line.startswith(drop)]
    return ("\r\n".join((f"SIP/2.0 {status}", *lines))).replace(*swap).encode()


# ---- what passes


def test_the_invite_goes_to_the_contact_of_the_302_with_one_via_more_and_one_hop_less():
    message = forwarded(redirected(), follow(body="v=0\r\n", headers=("Subject: a  b", "X-Long: one\r\n two")))
    assert message.startswith(f"INVITE {BOB} SIP/2.0\r\n")
    ours, theirs = vias(message)
    assert ours.startswith(f"SIP/2.0/UDP {ADDRESS[0]}:{ADDRESS[1]};branch=z9hG4bK")
    assert theirs == "SIP/2.0/UDP 192.0.2.5:5062;branch=z9hG4bK-second;received=192.0.2.5;rport=5062"
    assert "\r\nMax-Forwards: 69\r\n" in message
    assert "\r\nSubject: a  b\r\nX-Long: one\r\n two\r\n" in message
    assert message.endswith("\r\n\r\nv=0\r\n")
    assert "Record-Route" not in message


def test_a_contact_over_tcp_gets_the_invite_over_tcp_and_answers_over_tcp_alone():
    contact = f"{BOB};transport=tcp"
    server = redirected(contact=contact)
    ((message, target),) = sent(server, follow(uri=contact))
    assert target == Flow(transport="TCP", host=CALLEE.host, port=CALLEE.port)
    request = message.decode()
    assert vias(request)[0].startswith(f"SIP/2.0/TCP {ADDRESS[0]}:{ADDRESS[1]};branch=z9hG4bK")
    silent(server, reply(request))
    ((answer, back),) = sent(server, reply(request), Flow(transport="TCP", host=CALLEE.host, port=5062, connection=9))
    assert back == FLOW
    assert vias(answer.decode()) == vias(request)[1:]


def test_an_answer_without_a_length_gets_one_for_a_phone_that_is_connected():
    server = redirected()
    ((answer, _),) = sent(server, reply(forwarded(server), drop="Content-Length"), CALLEE)
    assert b"\r\nContent-Length: 0\r\n" in answer


def test_no_transaction_is_kept_for_it():
    server = redirected()
    before = server.live_transactions()
    forwarded(server)
    assert server.live_transactions() == before


def test_a_retransmission_the_cancel_and_the_ack_of_a_refusal_have_the_invites_branch():
    server = redirected()
    messages = [forwarded(server, follow(method)) for method in ("INVITE", "INVITE", "CANCEL", "ACK")]
    assert len({vias(message)[0] for message in messages}) == 1


def test_another_invite_has_another_branch():
    server = redirected()
    one, other = forwarded(server), forwarded(server, follow(branch=";branch=z9hG4bK-third"))
    assert vias(one)[0] != vias(other)[0]
    assert vias(one)[0] != vias(forwarded(server, follow(cseq=21)))[0]


def test_a_phone_may_say_the_default_transport_and_a_route_that_is_this_adapter():
    message = forwarded(redirected(), follow(uri=f"{BOB};transport=udp", headers=("Route: <sip:192.0.2.1:5070;lr>",)))
    assert message.startswith(f"INVITE {BOB} SIP/2.0\r\n")
    assert "Route" not in message


def test_a_second_contact_of_the_302_is_as_good():
    server = redirected()
    register(server, now=2.0, cseq=2)
    server.receive(invite(branch=";branch=z9hG4bK-x", call_id="c3"), FLOW, 2.0)
    asked = server.next_event()
    server.answer(asked.ticket, InviteVerdict(contacts=("sip:bob@192.0.2.8:5060", BOB)), 2.0)
    server.datagrams_to_send()
    forwarded(server, now=3.0)


@pytest.mark.parametrize("status", ["100 Trying", "180 Ringing", "200 OK", "486 Busy Here"])
def test_an_answer_goes_back_to_the_phone_without_our_via(status):
    server = redirected()
    request = forwarded(server)
    ((message, target),) = sent(server, reply(request, status), CALLEE)
    assert target == FLOW
    assert message.decode().startswith(f"SIP/2.0 {status}\r\n")
    assert vias(message.decode()) == vias(request)[1:]


def test_an_answer_to_the_cancel_goes_back_too():
    server = redirected()
    forwarded(server)
    assert sent(server, reply(forwarded(server, follow("CANCEL"))), CALLEE)[0][1] == FLOW


def test_vias_may_come_back_on_one_line_with_parameters_in_another_order():
    server = redirected()
    request = forwarded(server)
    ours, _ = vias(request)
    back = "SIP/2.0/UDP 192.0.2.5:5062;rport=5062;received=192.0.2.5;branch=z9hG4bK-second"
    data = reply(request, drop="Via").decode().replace("\r\n", f"\r\nVia: {ours}, {back}\r\n", 1)
    ((message, _),) = sent(server, data.encode(), CALLEE)
    assert vias(message.decode()) == [back]


def test_without_rport_the_answer_goes_to_the_port_in_the_phones_via():
    flow = Flow(host="192.0.2.5", port=40_000)
    server = redirected(flow=flow)
    ((request, _),) = sent(server, follow().replace(b";rport", b""), flow)
    ((_, target),) = sent(server, reply(request.decode()), CALLEE)
    assert target == FLOW


def test_a_phone_may_ring_longer_than_a_redirect_lasts_and_still_be_cancelled():
    server = redirected()
    request = forwarded(server)
    assert sent(server, reply(request, "180 Ringing"), CALLEE, GRANT_S + 100)
    forwarded(server, follow("CANCEL"), now=GRANT_S + 101)
    forwarded(server, follow("ACK"), now=GRANT_S + 102)


# ---- requests that must not pass


def nothing_forwarded(server, data: bytes, flow: Flow = FLOW, now: float = 1.0) -> None:
    """No datagram leaves for anybody but the sender."""
    assert {target.host for _, target in sent(server, data, flow, now)} <= {flow.host}


@pytest.mark.parametrize("method", ["BYE", "OPTIONS", "MESSAGE", "REFER", "UPDATE", "PRACK", "INFO", "REGISTER"])
def test_no_other_method(method):
    server = redirected()
    forwarded(server)
    nothing_forwarded(server, follow(method))


@pytest.mark.parametrize("method", ["CANCEL", "ACK"])
def test_no_cancel_and_no_ack_without_the_invite_they_belong_to(method):
    server = redirected()
    nothing_forwarded(server, follow(method))
    forwarded(server)
    nothing_forwarded(server, follow(method, branch=";branch=z9hG4bK-of-a-2xx"))
    nothing_forwarded(server, follow(method, cseq=21))


@pytest.mark.parametrize(
    "flow",
    [
        Flow(host="192.0.2.5", port=5063),
        Flow(host="192.0.2.6", port=5062),
        Flow(transport="TCP", host="192.0.2.5", port=5062, connection=1),
    ],
)
def test_no_other_source(flow):
    nothing_forwarded(redirected(), follow(), flow)


@pytest.mark.parametrize(
    "uri",
    [
        "sip:bob@192.0.2.7:5063",
        "sip:bob@192.0.2.7",
        "sip:bob@192.0.2.8:5062",
        "sip:carol@192.0.2.7:5062",
        "sip:192.0.2.7:5062",
        f"{BOB};maddr=192.0.2.9",
        f"{BOB};transport=tcp",
        f"{BOB};p2p=AAAA",
    ],
)
def test_no_other_contact(uri):
    nothing_forwarded(redirected(), follow(uri=uri))


def test_no_contact_without_its_token():
    server = redirected(contact=f"{BOB};p2p=secret")
    nothing_forwarded(server, follow())
    nothing_forwarded(server, follow(uri=f"{BOB};p2p=Secret"))
    forwarded(server, follow(uri=f"{BOB};p2p=secret"))


def test_not_after_a_minute():
    nothing_forwarded(redirected(), follow(), now=GRANT_S)
    forwarded(redirected(), now=GRANT_S - 1)


def test_not_in_another_users_name():
    server = redirected()
    register(server, "carol", now=0.5)
    (answer,) = ask(server, follow(user="carol"), now=1.0)
    assert (answer.status, answer.reason) == (403, "From names another user")


def test_not_inside_a_dialog():
    nothing_forwarded(redirected(), follow(to=f"<{BOB}>;tag=7"))


def test_not_where_a_route_leads():
    server = redirected()
    (answer,) = ask(server, follow(headers=("Route: <sip:192.0.2.1:5070;lr>, <sip:192.0.2.66;lr>",)), now=1.0)
    assert answer.status == 403


def test_not_without_hops_and_not_with_what_a_proxy_would_have_to_know():
    server = redirected()
    assert ask(server, follow().replace(b"Max-Forwards: 70", b"Max-Forwards: 0"), now=1.0)[0].status == 483
    (answer,) = ask(server, follow(headers=("Proxy-Require: sec-agree",)), now=1.0)
    assert (answer.status, answer.one("Unsupported")) == (420, "sec-agree")


def test_not_when_the_302_was_refused_or_never_sent():
    server = make_server()
    register(server)
    nothing_forwarded(server, follow())
    server.receive(invite(), FLOW, 0.0)
    asked = server.next_event()
    server.answer(asked.ticket, InviteVerdict(status=404), 0.0)
    nothing_forwarded(server, follow())


def test_a_302_that_came_after_the_cancel_allows_nothing():
    server = make_server()
    register(server)
    server.receive(invite(), FLOW, 0.0)
    asked = server.next_event()
    server.receive(invite(method="CANCEL"), FLOW, 0.1)
    server.answer(asked.ticket, InviteVerdict(contacts=(BOB,)), 0.2)
    nothing_forwarded(server, follow())


def test_a_call_has_a_bounded_number_of_messages():
    server = redirected()
    for _ in range(MAX_REQUESTS):
        forwarded(server)
    (answer,) = ask(server, follow(), now=1.0)
    assert answer.status == 503


def test_a_redirect_has_a_bounded_number_of_calls():
    server = redirected()
    for number in range(MAX_INVITES):
        forwarded(server, follow(branch=f";branch=z9hG4bK-{number}"))
    assert ask(server, follow(branch=";branch=z9hG4bK-more"), now=1.0)[0].status == 503


@pytest.mark.parametrize(
    "contact",
    [
        "sip:bob@192.0.2.1:5070",
        "sip:bob@127.0.0.1:5062",
        "sip:bob@239.1.1.1:5062",
        "sip:bob@255.255.255.255:5062",
        "sip:bob@0.0.0.0:5062",
        "sip:bob@[2001:db8::7]:5062",
        "sip:bob@phone.example:5062",
        "sip:bob@192.0.2.7:5062;transport=tls",
        "sip:bob@192.0.2.7:5062;transport=sctp",
        "sip:bob@192.0.2.1:5070;transport=tcp",
        "sips:bob@192.0.2.7:5062",
    ],
)
def test_a_contact_that_is_no_phones_port_on_the_network_is_never_forwarded_to(contact):
    nothing_forwarded(redirected(contact=contact), follow(uri=contact))


def make_forward(address=ADDRESS, *, key: bytes = bytes(32)) -> Forward:
    return Forward(key=key, address=lambda: address, is_own_host=lambda host, port: host == address[0] and port is None)


def test_the_table_is_bounded_and_forgets_the_oldest():
    forward = make_forward()
    for number in range(MAX_GRANTS + 10):
        forward.grant(Flow(host="192.0.2.5", port=1024 + number), caller="alice", contacts=(BOB,), now=0.0)
    assert len(forward) == MAX_GRANTS
    request = validate(parse_request(follow()), transport="UDP")
    assert forward.request(request, Flow(host="192.0.2.5", port=1024), 1.0) is None
    assert forward.request(request, Flow(host="192.0.2.5", port=1024 + MAX_GRANTS), 1.0) is not None


def test_bytes_behind_the_body_do_not_ride_along():
    assert forwarded(redirected(), follow(body="v=0\r\n") + b"SIP/2.0 200 OK").endswith("\r\n\r\nv=0\r\n")


# ---- responses that must not pass


def silent(server, data: bytes, flow: Flow = CALLEE, now: float = 1.0) -> None:
    assert sent(server, data, flow, now) == []


def test_no_response_with_another_branch():
    server = redirected()
    request = forwarded(server)
    branch = vias(request)[0].partition("branch=")[2]
    other = branch[:-1] + ("0" if branch[-1] != "0" else "1")
    silent(server, reply(request, swap=(branch, other)))


def test_no_response_whose_lower_via_leads_elsewhere():
    server = redirected()
    request = forwarded(server)
    for swap in (
        ("received=192.0.2.5", "received=192.0.2.66"),
        ("rport=5062", "rport=53"),
        ("UDP 192.0.2.5:5062", "UDP 192.0.2.66:5062"),
        ("z9hG4bK-second", "z9hG4bK-other"),
        ("CSeq: 20 ", "CSeq: 21 "),
    ):
        silent(server, reply(request, swap=swap))


def test_no_response_from_another_host():
    server = redirected()
    silent(server, reply(forwarded(server)), Flow(host="192.0.2.66", port=5062))


def test_no_response_over_another_transport():
    server = redirected()
    silent(server, reply(forwarded(server)), Flow(transport="TCP", host="192.0.2.7", port=5062, connection=3))


def test_no_response_to_another_method_and_none_with_one_via():
    server = redirected()
    request = forwarded(server)
    silent(server, reply(request, swap=("20 INVITE", "20 OPTIONS")))
    silent(server, reply(request, drop=f"Via: {vias(request)[1]}"))
    silent(server, reply(request, swap=(":5070;branch", ":5071;branch")))


def test_no_response_of_another_process():
    """The branch of one key says nothing under another."""
    one, other = make_forward(), make_forward(key=bytes(31) + b"\1")
    request = validate(parse_request(follow()), transport="UDP")
    for forward in (one, other):
        forward.grant(FLOW, caller="alice", contacts=(BOB,), now=0.0)
    message, _ = one.request(request, FLOW, 1.0)
    other.request(request, FLOW, 1.0)
    assert one.response(reply(message.decode()), CALLEE, 1.0) is not None
    assert other.response(reply(message.decode()), CALLEE, 1.0) is None


def test_no_response_after_the_call_is_over():
    server = redirected()
    silent(server, reply(forwarded(server)), now=1.0 + CALL_S)


def test_a_call_has_a_bounded_number_of_responses():
    server = redirected()
    data = reply(forwarded(server), "180 Ringing")
    assert len([1 for _ in range(MAX_RESPONSES + 10) if sent(server, data, CALLEE)]) == MAX_RESPONSES


@pytest.mark.parametrize(
    "data",
    [
        b"SIP/2.0 200 OK\r\n\r\n",
        b"SIP/2.0 999 No\r\nVia: a\r\nVia: b\r\n\r\n",
        b"SIP/2.0 200 OK\r\nVia: x\r\nVia: y\r\nCSeq: 1 INVITE\r\n\r\n",
        b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP a\r\nVia: SIP/2.0/UDP b\r\nCSeq: " + b"9" * 5000 + b" INVITE\r\n\r\n",
        b"SIP/2.0 200 OK\r\nno colon\r\n\r\n",
        b"SIP/",
    ],
)
def test_malformed_responses_are_dropped_and_counted(data):
    server = redirected()
    silent(server, data)
    assert sum(count for reason, count in server.counters.items() if reason.startswith("dropped")) == 1


def test_a_response_longer_than_it_says_is_cut_and_a_shorter_one_dropped():
    server = redirected()
    request = forwarded(server)
    ((message, _),) = sent(server, reply(request) + b"more", CALLEE)
    assert message.endswith(b"\r\n\r\n")
    silent(server, reply(request, swap=("Content-Length: 0", "Content-Length: 9")))


def test_refusals_carry_no_promise():
    forward = make_forward()
    forward.grant(FLOW, caller="alice", contacts=(BOB,), now=0.0)
    request = validate(parse_request(follow(user="carol")), transport="UDP")
    with pytest.raises(Refusal):
        forward.request(request, FLOW, 1.0)
