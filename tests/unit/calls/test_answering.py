"""What the callee's side does with an INVITE: who is looked up, who is answered, who is not."""

from dataclasses import replace

import pytest

from adapter.calls import lanes
from adapter.calls.answering import LOOKUP_PATIENCE_S, ONE_WAY
from adapter.calls.events import Announced, Failure, LookUp, Refused, SendLine
from overlay.ring.ids import Peer, RingId
from overlay.wire.envelope import open_error, seal_invite, unseal, verify_error
from overlay.wire.messages import Invite
from tests.support.people import ALICE, BOB, EVE
from tests.unit.calls.call_desk import (
    ALICE_NODE,
    EVE_NODE,
    NOW,
    Phone,
    answering,
    drain,
    found,
    only,
    party_of,
    replaced_key,
)


def invite_line(*, number=1, reader=BOB, signer=ALICE, **changes):
    fields = {
        "issuer": party_of("alice"),
        "audience": party_of("bob"),
        "id": number.to_bytes(16, "big"),
        "issued_at": int(NOW),
        "expires_at": int(NOW) + 30,
    } | changes
    return seal_invite(Invite(**fields), signer, reader.public).line


def refusal_of(machine):
    events = drain(machine)
    assert not [event for event in events if isinstance(event, LookUp)]
    (refused,) = [event for event in events if isinstance(event, Refused)]
    lines = [event.line for event in events if isinstance(event, SendLine)]
    return refused, lines


def test_a_good_invite_is_looked_up_verified_and_redirected():
    machine = answering()
    machine.line_received(invite_line(), ALICE_NODE, NOW)
    lookup = only(machine, LookUp)
    assert (lookup.aor, lookup.record_needed) == ("alice", False)
    machine.looked_up(lookup.ticket, found("alice"), NOW + 0.1)
    announced, sent = drain(machine)
    assert isinstance(announced, Announced)
    assert sent.peer == ALICE_NODE
    redirect = unseal(sent.line, ALICE).verify_redirect(BOB.public)
    assert redirect.token == announced.token
    assert redirect.contacts == ("127.0.0.1:5062;udp",)
    assert machine.counters["redirected"] == 1
    assert machine.next_deadline() is None


def test_a_phone_that_only_its_own_connection_reaches_is_refused_with_the_cure():
    machine = answering(phones=(Phone(port=40_000, transport="tcp", is_one_way=True),))
    machine.line_received(invite_line(), ALICE_NODE, NOW)
    lookup = only(machine, LookUp)
    machine.looked_up(lookup.ticket, found("alice"), NOW + 0.1)
    refused, (line,) = refusal_of(machine)
    assert (refused.code, refused.why) == ("unavailable", ONE_WAY)
    assert verify_error(line, BOB.public).reason == ONE_WAY


def test_a_phone_that_can_be_called_is_given_beside_one_that_cannot():
    machine = answering(phones=(Phone(port=40_000, transport="tcp", is_one_way=True), Phone(port=5063)))
    machine.line_received(invite_line(), ALICE_NODE, NOW)
    lookup = only(machine, LookUp)
    machine.looked_up(lookup.ticket, found("alice"), NOW + 0.1)
    _, sent = drain(machine)
    assert unseal(sent.line, ALICE).verify_redirect(BOB.public).contacts == ("127.0.0.1:5063;udp",)


def test_a_replayed_invite_is_refused_before_any_lookup():
    machine = answering()
    line = invite_line()
    machine.line_received(line, ALICE_NODE, NOW)
    drain(machine)
    for source in (ALICE_NODE, EVE_NODE):
        machine.line_received(line, source, NOW + 1)
        refused, lines = refusal_of(machine)
        assert (refused.code, refused.why) == ("bad", "the invite was seen before")
        assert verify_error(lines[0], BOB.public).code == "bad"


def test_a_replay_after_the_cache_forgot_is_too_old():
    machine = answering()
    line = invite_line()
    machine.line_received(line, ALICE_NODE, NOW)
    machine.line_received(
        invite_line(number=2, issued_at=int(NOW) + 91, expires_at=int(NOW) + 99), ALICE_NODE, NOW + 91
    )
    drain(machine)
    machine.line_received(line, ALICE_NODE, NOW + 92)
    assert refusal_of(machine)[0].code == "again"


def test_an_invite_to_bob_that_somebody_encrypts_to_eve_is_refused():
    line = invite_line()
    # eve is the callee's neighbour: whoever can open an invite to bob encrypts its signed part to her
    signed_part = unseal(line, BOB)._jws
    from overlay.wire import jose
    from overlay.wire.codec import encode_line

    passed_on = encode_line("INVITE", jose.encrypt(signed_part.compact.encode(), EVE.public))
    machine = answering("eve")
    machine.line_received(passed_on, ALICE_NODE, NOW)
    refused, lines = refusal_of(machine)
    assert refused.code == "unknown"
    assert open_error(lines[0]).code == "unknown"


