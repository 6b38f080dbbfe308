"""What opens what: every message under the right keys, and under no other, changed or re-wrapped."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlay.errors import LocalError, RemoteError
from overlay.wire import envelope, jose
from overlay.wire.codec import decode_line, encode_line
from tests.support import people
from tests.support.people import ALICE, BOB, BOOTSTRAP, EVE

LINES = {
    "CHALLENGE": envelope.seal_challenge(people.challenge(), BOOTSTRAP),
    "REGISTER": envelope.seal_register(people.register(), ALICE, BOOTSTRAP.public),
    "REGISTERED": envelope.seal_registered(people.registered(), BOOTSTRAP, ALICE.public),
    "INVITE": envelope.seal_invite(people.invite(), ALICE, BOB.public).line,
    "REDIRECT": envelope.seal_redirect(people.redirect(), BOB, ALICE.public).line,
    "ERROR": envelope.seal_error(people.error(), BOB),
}
OPENERS = {
    "CHALLENGE": envelope.open_challenge,
    "REGISTER": lambda line: envelope.open_register(line, BOOTSTRAP),
    "REGISTERED": lambda line: envelope.open_registered(line, ALICE, BOOTSTRAP.public),
    "INVITE": lambda line: envelope.unseal(line, BOB).verify_invite(ALICE.public),
    "REDIRECT": lambda line: envelope.unseal(line, ALICE).verify_redirect(BOB.public),
    "ERROR": lambda line: envelope.verify_error(line, BOB.public),
}
each_method = pytest.mark.parametrize("method", LINES)
MADE = {
    "CHALLENGE": people.challenge(),
    "REGISTER": people.register(),
    "REGISTERED": people.registered(),
    "INVITE": people.invite(),
    "REDIRECT": people.redirect(),
    "ERROR": people.error(),
}


@each_method
def test_a_sealed_message_comes_back(method):
    assert OPENERS[method](LINES[method]) == MADE[method]


@each_method
@given(data=st.data())
@settings(max_examples=3, deadline=None)
def test_any_changed_byte_in_a_line_is_refused(method, data):
    line = LINES[method]
    mask = data.draw(st.integers(1, 255))
    # every byte of a short line, every fourth of the long ones
    step = 1 if len(line) < 1500 else 4
    for position in range(data.draw(st.integers(0, step - 1)), len(line), step):
        changed = bytearray(line)
        changed[position] ^= mask
        with pytest.raises(RemoteError):
            OPENERS[method](bytes(changed))


@each_method
def test_a_cut_or_lengthened_line_is_refused(method):
    line = LINES[method]
    for other in (line[:-3] + b"\r\n", line[:-2] + b"A\r\n", line[:-2] + b"AAAA\r\n", line + line, line[:-2]):
        with pytest.raises(RemoteError):
            OPENERS[method](other)


@each_method
def test_a_token_does_not_pass_for_another_method(method):
    token = decode_line(LINES[method]).token
    for other, opener in OPENERS.items():
        if other != method and len(token) < 1100:
            with pytest.raises(RemoteError):
                opener(encode_line(other, token))


@each_method
def test_a_line_of_another_method_is_refused(method):
    for other, opener in OPENERS.items():
        if other != method:
            with pytest.raises(RemoteError):
                opener(LINES[method])


def test_only_the_recipient_opens():
    for opener in (
        lambda: envelope.open_register(LINES["REGISTER"], EVE),
        lambda: envelope.open_registered(LINES["REGISTERED"], EVE, BOOTSTRAP.public),
        lambda: envelope.unseal(LINES["INVITE"], EVE),
        lambda: envelope.unseal(LINES["REDIRECT"], EVE),
    ):
        with pytest.raises(RemoteError, match="does not open"):
            opener()


def test_only_the_issuers_key_verifies():
    with pytest.raises(RemoteError, match="another key"):
        envelope.unseal(LINES["INVITE"], BOB).verify_invite(EVE.public)
    with pytest.raises(RemoteError, match="another key"):
        envelope.verify_error(LINES["ERROR"], EVE.public)
    with pytest.raises(RemoteError, match="not signed"):
        envelope.open_registered(LINES["REGISTERED"], ALICE, EVE.public)


def test_an_invite_signed_by_another_in_alices_name_is_refused():
    compact = jose.sign("INVITE", people.invite().encode(), EVE)
    line = encode_line("INVITE", jose.encrypt(compact.encode(), BOB.public))
    unverified = envelope.unseal(line, BOB)
    with pytest.raises(RemoteError, match="not signed by its issuer"):
        unverified.verify_invite(ALICE.public)
    with pytest.raises(RemoteError, match="another key"):
        unverified.verify_invite(EVE.public)


def test_alices_invite_cannot_be_encrypted_again_to_another():
    """Bob opens alice's INVITE and passes the signed part on to eve, who would take alice for her caller."""
    compact = jose.decrypt(decode_line(LINES["INVITE"]).token, BOB)
    passed_on = encode_line("INVITE", jose.encrypt(compact, EVE.public))
    with pytest.raises(RemoteError, match="for another key"):
        envelope.unseal(passed_on, EVE)


