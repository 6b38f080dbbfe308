"""What a 302 may send our phone to, and what it may not."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.softphone.checks import check_uri, choose, contacts_of
from overlay.errors import RemoteError

GOOD = "sip:bob@192.0.2.7:5062;p2p=AbC-_123"


def response(*headers: str, status: str = "302 Moved Temporarily") -> str:
    lines = [f"SIP/2.0 {status}", "Via: SIP/2.0/UDP 192.0.2.1:4000;branch=z9hG4bK1", *headers, "Content-Length: 0"]
    return "\r\n".join(lines) + "\r\n\r\n"


def chosen(*headers: str, selected: str = "<sip:bob@192.0.2.7>", forbidden: tuple[str, ...] = (), own="192.0.2.1"):
    return choose(response(*headers), selected=selected, forbidden=forbidden, own_host=own)


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        (GOOD, "192.0.2.7:5062"),
        ("sip:bob@192.0.2.7", "192.0.2.7:5060"),
        ("SIP:Bob@10.0.0.1:1024;transport=udp;ob", "10.0.0.1:1024"),
        ("sip:bob-0x55d0@127.0.0.1:65535;transport=UDP", "127.0.0.1:65535"),
    ],
)
def test_a_plain_address_passes(uri, address):
    target = check_uri(uri)
    assert target.address == address
    assert target.uri == uri


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "tel:+4930123",
        "sips:bob@192.0.2.7:5062",
        "http://192.0.2.7:5062",
        "sip:192.0.2.7:5062",
        "sip:bob@phone.example:5062",
        "sip:bob@localhost",
        "sip:bob@[::1]:5062",
        "sip:bob@192.0.2.07:5062",
        "sip:bob@192.0.2.256",
        "sip:bob@1.2.3:5062",
        "sip:bob@0.0.0.0:5062",
        "sip:bob@224.0.0.1:5062",
        "sip:bob@255.255.255.255:5062",
        "sip:bob@192.0.2.7:0",
        "sip:bob@192.0.2.7:22",
        "sip:bob@192.0.2.7:65536",
        "sip:bob@192.0.2.7:",
        "sip:bob@192.0.2.7:5062;transport=tcp",
        "sip:bob@192.0.2.7:5062;transport",
        "sip:bob@192.0.2.7:5062;maddr=10.0.0.1",
        "sip:bob@192.0.2.7:5062;received=10.0.0.1",
        "sip:bob@192.0.2.7:5062;lr",
        "sip:bob@192.0.2.7:5062?X-Header=1",
        "sip:bob@192.0.2.7:5062;p2p=a?Route=%3Csip:evil%3E",
        "sip:bob@192.0.2.7:5062;p2p=a%0d%0aX",
        "sip:bob@192.0.2.7:5062\r\nX: y",
        "sip:bob@192.0.2.7:5062\n",
        "sip:bob:secret@192.0.2.7:5062",
        "sip:bob@evil@192.0.2.7:5062",
        "sip:bob@192.0.2.7:5062;" + "p2p=" + "a" * 200,
        "sip:" + "b" * 65 + "@192.0.2.7:5062",
        "sip:b\u00f6b@192.0.2.7:5062",
        "sip:bob@192.0.2.\u0667:5062",
    ],
)
def test_anything_else_is_refused(uri):
    with pytest.raises(RemoteError):
        check_uri(uri)


FINGERPRINT = "0a" * 32
SECURE = "sip:bob@192.0.2.7:5061;transport=tls;p2p=AbC-_123"


def test_tls_is_called_where_a_certificate_is_named():
    target = chosen(f"Contact: <{SECURE}>;q=0.5;secp2psip-fp={FINGERPRINT.upper()}")
    assert (target.uri, target.fingerprint) == (SECURE, FINGERPRINT)
    assert chosen(f"Contact: <{GOOD}>").fingerprint == ""


@pytest.mark.parametrize(
    "contact",
    [
        f"<{SECURE}>",
        f"<{SECURE}>;secp2psip-fp={FINGERPRINT[:-2]}",
        f"<{SECURE}>;secp2psip-fp={FINGERPRINT}00",
        f"<{SECURE}>;secp2psip-fp=",
        f"<{GOOD}>;secp2psip-fp={FINGERPRINT}",
        f"<{GOOD};transport=udp;transport=tls>;secp2psip-fp={FINGERPRINT}",
        f"<{GOOD};transport=ws>;secp2psip-fp={FINGERPRINT}",
    ],
)
def test_tls_without_a_certificate_and_a_certificate_without_tls_are_refused(contact):
    with pytest.raises(RemoteError):
        chosen(f"Contact: {contact}")


@given(st.text(max_size=80))
def test_any_text_gives_a_target_or_a_remote_error(text):
    with contextlib.suppress(RemoteError):
        check_uri("sip:" + text)


@given(st.text(st.sampled_from('<>,;="\\ :@?\r\nm.0123456789bobsipContactq'), max_size=120))
def test_any_contact_gives_targets_or_a_remote_error(text):
    with contextlib.suppress(RemoteError):
        contacts_of(response(f"Contact: {text}"))


@pytest.mark.parametrize(
    "header",
    [
        f"Contact: <{GOOD}>",
        f"contact:<{GOOD}>",
        f"m: <{GOOD}>",
        f"Contact : <{GOOD}>;q=0.7;expires=60",
        f'Contact: "Bob B." <{GOOD}>',
        f'Contact: Bob <{GOOD}>;+sip.instance="<urn:uuid:1>"',
    ],
)
def test_the_contact_is_found_in_every_spelling(header):
    assert chosen(header).uri == GOOD


def test_parameters_that_pjsip_prints_do_not_matter():
    assert chosen(f"Contact: <{GOOD}>", selected="<sip:bob@192.0.2.7;p2p=AbC-_123>").uri == GOOD


def test_the_most_preferred_of_several_is_chosen():
    headers = ("Contact: <sip:bob@192.0.2.8:5060>;q=0.3, <sip:bob@192.0.2.7:5062>;q=0.9",)
    assert chosen(*headers).address == "192.0.2.7:5062"


def test_the_first_of_equals_is_chosen():
    assert chosen("Contact: <sip:bob@192.0.2.7:5062>", "Contact: <sip:bob@192.0.2.8:5062>").address == "192.0.2.7:5062"


def test_one_bad_contact_spoils_the_response():
    with pytest.raises(RemoteError):
        chosen("Contact: <sip:bob@192.0.2.7:5062>;q=1", "Contact: <sip:bob@evil.example>;q=0.1")


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Contact:",),
        ("Contact: *",),
        ("Contact: sip:bob@192.0.2.7",),
        ("Contact: <sip:bob@192.0.2.7:5062> trailing",),
        ("Contact: <sip:bob@192.0.2.7:5062>;q=0.5?X=1",),
        ("Contact: <sip:bob@192.0.2.7:5062\r\n >",),
        ("Contact: <sip:bob@192.0.2.7:5062>" + " " * 600 + ";q=1",),
        tuple(f"Contact: <sip:bob@192.0.2.{n}:5062>" for n in range(1, 7)),
    ],
)
def test_a_302_that_cannot_be_read_is_refused(headers):
    with pytest.raises(RemoteError):
        chosen(*headers)


def test_a_contact_behind_a_bare_newline_is_seen_too():
    with pytest.raises(RemoteError):
        chosen("Contact: <sip:bob@192.0.2.7:5062>\nContact: <sip:bob@evil.example>")


def test_a_contact_in_the_body_is_not_one():
    text = response(f"Contact: <{GOOD}>") + "Contact: <sip:bob@evil.example>\r\n"
    assert choose(text, selected="<sip:bob@192.0.2.7>", forbidden=(), own_host="192.0.2.1").uri == GOOD


@pytest.mark.parametrize("status", ["300 Multiple Choices", "305 Use Proxy", "380 Alternative Service", "200 OK"])
def test_only_moves_are_followed(status):
    with pytest.raises(RemoteError, match="301 and 302"):
        contacts_of(response(f"Contact: <{GOOD}>", status=status))


def test_our_own_adapter_is_a_loop():
    with pytest.raises(RemoteError, match="ourselves"):
        chosen(f"Contact: <{GOOD}>", forbidden=("192.0.2.7:5062",))


def test_the_default_port_is_seen_as_the_adapters_too():
    with pytest.raises(RemoteError, match="ourselves"):
        chosen("Contact: <sip:bob@192.0.2.7>", forbidden=("192.0.2.7:5060",))


def test_loopback_is_refused_on_a_network_and_taken_on_loopback():
    header = "Contact: <sip:bob@127.0.0.1:5062>"
    with pytest.raises(RemoteError, match="loopback"):
        chosen(header, selected="<sip:bob@127.0.0.1>")
    assert chosen(header, selected="<sip:bob@127.0.0.1>", own="127.0.0.1").port == 5062


@pytest.mark.parametrize("selected", ["<sip:bob@192.0.2.8>", "<sip:eve@192.0.2.7>", "", "<sips:bob@192.0.2.7>"])
def test_a_302_that_pjsip_reads_differently_is_refused(selected):
    with pytest.raises(RemoteError, match="beyond doubt"):
        chosen(f"Contact: <{GOOD}>", selected=selected)