@pytest.mark.parametrize("changes", [{"aor": "robert"}, {"generation": 2}])
def test_an_invite_to_another_name_or_generation_of_the_same_key_is_refused(changes):
    machine = answering()
    machine.line_received(invite_line(audience=replace(party_of("bob"), **changes)), ALICE_NODE, NOW)
    refused, lines = refusal_of(machine)
    assert refused.code == "unknown"
    assert verify_error(lines[0], BOB.public).code == "unknown"


def test_one_of_several_users_is_found_by_his_key():
    machine = answering("alice", "bob", "eve")
    machine.line_received(invite_line(), ALICE_NODE, NOW)
    assert only(machine, LookUp).aor == "alice"


@pytest.mark.parametrize("offset", [-31, 31, -3600, 3600])
def test_an_invite_of_another_time_is_asked_for_again_before_any_lookup(offset):
    machine = answering(started_at=NOW - 10_000)
    line = invite_line(issued_at=int(NOW) + offset, expires_at=int(NOW) + offset + 30)
    machine.line_received(line, ALICE_NODE, NOW)
    refused, lines = refusal_of(machine)
    assert refused.code == "again"
    error = verify_error(lines[0], BOB.public)
    assert (error.about, error.time, len(error.cookie)) == ((1).to_bytes(16, "big"), int(NOW), 21)


def test_a_cookie_stands_for_freshness_for_its_own_invite_and_source_only():
    machine = answering(started_at=NOW - 10_000)
    late = {"issued_at": int(NOW) - 3600, "expires_at": int(NOW) - 3570}
    machine.line_received(invite_line(**late), ALICE_NODE, NOW)
    cookie = verify_error(refusal_of(machine)[1][0], BOB.public).cookie
    machine.line_received(invite_line(cookie=cookie, **late), EVE_NODE, NOW + 1)
    assert refusal_of(machine)[0].code == "again"
    machine.line_received(invite_line(number=2, cookie=cookie, **late), ALICE_NODE, NOW + 1)
    assert refusal_of(machine)[0].code == "again"
    machine.line_received(invite_line(cookie=cookie, **late), ALICE_NODE, NOW + 61)
    assert refusal_of(machine)[0].code == "again"
    machine.line_received(invite_line(cookie=cookie, **late), ALICE_NODE, NOW + 1)
    assert only(machine, LookUp).aor == "alice"
    machine.line_received(invite_line(cookie=cookie, **late), ALICE_NODE, NOW + 2)
    assert refusal_of(machine)[0].why == "the invite was seen before"


def test_a_flood_from_one_node_ends_before_the_lookups_and_nearly_without_answers():
    machine = answering()
    for number in range(200):
        machine.line_received(invite_line(number=number + 1), EVE_NODE, NOW)
    events = drain(machine)
    crowd, _ = lanes.PER_CALLER[lanes.Lane.CROWD]  # beside the one first call
    assert len([event for event in events if isinstance(event, LookUp)]) == 1 + crowd
    assert len([event for event in events if isinstance(event, SendLine)]) < lanes.BURST_PER_SOURCE
    machine.line_received(invite_line(number=1000), ALICE_NODE, NOW)
    assert only(machine, LookUp).aor == "alice"


def test_a_flood_from_many_nodes_ends_at_the_greatest_number_of_lookups():
    machine = answering()
    for number in range(80):
        machine.line_received(
            invite_line(number=number + 1), Peer(id=RingId(number), host="127.0.0.1", port=7100 + number), NOW
        )
    events = drain(machine)
    assert len([event for event in events if isinstance(event, LookUp)]) == lanes.TOTAL[lanes.Lane.FIRST][0]
    assert {event.code for event in events if isinstance(event, Refused)} == {"busy"}


def test_a_flood_from_many_nodes_does_not_keep_out_one_that_was_proved():
    machine = answering()
    machine.line_received(invite_line(), ALICE_NODE, NOW)
    machine.looked_up(only(machine, LookUp).ticket, found("alice"), NOW)
    drain(machine)
    for number in range(400):
        node = Peer(id=RingId(number % 50), host="127.0.0.1", port=7100)
        machine.line_received(invite_line(number=number + 10), node, NOW)
    drain(machine)
    machine.line_received(invite_line(number=1000), ALICE_NODE, NOW)
    assert only(machine, LookUp).aor == "alice"
    # a forgery from there ends the privilege
    ticket = (1000).to_bytes(16, "big")
    machine.lookup_failed(ticket, Failure.UNVERIFIABLE, NOW)
    drain(machine)
    machine.line_received(invite_line(number=1001), ALICE_NODE, NOW)
    assert refusal_of(machine)[0].code == "busy"


