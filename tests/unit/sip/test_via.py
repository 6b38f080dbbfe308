"""The Via header: read strictly, stamped in its raw text."""

from __future__ import annotations

import pytest

from adapter.sip.via import parse_via, stamp_via
from overlay.errors import RemoteError


@pytest.mark.parametrize(
    ("text", "transport", "host", "port", "branch"),
    [
        ("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx", "UDP", "192.0.2.1", 5060, "z9hG4bKx"),
        ("SIP  /   2.0 /UDP 192.0.2.2;branch=390skdjuw", "UDP", "192.0.2.2", 5060, "390skdjuw"),
        ("SIP  / 2.0  / TCP     Spindle.net   ; branch  =   z9hG4bK9ikj8", "TCP", "spindle.net", 5060, "z9hG4bK9ikj8"),
        ("sip/2.0/tls [2001:db8::1]:5071;branch=z9hG4bK1;rport", "TLS", "[2001:db8::1]", 5071, "z9hG4bK1"),
        ("SIP/2.0/TLS h", "TLS", "h", 5061, ""),
    ],
)  # fmt: skip
def test_a_via_is_read_into_its_parts(text, transport, host, port, branch):
    via = parse_via(text)
    assert (via.transport, via.host, via.port, via.branch) == (transport, host, port, branch)


@pytest.mark.parametrize(
    "text",
    ["", "SIP/2.0/UDP", "SIP/2.0 h", "HTTP/1.1/UDP h", "SIP/2.0/UDP h;;", "SIP/2.0/UDP h;branch", "SIP/2.0/UDP h:x",
     "SIP/2.0/UDP h;branch=" + "b" * 513, "SIP/2.0/UDP a b;branch=z"],
)  # fmt: skip
def test_what_is_no_via_is_refused(text):
    with pytest.raises(RemoteError):
        parse_via(text)


def test_the_cookie_is_what_makes_a_branch_identify():
    assert parse_via("SIP/2.0/UDP h;branch=z9hG4bKx").has_cookie
    assert not parse_via("SIP/2.0/UDP h;branch=x").has_cookie
    assert parse_via("SIP/2.0/UDP h;branch=z9hG4bK").is_bare_cookie


@pytest.mark.parametrize(
    ("text", "stamped"),
    [
        ("SIP/2.0/UDP h;branch=b;rport", "SIP/2.0/UDP h;branch=b;received=192.0.2.9;rport=5099"),
        ("SIP/2.0/UDP h;rport;branch=b", "SIP/2.0/UDP h;branch=b;received=192.0.2.9;rport=5099"),
        ("SIP/2.0/UDP 192.0.2.9;branch=b;rport", "SIP/2.0/UDP 192.0.2.9;branch=b;received=192.0.2.9;rport=5099"),
        ("SIP/2.0/UDP 192.0.2.9;branch=b", "SIP/2.0/UDP 192.0.2.9;branch=b"),
        ("SIP/2.0/UDP h;branch=b", "SIP/2.0/UDP h;branch=b;received=192.0.2.9"),
        ("SIP/2.0/UDP h;Received=10.0.0.1;branch=b", "SIP/2.0/UDP h;branch=b;received=192.0.2.9"),
        ('SIP / 2.0/UDP h;x=";rport";branch=b', 'SIP / 2.0/UDP h;x=";rport";branch=b;received=192.0.2.9'),
    ],
)
def test_a_stamp_says_where_the_request_came_from_and_changes_nothing_else(text, stamped):
    assert stamp_via(text, host="192.0.2.9", port=5099) == stamped
