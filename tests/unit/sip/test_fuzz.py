"""Whatever comes in: nothing but the declared errors, and no answer that carries what was smuggled in."""

from __future__ import annotations

import contextlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from adapter.sip.message import is_keepalive, parse_request
from adapter.sip.uri import parse_name_addr, parse_uri
from adapter.sip.validate import validate
from adapter.sip.via import parse_via, stamp_via
from overlay.errors import RemoteError
from tests.support.sip_phone import spell
from tests.unit.sip.servers import FLOW, answer_all, invite, make_server, register

VECTORS = Path(__file__).parents[2] / "vectors" / "rfc4475"
SEEDS = (
    *(path.read_bytes() for path in sorted(VECTORS.glob("*.dat"))),
    spell(headers=('Contact: "A" <sip:alice@h>;+sip.instance="<urn:uuid:0>";q=0.5', "Expires: 60")),
    spell(headers=("Contact: *", "Expires: 0")),
    *(invite(method=method) for method in ("INVITE", "ACK", "CANCEL", "OPTIONS", "BYE")),
)
OUR_HEADERS = {
    b"Via", b"From", b"To", b"Call-ID", b"CSeq", b"Content-Length", b"Contact", b"Allow", b"Accept", b"Accept-Encoding",
    b"Accept-Language", b"Unsupported", b"Min-Expires", b"Retry-After", b"Warning", b"Timestamp", b"Server",
}  # fmt: skip
ODD = st.sampled_from(
    [b'"', b"<", b">", b";", b",", b":", b"\r", b"\n", b"\r\n", b" ", b"\t", b"\0", b"%00", b"\\", b"=", b"*", b"@",
     b"\xff", b"\xc3\xa0", b"?", b"[", b"]", b"/", b"tag=", b";rport", b"0", b"99999999999999999999999"]
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Take a message and cut, copy or insert in a few places."""
    data = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 20)))
        piece = draw(st.one_of(ODD, st.just(b""), st.just(data[start:end] * 2), st.binary(max_size=4)))
        data = data[:start] + piece + data[end:]
    return data


def check(data: bytes) -> None:
    server = make_server(everywhere=True)
    register(server)
    for _ in range(2):
        server.receive(data, FLOW, 1.0)
        answer_all(server, 1.0)
    for answer, _ in server.datagrams_to_send():
        head, _, body = answer.partition(b"\r\n\r\n")
        start, *lines = head.split(b"\r\n")
        assert start.startswith(b"SIP/2.0 ")
        assert body == b""
        assert b"\r" not in b"".join([start, *lines])
        assert b"\n" not in b"".join([start, *lines])
        assert {line.partition(b":")[0] for line in lines} <= OUR_HEADERS
    server.handle_timer(100.0)


@given(mutated())
def test_damaged_messages_break_nothing(data):
    check(data)


@given(st.binary(max_size=300))
def test_any_bytes_break_nothing(data):
    check(data)


@given(mutated())
def test_the_parser_and_the_validator_raise_only_what_they_declare(data):
    if not is_keepalive(data):
        with contextlib.suppress(RemoteError):
            validate(parse_request(data), transport="UDP")


@given(st.text(max_size=200))
def test_any_text_as_a_value_raises_only_what_is_declared(text):
    for parse in (parse_uri, parse_name_addr, parse_via, lambda text: stamp_via(text, host="192.0.2.9", port=1)):
        with contextlib.suppress(RemoteError):
            parse(text)


@given(
    st.from_regex(
        r"sip:[a-z%0-9]{1,9}@[a-z0-9.]{1,9}(:[1-9][0-9]{0,3})?(;[a-z]{1,3}(=[a-z0-9]{1,3})?){0,3}", fullmatch=True
    )
)
def test_a_uri_that_is_taken_is_the_same_as_itself_and_spells_itself(text):
    try:
        uri = parse_uri(text)
    except RemoteError:
        return
    assert uri.is_same(uri)
    assert uri.at_host(uri.host) == text
