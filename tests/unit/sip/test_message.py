"""Messages: what is read, what is dropped, and answers that echo the request's own bytes."""

from __future__ import annotations

import pytest

from adapter.sip.message import (
    MAX_HEAD_BYTES,
    MAX_HEADER_LINES,
    MAX_REASON_CHARS,
    MAX_VIAS,
    Request,
    build_response,
    has_tag,
    is_keepalive,
    parse_request,
)
from overlay.errors import LocalError, RemoteError
from tests.support.sip_phone import read_answer, spell


def respond(request: Request, *, reason: str = "OK", headers: tuple[tuple[str, str], ...] = ()) -> bytes:
    via = request.value("via")
    return build_response(request, status=200, reason=reason, top_via=via, to_tag="t", headers=headers)


def test_a_request_is_read():
    request = parse_request(spell("OPTIONS", uri="sip:x@h", body="hello"))
    assert (request.method, request.uri, request.version, request.body, request.flaw) == (
        "OPTIONS",
        "sip:x@h",
        "2.0",
        b"hello",
        "",
    )
    assert (request.value("CALL-id"), request.values("absent"), request.value("absent")) == ("call-1@phone", [], "")


def test_compact_names_folded_lines_and_blanks_before_the_colon_are_one():
    request = parse_request(
        b"\r\nOPTIONS sip:h SIP/2.0\r\ni : a\r\nv: SIP/2.0/UDP h\r\n ;branch=1,SIP/2.0/UDP g\r\n\r\n"
    )
    assert request.value("call-id") == "a"
    assert request.values("via") == ["SIP/2.0/UDP h ;branch=1", "SIP/2.0/UDP g"]


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"SIP/2.0 200 OK\r\n\r\n",
        b"sip/2.0 999999999999 OK\r\n\r\n",
        b"OPTIONS\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        spell("OPTIONS", headers=("X: " + "x" * MAX_HEAD_BYTES,)),
        spell("OPTIONS", headers=("X: x",) * MAX_HEADER_LINES),
        spell("OPTIONS", headers=("Via: " + ", ".join(["SIP/2.0/UDP h"] * MAX_VIAS),)),
        spell("OPTIONS", body="x" * 65_536),
    ],
)
def test_what_is_no_request_or_over_a_cap_is_dropped(data):
    with pytest.raises(RemoteError):
        parse_request(data)


@pytest.mark.parametrize(
    ("start", "flaw"),
    [
        (b"OPTIONS  sip:h SIP/2.0", "the start line is malformed"),
        (b"OPTIONS sip:h SIP/2.0 ", "the start line is malformed"),
        (b"OPTIONS sip:h; lr SIP/2.0", "the start line is malformed"),
        (b"OPTIONS sip:h SIP/2.0\r\n folded: x", "the first header line is a continuation"),
        (b"OPTIONS sip:h SIP/2.0\r\nnonsense", "a header line has no colon"),
    ],
)
def test_a_broken_form_is_named(start, flaw):
    assert parse_request(start + b"\r\nVia: SIP/2.0/UDP h\r\n\r\n").flaw == flaw


@pytest.mark.parametrize(
    ("display", "charset"),
    [("Jörg", "utf-8"), ("Влад", "utf-8"), ("à", "utf-8"), ("Jörg", "latin-1"), ("à", "latin-1")],
)
def test_an_answer_gives_back_the_bytes_of_the_request(display, charset):
    sender = f'From: "{display}" <sip:a@h>;tag=1'.encode(charset)
    data = spell("OPTIONS", sender="X").replace(b"From: X", sender)
    assert b"\r\n" + sender + b"\r\n" in respond(parse_request(data))


def test_every_via_comes_back_in_order():
    data = spell("OPTIONS", headers=("Via: SIP/2.0/TCP g;branch=2, SIP/2.0/UDP f", "v: SIP/2.0/UDP e"))
    assert read_answer(respond(parse_request(data))).all("Via")[1:] == [
        "SIP/2.0/TCP g;branch=2",
        "SIP/2.0/UDP f",
        "SIP/2.0/UDP e",
    ]


@pytest.mark.parametrize("separator", [b"\r", b"\n"])
def test_a_lone_line_break_smuggles_no_header_into_an_answer(separator):
    data = spell("OPTIONS", call_id="x").replace(b"Call-ID: x", b"Call-ID: x" + separator + b"Contact: <sip:evil@h>")
    assert read_answer(respond(parse_request(data))).all("Contact") == []


def test_a_tag_that_is_there_stays_alone():
    request = parse_request(spell("OPTIONS", to="<sip:a@h>;tag=theirs"))
    assert read_answer(respond(request)).one("To") == "<sip:a@h>;tag=theirs"


@pytest.mark.parametrize(
    ("value", "tagged"),
    [("<sip:a@h>", False), ("<sip:a@h;tag=1>", False), ("<sip:a@h> ; TAG = 1", True), ("sip:a@h;tag=1", True)],
)
def test_a_tag_is_the_headers_and_not_the_uris(value, tagged):
    assert has_tag(value) is tagged


def test_a_reason_is_made_fit_for_a_status_line():
    answer = read_answer(respond(parse_request(spell("OPTIONS")), reason="a\r\nb\0" + "c" * 500))
    assert answer.reason == ("a  b " + "c" * 500)[:MAX_REASON_CHARS]


def test_a_header_of_ours_that_breaks_its_line_is_our_own_mistake():
    with pytest.raises(LocalError):
        respond(parse_request(spell("OPTIONS")), headers=(("Contact", "<sip:a@h>\r\nX: y"),))


@pytest.mark.parametrize(
    ("data", "keeps"),
    [
        (b"", True),
        (b"\r\n\r\n", True),
        (b"\0\0\0\0", True),
        (b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12), True),
        (b"\x00\x01", False),
        (b"OPTIONS", False),
    ],
)
def test_what_only_keeps_a_path_open(data, keeps):
    assert is_keepalive(data) is keeps
