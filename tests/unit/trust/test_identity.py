from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import KeyBundle, PrivateBundle, SigningKey, is_aor, parse_aor, verify
from tests.support.people import ALICE, BOB, DEALER


@pytest.mark.parametrize(
    ("text", "aor"),
    [
        ("alice", "alice"),
        ("Alice", "alice"),
        ("%61lice", "alice"),
        ("%41LICE", "alice"),
        ("a", "a"),
        ("7", "7"),
        ("a.b-c_d", "a.b-c_d"),
        ("a" * 32, "a" * 32),
        ("%61" * 32, "a" * 32),
    ],
)
def test_parse_aor_gives_the_one_spelling(text, aor):
    assert parse_aor(text) == aor


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".alice",
        "-alice",
        "_alice",
        "a" * 33,
        "%61" * 33,
        "ali ce",
        "alice\n",
        "alice%0a",
        "alice%00",
        "alice%",
        "alice%4",
        "alice%zz",
        "alice%2541",
        "ålice",
        "%c3%a5lice",
        "ali\u212ae",  # the Kelvin sign, which lower() makes a plain k
        "%e2%84%aa",
        "alice@host",
        "sip:alice",
    ],
)
def test_parse_aor_refuses_what_is_no_name(text):
    with pytest.raises(RemoteError):
        parse_aor(text)


@given(st.text(max_size=100))
def test_parse_aor_gives_a_name_or_a_remote_error(text):
    try:
        aor = parse_aor(text)
    except RemoteError:
        return
    assert re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,31}", aor)
    assert is_aor(aor)
    assert parse_aor(aor) == aor


@pytest.mark.parametrize("value", [None, 7, b"alice", "Alice", "", ["alice"]])
def test_is_aor_is_false_for_anything_else(value):
    assert not is_aor(value)


def test_a_signature_verifies_under_its_own_key_domain_and_message_only():
    signature = DEALER.sign(b"domain", b"message")
    assert verify(DEALER.public, b"domain", b"message", signature)
    assert not verify(DEALER.public, b"domain2", b"message", signature)
    assert not verify(DEALER.public, b"domain", b"massage", signature)
    assert not verify(ALICE.public.ed25519, b"domain", b"message", signature)


def test_the_border_between_domain_and_message_is_signed():
    signature = DEALER.sign(b"ab", b"c")
    assert not verify(DEALER.public, b"a", b"bc", signature)
    assert not verify(DEALER.public, b"", b"ab\0c", signature)


@given(st.binary(max_size=70), st.binary(max_size=70), st.binary(max_size=70))
def test_verify_never_raises(public, message, signature):
    assert not verify(public, b"domain", message, signature)


def test_private_keys_come_back_from_their_bytes():
    key = SigningKey.generate()
    assert SigningKey.from_bytes(key.to_bytes()).public == key.public
    bundle = PrivateBundle.generate()
    assert PrivateBundle.from_bytes(bundle.to_bytes()).public == bundle.public


@pytest.mark.parametrize("size", [0, 31, 33, 63, 65])
def test_private_keys_of_another_length_are_refused(size):
    with pytest.raises(RemoteError):
        SigningKey.from_bytes(bytes(size))
    with pytest.raises(RemoteError):
        PrivateBundle.from_bytes(bytes(size))


def test_no_repr_shows_a_private_key():
    for shown, secret in ((repr(DEALER), DEALER.to_bytes()), (repr(ALICE), ALICE.to_bytes())):
        assert secret.hex()[:8] not in shown
        assert str(secret)[2:10] not in shown


def test_a_bundle_comes_back_from_its_64_bytes():
    data = ALICE.public.encode()
    assert len(data) == 64
    assert KeyBundle.decode(data) == ALICE.public
    assert ALICE.public.verify(b"d", b"m", ALICE.sign(b"d", b"m"))
    assert not BOB.public.verify(b"d", b"m", ALICE.sign(b"d", b"m"))


def test_thumbprints_have_16_bytes_and_differ():
    assert len(ALICE.public.thumbprint()) == 16
    assert ALICE.public.thumbprint() != BOB.public.thumbprint()


@pytest.mark.parametrize("data", [b"", bytes(63), bytes(65), "a" * 64, None])
def test_a_bundle_of_another_length_or_type_is_refused(data):
    with pytest.raises(RemoteError):
        KeyBundle.decode(data)


def test_a_bundle_made_of_nonsense_is_our_own_mistake():
    with pytest.raises(LocalError):
        KeyBundle(ed25519=b"short", x25519=ALICE.public.x25519)


def test_a_verdict_that_is_remembered_speaks_of_these_very_bytes():
    key = SigningKey.generate()
    signature = key.sign(b"domain", b"message")
    for _ in range(2):
        assert verify(key.public, b"domain", b"message", signature)
        assert not verify(key.public, b"domain", b"message", signature[:-1] + bytes([signature[-1] ^ 1]))
        assert not verify(SigningKey.generate().public, b"domain", b"message", signature)
        assert not verify(key.public, b"domain", b"massage", signature)
