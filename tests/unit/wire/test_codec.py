from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import LocalError, RemoteError
from overlay.wire.codec import MAX_DATAGRAM_LINE_BYTES, MAX_LINE_BYTES, METHODS, Line, decode_line, encode_line

tokens = st.from_regex(r"[A-Za-z0-9_-]{1,20}(\.[A-Za-z0-9_-]{0,20}){0,4}", fullmatch=True)


@given(st.sampled_from(METHODS), tokens)
def test_a_line_comes_back(method, token):
    assert decode_line(encode_line(method, token)) == Line(method=method, token=token)


def test_a_line_looks_as_it_is_written_down():
    assert encode_line("ERROR", "abc.def") == b"SECP2PSIP/1.0 ERROR abc.def\r\n"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"", "cr and lf"),
        (b"SECP2PSIP/1.0 ERROR abc", "cr and lf"),
        (b"SECP2PSIP/1.0 ERROR abc\n", "cr and lf"),
        (b"SECP2PSIP/2.0 ERROR abc\r\n", "this is not SECP2PSIP/1.0"),
        (b"secp2psip/1.0 ERROR abc\r\n", "this is not SECP2PSIP/1.0"),
        (b"INVITE sip:bob@host SIP/2.0\r\n", "this is not SECP2PSIP/1.0"),
        (b" SECP2PSIP/1.0 ERROR abc\r\n", "this is not SECP2PSIP/1.0"),
        (b"SECP2PSIP/1.0\r\n", "a version, a method and a token"),
        (b"SECP2PSIP/1.0 ERROR\r\n", "a version, a method and a token"),
        (b"SECP2PSIP/1.0  ERROR abc\r\n", "a version, a method and a token"),
        (b"SECP2PSIP/1.0 ERROR abc \r\n", "a version, a method and a token"),
        (b"SECP2PSIP/1.0 ERROR abc def\r\n", "a version, a method and a token"),
        (b"SECP2PSIP/1.0 error abc\r\n", "unknown method"),
        (b"SECP2PSIP/1.0 BYE abc\r\n", "unknown method"),
        (b"SECP2PSIP/1.0 ERROR \r\n", "base64url parts"),
        (b"SECP2PSIP/1.0 ERROR ....\r\n", "base64url parts"),
        (b"SECP2PSIP/1.0 ERROR a.b.c.d.e.f\r\n", "base64url parts"),
        (b"SECP2PSIP/1.0 ERROR ab=\r\n", "base64url parts"),
        (b"SECP2PSIP/1.0 ERROR a+b\r\n", "base64url parts"),
        (b"SECP2PSIP/1.0 ERROR abc\r\r\n", "base64url parts"),
        (b"SECP2PSIP/1.0 ERROR abc\n\r\n", "base64url parts"),
        (b"SECP2PSIP/1.0 ERROR abc\r\nSECP2PSIP/1.0 ERROR abc\r\n", "a version, a method and a token"),
        ("SECP2PSIP/1.0 ERROR äbc\r\n".encode(), "ascii"),
    ],
)
def test_another_spelling_gives_one_clear_error(line, why):
    with pytest.raises(RemoteError, match=why):
        decode_line(line)


@pytest.mark.parametrize("method", METHODS)
def test_a_line_has_at_most_the_bytes_of_its_method(method):
    cap = MAX_DATAGRAM_LINE_BYTES if method in {"INVITE", "REDIRECT", "ERROR"} else MAX_LINE_BYTES
    room = cap - len(f"SECP2PSIP/1.0 {method} \r\n")
    assert len(encode_line(method, "a" * room)) == cap
    with pytest.raises(LocalError, match="at most"):
        encode_line(method, "a" * (room + 1))
    with pytest.raises(RemoteError, match="at most"):
        decode_line(f"SECP2PSIP/1.0 {method} {'a' * (room + 1)}\r\n".encode())


@pytest.mark.parametrize(("method", "token"), [("BYE", "abc"), ("ERROR", ""), ("ERROR", "a b"), ("ERROR", "a\r\nb")])
def test_writing_nonsense_is_our_own_mistake(method, token):
    with pytest.raises(LocalError):
        encode_line(method, token)


@given(st.binary(max_size=300) | st.binary(max_size=60).map(lambda tail: b"SECP2PSIP/1.0 ERROR " + tail + b"\r\n"))
def test_any_bytes_give_a_line_or_a_remote_error(data):
    try:
        line = decode_line(data)
    except RemoteError:
        return
    assert encode_line(line.method, line.token) == data
