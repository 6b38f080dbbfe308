"""Which lines end a call on the caller's side, and which do not."""

from dataclasses import replace

import pytest

from adapter.calls.events import AskHigherSequence, Done, LookUp, SendLine
from adapter.calls.inviting_table import GIVE_UP_S, State
from overlay.wire.codec import line_digest
from overlay.wire.envelope import seal_error, seal_redirect, unseal
from overlay.wire.messages import Error, Redirect
from tests.support.people import ALICE, BOB, EVE
from tests.unit.calls.call_desk import (
    ALICE_NODE,
    BOB_NODE,
    EVE_NODE,
    NOW,
    answering,
    drain,
    found,
    inviting,
    only,
    party_of,
)


def invited(**options):
    """A call whose INVITE is out, and that INVITE's line."""
    machine = inviting(**options)
    machine.looked_up(found("bob"), NOW)
    return machine, only(machine, SendLine).line


def redirect_to(line, *, signer=BOB, issuer=None, audience=None, reader=None, **changes):
    """A REDIRECT to an INVITE's line, true unless changed."""
    fields = {
        "issuer": issuer or party_of("bob"),
        "audience": audience or party_of("alice"),
        "invite_hash": unseal(line, BOB).hash,
        "issued_at": int(NOW),
        "expires_at": int(NOW) + 60,
        "contacts": ("127.0.0.1:5062;udp",),
        "token": b"\x07" * 16,
    } | changes
    return seal_redirect(Redirect(**fields), signer, (reader or ALICE).public).line


def error_to(line, code, signer, **changes):
    about = changes.pop("about", unseal(line, BOB).id)
    return seal_error(Error(code=code, reason="because", about=about, time=int(NOW), **changes), signer)


def test_a_true_redirect_ends_the_call():
    machine, line = invited()
    machine.line_received(redirect_to(line), BOB_NODE, NOW + 0.1)
    assert only(machine, Done).outcome.status == 302


def test_a_redirect_stolen_from_another_call_is_none():
    machine, _ = invited(seed=1)
    _, other = invited(seed=99)
    machine.line_received(redirect_to(other), BOB_NODE, NOW + 0.1)
    assert drain(machine) == []
    assert machine.state is State.INVITED
    assert machine.counters["redirect for another invite"] == 1


def test_a_redirect_signed_by_another_key_is_none_and_the_call_ends_in_438():
    machine, line = invited()
    forged = redirect_to(line, signer=EVE, issuer=replace(party_of("eve"), aor="bob"))
    machine.line_received(forged, BOB_NODE, NOW + 0.1)
    assert machine.state is State.INVITED
    machine.handle_timer(NOW + 1.1)
    machine.handle_timer(NOW + GIVE_UP_S)
    assert [event.outcome.status for event in drain(machine) if isinstance(event, Done)] == [438]


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": replace(party_of("bob"), aor="robert")},
        {"issuer": replace(party_of("bob"), generation=2)},
        {"audience": replace(party_of("alice"), aor="alicia")},
        {"audience": replace(party_of("alice"), generation=2)},
        {"issued_at": int(NOW) - 200, "expires_at": int(NOW) - 150},
    ],
    ids=["another name", "another generation", "another caller", "the caller's other generation", "expired"],
)
def test_a_redirect_that_is_not_quite_for_this_call_is_none(changes):
    machine, line = invited()
    machine.line_received(redirect_to(line, **changes), BOB_NODE, NOW + 0.1)
    assert drain(machine) == []
    assert machine.state is State.INVITED


def test_a_true_redirect_from_a_node_that_was_not_asked_is_none():
    machine, line = invited()
    machine.line_received(redirect_to(line), EVE_NODE, NOW + 0.1)
    assert drain(machine) == []
    assert machine.counters["line from a stranger"] == 1


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("unavailable", 480),
        ("refused", 603),
        ("policy", 603),
        ("unverified", 403),
        ("busy", 480),
        ("unknown", 480),
        ("bad", 480),
        ("internal", 480),
    ],
)
def test_a_signed_refusal_ends_the_call(code, status):
    machine, line = invited()
    machine.line_received(error_to(line, code, BOB), BOB_NODE, NOW + 0.1)
    outcome = only(machine, Done).outcome
    assert outcome.status == status
    assert "{" not in outcome.reason


@pytest.mark.parametrize("signer", [None, EVE], ids=["unsigned", "signed by another"])
@pytest.mark.parametrize("code", ["refused", "unavailable", "unknown", "again"])
def test_a_refusal_that_the_callee_did_not_sign_only_makes_the_call_look_elsewhere(code, signer):
    machine, line = invited()
    machine.line_received(error_to(line, code, signer), BOB_NODE, NOW + 0.1)
    assert only(machine, AskHigherSequence)
    machine.line_received(redirect_to(line), BOB_NODE, NOW + 0.2)
    assert only(machine, Done).outcome.status == 302


def test_a_hint_about_the_line_itself_counts_as_one():
    machine, line = invited()
    machine.line_received(error_to(line, "unknown", None, about=line_digest(line)), BOB_NODE, NOW + 0.1)
    assert machine.state is State.SEARCHING
    machine.searched(None, NOW + 0.2)
    assert [event.outcome.status for event in drain(machine) if isinstance(event, Done)] == [480]


