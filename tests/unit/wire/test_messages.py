from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import LocalError, RemoteError
from overlay.wire.messages import ERROR_CODES, Contact, Error, NodeAt, Party
from overlay.wire.payload import encode_json
from tests.support import people
from tests.support.people import ALICE, NOW

MESSAGES = [
    people.challenge(),
    people.register(),
    people.registered(),
    people.invite(),
    people.redirect(),
    people.error(),
]
each_message = pytest.mark.parametrize("message", MESSAGES, ids=[message.METHOD for message in MESSAGES])


@each_message
def test_a_message_comes_back_from_its_payload(message):
    assert type(message).decode(message.encode()) == message


@each_message
def test_a_missing_extra_or_moved_member_is_refused(message):
    members = json.loads(message.encode())
    for name in members:
        without = {key: value for key, value in members.items() if key != name}
        moved = {**without, name: members[name]}
        for other in (without, {**members, "extra": 1}, moved):
            if list(other) != list(members):
                with pytest.raises(RemoteError, match="other members"):
                    type(message).decode(encode_json(other))


@each_message
@given(data=st.data())
def test_a_member_of_another_type_is_refused(message, data):
    members = json.loads(message.encode())
    name = data.draw(st.sampled_from(sorted(members)))
    old = members[name]
    new = data.draw(
        st.one_of(
            st.none(),
            st.booleans(),
            st.floats(allow_nan=False, allow_infinity=False),
            st.just(-1),
            st.just([]),
            st.just([[]]),
            st.just([1, 2, 3]),
            st.just({}),
            st.just("\x00"),
            st.just("A"),
        ).filter(lambda value: value != old and not (value == [] and name in {"pieces", "nodes"}))
    )
    if name == "code" and new == "A" and message.METHOD == "REGISTER":
        return
    if name == "reason" and new == "A":
        return
    if name == "overlay" and new == "A":
        return
    with pytest.raises(RemoteError):
        type(message).decode(encode_json({**members, name: new}))


@each_message
@given(payload=st.binary(max_size=200))
def test_any_payload_gives_a_message_or_a_remote_error(message, payload):
    with pytest.raises(RemoteError):
        type(message).decode(payload)


@each_message
def test_a_payload_of_another_message_is_refused(message):
    for other in MESSAGES:
        if other.METHOD != message.METHOD:
            with pytest.raises(RemoteError):
                type(message).decode(other.encode())


@pytest.mark.parametrize(
    "change",
    [
        {"id": bytes(15)},
        {"cookie": bytes(33)},
        {"fingerprint": bytes(31)},
        {"issued_at": NOW + 30},
        {"expires_at": NOW + 91},
        {"expires_at": 2**40 + 1},
        {"issued_at": True},
        {"issuer": "alice"},
    ],
)
def test_an_invite_out_of_bounds_is_our_own_mistake(change):
    with pytest.raises(LocalError):
        people.invite(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"contacts": ()},
        {"contacts": ("192.0.2.1:5060;udp",) * 3},
        {"contacts": ["192.0.2.1:5060;udp"]},
        {"contacts": (7,)},
        {"token": bytes(15)},
        {"invite_hash": b""},
        {"fingerprint": bytes(33)},
    ],
)
def test_a_redirect_out_of_bounds_is_our_own_mistake(change):
    with pytest.raises(LocalError):
        people.redirect(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"code": "nonsense"},
        {"code": None},
        {"reason": "r" * 201},
        {"reason": "two\r\nlines"},
        {"reason": "escape \x1b[31m"},
        {"reason": "grün"},
        {"about": bytes(15)},
        {"cookie": bytes(33)},
        {"time": -1},
    ],
)
def test_an_error_out_of_bounds_is_our_own_mistake(change):
    with pytest.raises(LocalError):
        people.error(**change)


@pytest.mark.parametrize("code", ERROR_CODES)
def test_an_error_needs_a_code_and_a_reason_only(code):
    error = Error(code=code, reason="")
    assert Error.decode(error.encode()) == error


