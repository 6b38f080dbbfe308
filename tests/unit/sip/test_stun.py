"""STUN on the SIP port: the phone learns its own address, and nothing else is said."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.sip.stun import answer_binding, is_stun

COOKIE = b"\x21\x12\xa4\x42"
ID = bytes(range(12))


def request(body: bytes = b"", *, kind: int = 1, length: int | None = None) -> bytes:
    return struct.pack("!HH", kind, len(body) if length is None else length) + COOKIE + ID + body


@pytest.mark.parametrize(("host", "family"), [("192.0.2.5", 1), ("2001:db8::5", 2), ("fe80::1%eth0", 2)])
def test_a_binding_request_learns_where_it_came_from(host, family):
    answer = answer_binding(request(), host, 5062)
    kind, length = struct.unpack_from("!HH", answer)
    assert (kind, length, answer[4:20]) == (0x0101, len(answer) - 20, COOKIE + ID)
    attribute, size, _, found_family, port = struct.unpack_from("!HHBBH", answer, 20)
    assert (attribute, size, found_family, port ^ 0x2112) == (0x0020, len(answer) - 24, family, 5062)
    address = bytes(a ^ b for a, b in zip(answer[28:], COOKIE + ID, strict=False))
    assert ip_address(address) == ip_address(host.partition("%")[0])


def test_an_attribute_that_may_be_passed_over_is():
    answer = answer_binding(request(struct.pack("!HH4s", 0x8022, 3, b"abc")), "192.0.2.5", 1)
    assert answer[:2] == b"\x01\x01"


def test_an_attribute_that_must_be_understood_is_named():
    answer = answer_binding(request(struct.pack("!HH", 0x0024, 0) + struct.pack("!HH", 0x0006, 0)), "192.0.2.5", 1)
    assert answer[:2] == b"\x01\x11"
    assert b"\0\0\x04\x14Unknown Attribute" in answer
    assert answer.endswith(struct.pack("!HHHH", 0x000A, 4, 0x0024, 0x0006))


@pytest.mark.parametrize(
    "data",
    [b"", request()[:19], request(kind=0x0101), request(kind=0x0011), request(length=4), request(b"\0\x06\0\x09abcd"),
     request(b"ab", length=2), request(bytes(600)), b"\0\x01\0\0" + bytes(16)],
)  # fmt: skip
def test_anything_else_is_not_answered(data):
    assert answer_binding(data, "192.0.2.5", 1) is None


@given(st.binary(max_size=60))
def test_any_attributes_break_nothing(body):
    assert is_stun(request(body))
    answer = answer_binding(request(body), "192.0.2.5", 1)
    assert answer is None or len(answer) <= 20 + 12 + 24 + 2 * len(body)