@pytest.mark.parametrize("about", [b"", b"\x01" * 16])
def test_a_refusal_about_another_call_is_none(about):
    machine, line = invited()
    machine.line_received(error_to(line, "refused", BOB, about=about), BOB_NODE, NOW + 0.1)
    machine.line_received(error_to(line, "refused", None, about=about), BOB_NODE, NOW + 0.1)
    assert machine.state is State.INVITED


def test_a_cookie_is_brought_back_inside_the_signed_part_once():
    machine, line = invited()
    again = error_to(line, "again", BOB, cookie=b"\x05" * 21)
    machine.line_received(again, BOB_NODE, NOW + 0.1)
    repeated = only(machine, SendLine).line
    first, second = unseal(line, BOB), unseal(repeated, BOB)
    assert (second.id, second.cookie) == (first.id, b"\x05" * 21)
    assert second.verify_invite(ALICE.public).cookie == b"\x05" * 21
    machine.line_received(again, BOB_NODE, NOW + 0.2)
    assert drain(machine) == []


def test_the_callee_s_signed_time_judges_the_expiry_of_its_redirect():
    machine, line = invited()
    early = seal_error(
        Error(code="again", reason="r", about=unseal(line, BOB).id, cookie=b"c" * 21, time=int(NOW) - 3600), BOB
    )
    machine.line_received(early, BOB_NODE, NOW + 0.1)
    repeated = only(machine, SendLine).line
    machine.line_received(
        redirect_to(repeated, issued_at=int(NOW) - 3600, expires_at=int(NOW) - 3540), BOB_NODE, NOW + 0.2
    )
    assert only(machine, Done).outcome.status == 302


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\x00" * 50,
        b"SECP2PSIP/1.0 REDIRECT a.b.c.d.e\r\n",
        b"SECP2PSIP/1.0 ERROR e30\r\n",
        b"INVITE sip:x SIP/2.0",
    ],
)
def test_rubbish_from_the_callee_s_node_changes_nothing(line):
    machine, _ = invited()
    machine.line_received(line, BOB_NODE, NOW + 0.1)
    assert drain(machine) == []
    assert machine.state is State.INVITED
    assert sum(machine.counters.values()) == 1


def test_an_answer_made_by_the_real_callee_with_one_bit_changed_is_none():
    machine, line = invited()
    callee = answering()
    callee.line_received(line, ALICE_NODE, NOW)
    callee.looked_up(only(callee, LookUp).ticket, found("alice"), NOW)
    answer = only(callee, SendLine).line
    for position in range(30, len(answer) - 2, 41):
        changed = bytearray(answer)
        changed[position] = ord("A") if changed[position] != ord("A") else ord("B")
        machine.line_received(bytes(changed), BOB_NODE, NOW + 0.1)
        assert drain(machine) == []
    machine.line_received(answer, BOB_NODE, NOW + 0.1)
    assert only(machine, Done).outcome.status == 302


def test_it_proves_the_key_that_signed_and_not_the_one_that_was_found_last():
    machine, line = invited()
    machine.handle_timer(NOW + 1.5)
    newer = found("bob", keys=EVE, contact=EVE_NODE, sequence=9)
    machine.searched(newer, NOW + 1.6)
    machine.line_received(redirect_to(line), BOB_NODE, NOW + 1.7)
    done = only(machine, Done)
    assert done.outcome.status == 302
    assert done.proved.bundle == BOB.public


def test_a_call_that_nobody_answered_proves_nobody():
    machine, _ = invited()
    machine.handle_timer(NOW + 60)
    machine.searched(None, NOW + 60)
    machine.handle_timer(NOW + 120)
    assert only(machine, Done).proved is None


BOTH = ("[fd00::7]:5062;udp", "192.0.2.7:5062;udp")
"""A callee whose better phone has IPv6 alone and whose other one has IPv4 alone."""


def over_ipv4(host):
    return ":" not in host


def outcome_of(*contacts, **options):
    """What a call comes to whose REDIRECT names these contacts."""
    machine, line = invited(**options)
    machine.line_received(redirect_to(line, contacts=contacts), BOB_NODE, NOW + 0.1)
    return only(machine, Done).outcome


def hosts(outcome):
    return [uri.partition("@")[2].partition(";")[0] for uri in outcome.contacts]


@pytest.mark.parametrize(
    ("phone_host", "reaches", "first"),
    [
        ("192.0.2.1", over_ipv4, "192.0.2.7:5062"),
        ("192.0.2.1", lambda _host: True, "192.0.2.7:5062"),
        ("fd00::1", lambda _host: True, "[fd00::7]:5062"),
        ("fd00::1", over_ipv4, "192.0.2.7:5062"),
        ("", lambda _host: True, "[fd00::7]:5062"),
    ],
)
def test_of_two_contacts_the_one_within_the_phones_reach_comes_first(phone_host, reaches, first):
    found_at = hosts(outcome_of(*BOTH, phone_host=phone_host, reaches=reaches))
    assert found_at[0] == first
    assert len(found_at) == 2


@pytest.mark.parametrize(("contact", "family"), [(BOTH[0], "IPv6"), (BOTH[1], "IPv4")])
def test_where_there_is_no_way_to_the_phone_the_caller_is_told_so(contact, family):
    outcome = outcome_of(contact, phone_host="192.0.2.1", reaches=lambda _host: False)
    assert (outcome.status, outcome.contacts) == (480, ())
    assert outcome.reason == f"there is no way from here to bob's phone, which has an {family} address"
