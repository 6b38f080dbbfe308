"""SIP URIs and name-addr values: what phones send, what is refused."""

from __future__ import annotations

import pytest

from adapter.sip.uri import parse_name_addr, parse_uri
from overlay.errors import RemoteError


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        ("sip:bob@192.0.2.1:5062", "bob", "192.0.2.1", 5062),
        ("SIP:bob@node1", "bob", "node1", None),
        ("sip:bob@p2p.local2;transport=tcp", "bob", "p2p.local2", None),
        ("sip:+1234;phone-context=x@h", "+1234;phone-context=x", "h", None),
        ("sip:alice:secret@h", "alice", "h", None),
        ("sip:user;par=u%40example.net@example.com", "user;par=u%40example.net", "example.com", None),
        ("sips:a@[2001:DB8::1]:5061", "a", "[2001:db8::1]", 5061),
        ("sip:192.0.2.1", "", "192.0.2.1", None),
        ("sip:host_underscore", "", "host_underscore", None),
        ("sip:*43#@h", "*43#", "h", None),
        ("sip:x@h.", "x", "h.", None),
    ],
)
def test_a_uri_is_read_into_its_parts(text, user, host, port):
    uri = parse_uri(text)
    assert (uri.user, uri.host, uri.port) == (user, host, port)


@pytest.mark.parametrize(
    "text",
    [
        "", "sip:", "sip:@h", "bob@h", "tel:+123", "http://h", "sip:a@h:0", "sip:a@h:65536", "sip:a@h:5x", "sip:a b@h",
        "sip:a@h h", "sip: a@h", "sip:a@ h", "sip:a@h ;lr", "sip:a@h;", "sip:a@h;;lr", "sip:a@h;=x", "sip:a@h;p=1;P=2",
        "sip:a@h?", "sip:a%4@h", "sip:a@[::1", "sip:a@[xyz]", "sip:a@h\r\nX: y", "sip:a\x00b@h", "sip:a@-h", "sip:a@h>",
        "sip:a@" + "h" * 256, "sip:" + "a" * 2048 + "@h", "sip:ä@h", "sip:a@h;p=ä",
    ],
)  # fmt: skip
def test_what_is_no_sip_uri_is_refused(text):
    with pytest.raises(RemoteError):
        parse_uri(text)


def test_the_transport_is_what_the_uri_or_its_scheme_says():
    assert parse_uri("sip:a@h").transport == "udp"
    assert parse_uri("sip:a@h;transport=TCP").transport == "tcp"
    assert parse_uri("sips:a@h").transport == "tls"


def test_a_password_is_not_shown():
    assert "secret" not in repr(parse_uri("sip:alice:secret@h"))


def test_another_host_leaves_the_rest_as_it_came():
    uri = parse_uri("sip:a%6Cice@127.0.0.1:5062;Transport=UDP;ob?Subject=x")
    assert uri.at_host("192.0.2.9") == "sip:a%6Cice@192.0.2.9:5062;Transport=UDP;ob?Subject=x"


# the examples of RFC 3261 §19.1.4
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
    ],
)
def test_uris_that_are_the_same(one, other):
    assert parse_uri(one).is_same(parse_uri(other))
    assert parse_uri(other).is_same(parse_uri(one))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:%00@host", "sip:%00%00@host"),
    ],
)
def test_uris_that_are_not_the_same(one, other):
    assert not parse_uri(one).is_same(parse_uri(other))
    assert not parse_uri(other).is_same(parse_uri(one))


@pytest.mark.parametrize(
    ("text", "display", "uri", "parameters"),
    [
        ("<sip:a@h>", "", "sip:a@h", {}),
        ("sip:a@h;tag=1", "", "sip:a@h", {"tag": "1"}),
        ("<sip:a@h;lr>;tag=1", "", "sip:a@h;lr", {"tag": "1"}),
        ("caller<sip:a@h>;tag=323", "caller", "sip:a@h", {"tag": "323"}),
        ("A. Bell <sip:a@h>", "A. Bell", "sip:a@h", {}),
        ("Jörg Müller <sip:a@h>", "Jörg Müller", "sip:a@h", {}),
        ('"a<b>" <sip:x@h>', '"a<b>"', "sip:x@h", {}),
        ('"a \\" ; , <" <sip:x@h> ; tag = 7', '"a \\" ; , <"', "sip:x@h", {"tag": "7"}),
        (
            '"Alice" <sip:a@h>;+sip.instance="<urn:uuid:0>";reg-id=1',
            '"Alice"',
            "sip:a@h",
            {"+sip.instance": '"<urn:uuid:0>"', "reg-id": "1"},
        ),
        ("<isbn:2983792873>", "", "isbn:2983792873", {}),
    ],
)
def test_a_name_addr_is_read_into_its_parts(text, display, uri, parameters):
    value = parse_name_addr(text)
    assert (value.display, value.text, value.parameters) == (display, uri, parameters)


@pytest.mark.parametrize(
    "text",
    [
        "", "*", "<>", "<sip:a@h", "sip:a@h>", '"a <sip:a@h>', '"a" sip:a@h', "Bell, Alexander <sip:a@h>",
        "< sip:a@h >", "sip:a@h?x=y", "sip:a@h,sip:b@h", "<sip:a@h>tag=1", "<sip:a@h>;tag=1;tag=2", "<sip:a@h>;;",
        "<sip:a@h>;tag=", '<sip:a@h>;x="y', "<sip:a@h>" + ";p=1" * 65, "no-scheme", "<name:a b>",
    ],
)  # fmt: skip
def test_what_is_no_name_addr_is_refused(text):
    with pytest.raises(RemoteError):
        parse_name_addr(text)


def test_a_uri_of_another_scheme_is_no_sip_uri():
    assert parse_name_addr("<tel:+123>").uri is None