@pytest.mark.parametrize(
    "line", [b"", b"x" * 1201, b"SECP2PSIP/1.0 REDIRECT a.b.c.d.e\r\n", b"\xff\xfe\r\n", b"SECP2PSIP/2.0 INVITE a\r\n"]
)
def test_what_is_no_invite_gets_no_answer(line):
    machine = answering()
    machine.line_received(line, EVE_NODE, NOW)
    refused, lines = refusal_of(machine)
    assert (refused.code, lines) == ("bad", [])


def test_an_invite_that_nobody_here_can_open_gets_a_hint():
    machine = answering("eve")
    machine.line_received(invite_line(), ALICE_NODE, NOW)
    refused, lines = refusal_of(machine)
    assert (refused.code, refused.caller, refused.callee) == ("unknown", "", "")
    assert b"." not in lines[0].split(b" ")[2].rstrip(b"\r\n")  # no signature


@pytest.mark.parametrize(
    "brought",
    [
        lambda: replaced_key(found("alice"), EVE.public),
        lambda: replace(found("alice"), generation=2),
    ],
    ids=["another key", "another generation"],
)
def test_a_caller_whom_the_ring_knows_otherwise_is_refused(brought):
    machine = answering()
    machine.line_received(invite_line(), ALICE_NODE, NOW)
    machine.looked_up(only(machine, LookUp).ticket, brought(), NOW)
    refused, lines = refusal_of(machine)
    assert refused.code == "unverified"
    assert verify_error(lines[0], BOB.public).code == "unverified"


def test_an_invite_signed_by_another_in_the_caller_s_name_is_refused():
    from overlay.wire import jose
    from overlay.wire.codec import encode_line

    invite = Invite(
        issuer=party_of("alice"),
        audience=party_of("bob"),
        id=b"\x01" * 16,
        issued_at=int(NOW),
        expires_at=int(NOW) + 30,
    )
    forged = jose.sign("INVITE", invite.encode(), EVE)
    machine = answering()
    machine.line_received(encode_line("INVITE", jose.encrypt(forged.encode(), BOB.public)), EVE_NODE, NOW)
    machine.looked_up(only(machine, LookUp).ticket, found("alice"), NOW)
    assert refusal_of(machine)[0].code == "unverified"


@pytest.mark.parametrize(
    ("failure", "code"),
    [(Failure.UNKNOWN, "unverified"), (Failure.UNVERIFIABLE, "unverified"), (Failure.UNREACHABLE, "internal")],
)
def test_a_lookup_that_fails_refuses_the_caller(failure, code):
    machine = answering()
    machine.line_received(invite_line(), ALICE_NODE, NOW)
    machine.lookup_failed(only(machine, LookUp).ticket, failure, NOW)
    assert refusal_of(machine)[0].code == code


def test_a_lookup_without_end_is_given_up_and_its_late_answer_ignored():
    machine = answering()
    machine.line_received(invite_line(), ALICE_NODE, NOW)
    ticket = only(machine, LookUp).ticket
    machine.handle_timer(NOW + LOOKUP_PATIENCE_S - 0.1)
    assert drain(machine) == []
    machine.handle_timer(machine.next_deadline())
    assert refusal_of(machine)[0].code == "internal"
    machine.looked_up(ticket, found("alice"), NOW + 6)
    machine.lookup_failed(ticket, Failure.UNKNOWN, NOW + 6)
    assert drain(machine) == []
    assert machine.counters["late lookup"] == 2


def test_no_phone_is_told_to_verified_callers_only():
    machine = answering(phones=())
    machine.line_received(invite_line(), ALICE_NODE, NOW)
    machine.looked_up(only(machine, LookUp).ticket, found("alice"), NOW)
    assert refusal_of(machine)[0].code == "unavailable"


def test_a_phone_at_no_ip_address_is_left_out():
    machine = answering(phones=(Phone(host="phone.example"), Phone(port=5070), Phone(port=5070), Phone(port=5071)))
    machine.line_received(invite_line(), ALICE_NODE, NOW)
    machine.looked_up(only(machine, LookUp).ticket, found("alice"), NOW)
    redirect = unseal(only(machine, SendLine).line, ALICE).verify_redirect(BOB.public)
    assert redirect.contacts == ("127.0.0.1:5070;udp", "127.0.0.1:5071;udp")
