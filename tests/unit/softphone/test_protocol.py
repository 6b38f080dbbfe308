"""The channel's lines: what is written is read back, and nothing else is."""

import contextlib
import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.softphone import commands, events
from adapter.softphone.message import MAX_LINE_BYTES, MAX_TEXT_CHARS, clip
from adapter.softphone.protocol import decode_command, decode_event, encode_line, kind_of
from overlay.errors import LocalError, RemoteError

TEXTS = st.text(st.characters(exclude_categories=("C", "Z")), max_size=60)
NUMBERS = st.floats(0, 1e9)

COMMANDS = [
    commands.Open(host="127.0.0.1", user="alice"),
    commands.Open(
        host="10.0.0.1",
        user="bob",
        registrar="10.0.0.1:5070",
        play="/tmp/ä b.wav",
        loop=False,
        record="/tmp/r.wav",
        auto_answer=True,
        codecs=("PCMU",),
        forbidden=("10.0.0.1:5071",),
        log="/tmp/l",
    ),
    commands.Register(),
    commands.Unregister(),
    commands.Call(uri="sip:bob@127.0.0.1:5070"),
    commands.Answer(status=486),
    commands.HangUp(),
    commands.Close(),
]
EVENTS = [
    events.Opened(at=1.0, address="127.0.0.1:1234"),
    events.Done(at=1.5, about="call"),
    events.Failed(at=1.5, about="call", reason="no"),
    events.Registered(at=2.0, status=403, reason="Forbidden"),
    events.Trying(at=3.0),
    events.Ringing(at=3.0, status=180),
    events.Redirected(at=3.0, contact="sip:bob@127.0.0.1:5062;p2p=x"),
    events.Incoming(at=3.0, remote_uri="sip:a@h", request_uri="sip:b@h", source="h:1"),
    events.Established(
        at=4.0,
        status=200,
        remote_uri="sip:b@h",
        media_remote="h:2",
        codec="G722",
        outgoing=True,
        encrypted=True,
        setup_ms=3.5,
    ),
    events.AudioLost(at=5.0, seconds=3.0),
    events.Referred(at=5.0, call=7, to="sip:carol@h"),
    events.Missed(at=3.0, call=7, remote_uri="sip:a@h", request_uri="sip:b@h", source="h:1"),
    events.Quality(
        at=5.0,
        codec="G722",
        loss_percent=1.5,
        late_percent=0.0,
        loss_there_percent=2.0,
        jitter_ms=0.5,
        rtt_ms=1.25,
        delay_ms=100.6,
        rating=90.0,
        mos=4.3,
    ),
    events.Troubled(at=5.0, trouble="loss there", on=True, figure=0.04),
    events.Ended(at=6.0, status=200, reason="over", cause="hung up here", established=True, duration_s=2.0),
]


@pytest.mark.parametrize("command", COMMANDS, ids=kind_of)
def test_command_comes_back_as_it_went(command):
    assert decode_command(encode_line(command)) == command


@pytest.mark.parametrize("event", EVENTS, ids=kind_of)
def test_event_comes_back_as_it_went(event):
    assert decode_event(encode_line(event)) == event


@given(TEXTS, TEXTS, st.integers(0, 699), NUMBERS, st.booleans())
def test_any_ended_comes_back_as_it_went(reason, source, status, number, flag):
    event = events.Ended(
        at=number,
        status=status,
        reason=reason,
        cause="refused",
        established=flag,
        duration_s=number,
        heard_from=source,
    )
    assert decode_event(encode_line(event)) == event


def test_a_line_is_one_line_of_ascii():
    line = encode_line(commands.Call(uri="sip:b\u00fc\u2028@h".replace("\u2028", "")))
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert line.isascii()


@given(st.binary(max_size=300))
def test_any_bytes_give_an_event_or_a_remote_error(data):
    with contextlib.suppress(RemoteError):
        decode_event(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(EVENTS), st.data())
def test_any_change_of_a_member_is_refused_or_is_another_event(event, data):
    document = json.loads(encode_line(event))
    name = data.draw(st.sampled_from([part.name for part in fields(event)]))
    document[name] = data.draw(JSON)
    try:
        decoded = decode_event(json.dumps(document).encode())
    except RemoteError:
        return
    assert encode_line(decoded)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"{}",
        b'{"kind":"nonsense"}',
        b'{"kind":["call"]}',
        b'{"kind":"call"}',
        b'{"kind":"call","uri":1}',
        b'{"kind":"call","uri":"sip:a@h","more":1}',
        b'{"kind":"answer","status":true}',
        b'{"kind":"answer","status":2.5}',
        b'{"kind":"answer","status":99999999999999999999}',
        b'{"kind":"open","host":"h","user":"u","codecs":"G722"}',
        b'{"kind":"open","host":"h","user":"u","codecs":[1]}',
        b'{"kind":"open","host":"h\\r\\nX","user":"u"}',
        b"[" * 100_000,
    ],
)
def test_malformed_command_is_refused(line):
    with pytest.raises(RemoteError):
        decode_command(line)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999", b'"1"', b"null", b"true"])
def test_a_time_that_is_none_is_refused(number):
    with pytest.raises(RemoteError):
        decode_event(b'{"kind":"trying","at":' + number + b"}")


def test_a_command_is_no_event_and_the_other_way_round():
    with pytest.raises(RemoteError):
        decode_event(encode_line(commands.HangUp()))
    with pytest.raises(RemoteError):
        decode_command(encode_line(events.Trying(at=1.0)))


def test_an_over_long_line_is_refused():
    with pytest.raises(RemoteError, match="over the cap"):
        decode_command(b" " * MAX_LINE_BYTES + b"{}")


def test_the_largest_message_stays_below_the_cap():
    wide = "\U0001f600" * MAX_TEXT_CHARS
    line = encode_line(
        events.Established(
            at=1.0,
            status=200,
            remote_uri=wide,
            media_remote=wide,
            codec=wide,
            outgoing=True,
            encrypted=True,
            setup_ms=1.0,
        )
    )
    assert len(line) < MAX_LINE_BYTES


def test_child_died_never_goes_over_the_channel():
    with pytest.raises(LocalError):
        encode_line(events.ChildDied(at=1.0, reason="gone"))


@pytest.mark.parametrize("text", ["a\nb", "a\r", "\x00", "x" * (MAX_TEXT_CHARS + 1), "\x1b[31m"])
def test_a_text_unfit_for_a_message_is_refused_and_clip_mends_it(text):
    with pytest.raises(LocalError):
        commands.Call(uri=text)
    assert commands.Call(uri=clip(text))


def test_an_unknown_cause_is_refused():
    with pytest.raises(LocalError):
        events.Ended(at=1.0, status=200, reason="", cause="bad luck", established=False, duration_s=0.0)
