"""One connection's bytes, cut into messages: whatever the cuts on the way, the same messages come out."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapter.sip import stream as stream_module
from adapter.sip.message import MAX_HEAD_BYTES, MAX_MESSAGE_BYTES
from adapter.sip.stream import FIRST_MESSAGE_S, IDLE_S, MESSAGE_S, Broken, Framed, Ping, Stream, content_length
from tests.support.sip_phone import spell

OPTIONS = spell("OPTIONS", branch=";branch=z9hG4bK-o")
WITH_BODY = spell("INVITE", branch=";branch=z9hG4bK-i", body="v=0\r\n\r\nOPTIONS sip:x SIP/2.0\r\n\r\n")
NO_LENGTH = OPTIONS.replace(b"Content-Length: 0\r\n", b"")
PIECES = st.sampled_from(
    [OPTIONS, WITH_BODY, b"\r\n", b"\r\n\r\n", b"\r", b"\n", b"SIP/2.0 200 OK\r\nl: 2\r\n\r\nab", NO_LENGTH, b"GET / ",
     b"x", b"\x16\x03\x01", b"INVITE sip:a@b SIP/2.0\r\n", b"Content-Length: -1\r\n\r\n", b"A" * 70, b" SIP/2.0\r\n",
     b"A sip:" + b"a" * 4085 + b" SIP/2.0\r\n\r\n", b"A: " + b"b" * 16_300 + b"\r\n", b"l:\r\n 3\r\n\r\nabc"]
)  # fmt: skip


def events(stream: Stream) -> list[object]:
    found = []
    while (event := stream.next_event()) is not None:
        found.append(event)
    return found


def feed(stream: Stream, data: bytes, now: float = 0.0) -> list[object]:
    stream.receive(data, now)
    return events(stream)


def kinds(found: list[object]) -> list[object]:
    """Reasons may differ with the cuts: what is long and no SIP is seen to be one or the other first."""
    return ["broken" if isinstance(event, Broken) else event for event in found]


@given(st.lists(PIECES, max_size=6).map(b"".join), st.data())
@example(b"\r\n\r" + OPTIONS, None)
def test_any_split_of_a_stream_gives_the_same_messages(data, draw):
    whole = kinds(feed(Stream(0.0), data))
    if draw is None:
        cuts = list(range(len(data)))
    else:
        cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=12)))
    stream = Stream(0.0)
    found: list[object] = []
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        found += feed(stream, data[start:end])
    assert kinds(found) == whole


@given(st.lists(PIECES, max_size=3).map(b"".join))
def test_byte_by_byte_is_the_same_too(data):
    whole = kinds(feed(Stream(0.0), data[:600]))
    stream = Stream(0.0)
    assert kinds([event for byte in data[:600] for event in feed(stream, bytes([byte]))]) == whole


@given(st.binary(max_size=200))
def test_any_bytes_give_messages_pings_or_one_end(data):
    found = feed(Stream(0.0), data)
    assert not [event for event in found[:-1] if isinstance(event, Broken)]


def test_pipelined_messages_come_out_one_by_one():
    assert feed(Stream(0.0), OPTIONS + WITH_BODY + OPTIONS) == [Framed(data=d) for d in (OPTIONS, WITH_BODY, OPTIONS)]


def test_a_double_crlf_is_a_ping_and_a_single_one_is_nothing():
    stream = Stream(0.0)
    assert feed(stream, b"\r\n") == []
    assert feed(stream, b"\r\n") == [Ping()]
    assert feed(stream, b"\r\n" + OPTIONS) == [Framed(data=OPTIONS)]
    assert feed(stream, b"\r\n\r\n\r\n\r\n") == [Ping(), Ping()]


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"POST /sip HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00",
        b"SIP/1",
        b"HTTP/",
        b"A" * 65,
        b"\0",
        b" INVITE sip:a SIP/2.0",
        b"\xff",
        b"{",
        b"SECP2PSIP/1.0",
        b"INVITE sip:a@b\r\n",
        b"A " + b"a" * 4096,
    ],
)
def test_what_does_not_begin_like_sip_ends_the_connection(data):
    stream = Stream(0.0)
    assert feed(stream, data) == [Broken(why="what came is not SIP")]
    assert feed(stream, OPTIONS) == []
    assert stream.next_deadline() is None


def test_a_sip_request_in_the_body_of_a_web_request_is_never_seen():
    found = feed(Stream(0.0), b"POST / HTTP/1.1\r\nContent-Length: 999\r\n\r\n" + OPTIONS)
    assert not [event for event in found if isinstance(event, Framed)]


@pytest.mark.parametrize(
    "lines",
    [b"", b"Content-Length: 1\r\nContent-Length: 1\r\n", b"l: 1\r\nContent-Length: 2\r\n", b"l: x\r\n", b"l: -1\r\n",
     b"l: 99999999999\r\n", b"l: 65536\r\n", b"X: y\n\nl: 1\r\n", b"l: 1 1\r\n", b"l:\r\n"],
)  # fmt: skip
def test_where_the_length_cannot_be_known_the_head_is_the_last_message(lines):
    head = b"OPTIONS sip:a@b SIP/2.0\r\nVia: x\r\n" + lines + b"\r\n"
    assert feed(Stream(0.0), head + OPTIONS) == [
        Framed(data=head),
        Broken(why="the end of a message cannot be known"),
    ]


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (b"A\r\nContent-Length: 5", 5),
        (b"A\r\ncontent-length :\r\n\t7 ", 7),
        (b"A\r\nL:0", 0),
        (b"A\rl: 3", 3),
        (b"Content-Length: 5", None),
        (b"A\r\nX: l: 5", None),
        (b"A\r\n l: 5", None),
    ],
)
def test_content_length_is_read_as_the_parser_reads_headers(head, length):
    assert content_length(head) == length


def test_a_head_over_the_cap_ends_the_connection():
    stream = Stream(0.0)
    assert feed(stream, OPTIONS[:-4] + b"\r\nX: " + b"x" * MAX_HEAD_BYTES) == [
        Broken(why="the headers of a message are too large")
    ]


def test_a_body_up_to_the_cap_is_taken():
    head = OPTIONS.replace(b"Content-Length: 0", b"Content-Length: 65000")
    room = MAX_MESSAGE_BYTES - len(head)
    head = OPTIONS.replace(b"Content-Length: 0", b"Content-Length: %d" % room)
    assert len(feed(Stream(0.0), head + b"x" * room + OPTIONS)) == 2


def test_a_connection_without_a_message_ends_whatever_it_sends_to_stay():
    stream = Stream(0.0)
    for now in range(1, int(FIRST_MESSAGE_S)):
        feed(stream, b"\r\n\r\n", float(now))
    assert stream.next_deadline() == FIRST_MESSAGE_S
    stream.handle_timer(FIRST_MESSAGE_S)
    assert feed(stream, b"") == [Broken(why="no message came")]


def test_a_message_that_drips_in_is_not_waited_for():
    stream = Stream(0.0)
    feed(stream, OPTIONS, 1.0)
    for index in range(20):
        feed(stream, OPTIONS[index : index + 1], 2.0 + index)
    assert stream.next_deadline() == 2.0 + MESSAGE_S
    stream.handle_timer(2.0 + MESSAGE_S)
    assert events(stream) == [Broken(why="a message took too long")]


def test_the_first_message_has_no_more_time_than_the_connection():
    stream = Stream(0.0)
    feed(stream, OPTIONS[:5], FIRST_MESSAGE_S - 1)
    assert stream.next_deadline() == FIRST_MESSAGE_S


def test_messages_and_pings_keep_a_connection_and_silence_ends_it():
    stream = Stream(0.0)
    feed(stream, OPTIONS, 5.0)
    assert stream.next_deadline() == 5.0 + IDLE_S
    feed(stream, b"\r\n\r\n", 100.0)
    assert stream.next_deadline() == 100.0 + IDLE_S
    stream.handle_timer(100.0)
    assert not stream.is_broken
    stream.handle_timer(100.0 + IDLE_S)
    assert events(stream) == [Broken(why="nothing came for a long time")]


def test_a_big_message_in_small_pieces_is_searched_once(monkeypatch):
    monkeypatch.setattr(stream_module, "MAX_START_BYTES", 64)
    stream = Stream(0.0)
    data = OPTIONS[:-4] + b"\r\nX: " + b"x" * 10_000 + b"\r\n\r\n"
    found = [event for start in range(0, len(data), 7) for event in feed(stream, data[start : start + 7])]
    assert found == [Framed(data=data)]