@pytest.mark.parametrize(
    ("text", "contact"),
    [
        ("192.0.2.1:5060;udp", Contact(host="192.0.2.1", port=5060, transport="udp")),
        ("192.0.2.1:1;tcp", Contact(host="192.0.2.1", port=1, transport="tcp")),
        ("[2001:db8::1]:65535;tls", Contact(host="2001:db8::1", port=65535, transport="tls")),
        ("127.0.0.1:5062;udp", Contact(host="127.0.0.1", port=5062, transport="udp")),
    ],
)
def test_a_contact_is_read_and_written_in_one_spelling(text, contact):
    assert Contact.parse(text) == contact
    assert str(contact) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "192.0.2.1:5060",
        "192.0.2.1;udp",
        "192.0.2.1:05060;udp",
        "192.0.2.1:0;udp",
        "192.0.2.1:65536;udp",
        "192.0.2.1:5060;sctp",
        "192.0.2.1:5060;udp;x=1",
        "192.0.2.1:5060;udp\r\n",
        "192.0.2.1:5060;UDP",
        "192.0.2.01:5060;udp",
        "0.0.0.0:5060;udp",
        "224.0.0.1:5060;udp",
        "bob@192.0.2.1:5060;udp",
        "sip:192.0.2.1:5060;udp",
        "example.com:5060;udp",
        "2001:db8::1:5060;udp",
        "[2001:DB8::1]:5060;udp",
        "[2001:db8:0:0::1]:5060;udp",
        "[192.0.2.1]:5060;udp",
        "[fe80::1%eth0]:5060;udp",
    ],
)
def test_a_contact_in_another_spelling_is_refused(text):
    with pytest.raises(RemoteError):
        Contact.parse(text)


@given(st.text(max_size=60))
def test_any_text_gives_a_contact_or_a_remote_error(text):
    try:
        contact = Contact.parse(text)
    except RemoteError:
        return
    assert str(contact) == text


def test_the_contacts_of_a_redirect_come_apart():
    redirect = people.redirect(contacts=("192.0.2.1:5060;udp", "[2001:db8::1]:5061;tls"))
    assert [contact.host for contact in redirect.parsed_contacts()] == ["192.0.2.1", "2001:db8::1"]


def test_the_node_signature_of_a_registration_covers_every_field():
    register = people.register()
    register.verify_node()
    for change in (
        {"aor": "alicf"},
        {"bundle": people.BOB.public.encode()},
        {"node_public": people.DEALER.public},
        {"record": b""},
        {"nonce": bytes(16)},
        {"bootstrap": bytes(16)},
        {"overlay": "other"},
        {"code": "1234"},
        {"node_signature": bytes(64)},
    ):
        with pytest.raises(RemoteError, match="node key"):
            replace(register, **change).verify_node()


@pytest.mark.parametrize("change", [{"aor": "Alice"}, {"code": "c" * 65}, {"nonce": b""}, {"overlay": "no such"}])
def test_a_registration_out_of_bounds_is_our_own_mistake(change):
    with pytest.raises(LocalError):
        people.register(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"pieces": (b"",) * 26},
        {"pieces": [b""]},
        {"pieces": (bytes(1025),)},
        {"nodes": (NodeAt(id=bytes(20), host="192.0.2.1", port=1),) * 17},
        {"generation": 0},
    ],
)
def test_an_answer_to_a_registration_out_of_bounds_is_our_own_mistake(change):
    with pytest.raises(LocalError):
        people.registered(**change)


def test_parties_and_nodes_out_of_bounds_are_our_own_mistake():
    with pytest.raises(LocalError):
        Party(aor="Alice", generation=1, thumbprint=bytes(16))
    with pytest.raises(LocalError):
        Party(aor="alice", generation=1, thumbprint=ALICE.public.encode())
    with pytest.raises(LocalError):
        NodeAt(id=bytes(20), host="host", port=1)