def test_what_an_unopened_invite_claims_can_be_read_before_it_is_verified():
    sealed = envelope.seal_invite(people.invite(cookie=b"\xd0" * 16), ALICE, BOB.public)
    unverified = envelope.unseal(sealed.line, BOB)
    assert unverified.method == "INVITE"
    assert unverified.issuer == people.party("alice", ALICE)
    assert unverified.audience == people.party("bob", BOB)
    assert (unverified.id, unverified.cookie) == (b"\xa0" * 16, b"\xd0" * 16)
    assert (unverified.issued_at, unverified.expires_at) == (people.NOW, people.NOW + 30)
    assert unverified.hash == sealed.hash
    assert unverified.invite_hash == b""
    with pytest.raises(RemoteError, match="no REDIRECT"):
        unverified.verify_redirect(ALICE.public)


def test_a_redirect_names_the_invite_that_it_answers():
    sealed = envelope.seal_invite(people.invite(), ALICE, BOB.public)
    compact = jose.decrypt(decode_line(sealed.line).token, BOB)
    assert sealed.hash == hashlib.sha256(compact).digest()
    answer = envelope.seal_redirect(people.redirect(invite_hash=sealed.hash), BOB, ALICE.public)
    unverified = envelope.unseal(answer.line, ALICE)
    assert unverified.invite_hash == sealed.hash
    with pytest.raises(RemoteError, match="no INVITE"):
        unverified.verify_invite(BOB.public)


def test_sealing_twice_gives_two_lines_and_one_hash():
    first, second = (envelope.seal_invite(people.invite(), ALICE, BOB.public) for _ in range(2))
    assert first.line != second.line
    assert first.hash == second.hash


def test_messages_of_registration_are_no_messages_of_a_call():
    for line in (LINES["REGISTER"], LINES["REGISTERED"], LINES["CHALLENGE"], LINES["ERROR"]):
        with pytest.raises(RemoteError, match="neither INVITE nor REDIRECT"):
            envelope.unseal(line, BOB)


def test_an_unsigned_error_is_a_hint_and_verifies_nothing():
    line = envelope.seal_error(people.error(), None)
    assert envelope.open_error(line) == people.error()
    with pytest.raises(RemoteError):
        envelope.verify_error(line, BOB.public)
    assert envelope.open_error(LINES["ERROR"]) == people.error()


def test_a_signed_error_needs_its_key_named():
    compact = jose.sign("ERROR", people.error().encode(), BOB)
    for opener in (envelope.open_error, lambda line: envelope.verify_error(line, BOB.public)):
        with pytest.raises(RemoteError):
            opener(encode_line("ERROR", compact))


def test_other_messages_must_not_name_a_key():
    compact = jose.sign("INVITE", people.invite().encode(), ALICE, key_id=ALICE.public.thumbprint())
    with pytest.raises(RemoteError, match="another header"):
        envelope.unseal(encode_line("INVITE", jose.encrypt(compact.encode(), BOB.public)), BOB)
    challenge = jose.sign("CHALLENGE", people.challenge().encode(), BOOTSTRAP, key_id=BOOTSTRAP.public.thumbprint())
    with pytest.raises(RemoteError, match="another header"):
        envelope.open_challenge(encode_line("CHALLENGE", challenge))


def test_sealing_under_keys_that_the_message_does_not_name_is_our_own_mistake():
    for seal in (
        lambda: envelope.seal_challenge(people.challenge(), EVE),
        lambda: envelope.seal_register(people.register(), EVE, BOOTSTRAP.public),
        lambda: envelope.seal_invite(people.invite(), EVE, BOB.public),
        lambda: envelope.seal_invite(people.invite(), ALICE, EVE.public),
        lambda: envelope.seal_redirect(people.redirect(), ALICE, BOB.public),
    ):
        with pytest.raises(LocalError):
            seal()


def test_no_repr_of_a_private_key_comes_along():
    shown = repr(envelope.unseal(LINES["INVITE"], BOB))
    assert BOB.to_bytes().hex()[:16] not in shown
