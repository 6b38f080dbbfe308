"""Requests and answers as bytes."""

from __future__ import annotations

import msgpack
import pytest
import umsgpack
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import LocalError, RemoteError
from overlay.ring.rpc import (
    MAX_ANSWER_BYTES,
    MAX_MESSAGE_BYTES,
    METHODS,
    Answer,
    Request,
    decode_message,
    encode_answer,
    encode_request,
)

ID = bytes(range(20))


def test_requests_and_answers_come_back_as_they_were():
    request = Request(message_id=ID, method="fetch", arguments=("alice", 3))
    answer = Answer(message_id=ID, value=[[b"piece"], None, False])
    assert decode_message(encode_request(request)) == request
    assert decode_message(encode_answer(answer)) == answer


def test_the_bytes_are_those_of_the_library():
    request = Request(message_id=ID, method="find_node", arguments=(b"n" * 20, b"k" * 20))
    assert encode_request(request) == b"\0" + ID + umsgpack.packb(["find_node", [b"n" * 20, b"k" * 20]])
    contacts = [[bytes([number]) * 20, "192.168.1.20", 5480] for number in range(20)]
    assert encode_answer(Answer(message_id=ID, value=contacts)) == b"\1" + ID + umsgpack.packb(contacts)


@pytest.mark.parametrize(
    "value",
    [
        ["stun", []],
        ["__init__", []],
        ["_timeout", [b""]],
        [["ping"], [b""]],
        [{}, [b""]],
        ["ping", []],
        ["ping", [b"", b""]],
        ["ping", b""],
        ["ping"],
        "ping",
        7,
        None,
        ["leave", {}],
    ],
)
def test_what_is_no_request_is_refused(value):
    with pytest.raises(RemoteError):
        decode_message(b"\0" + ID + msgpack.packb(value))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x91" * 1300,
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc1",
        b"\x81\x01\x02",
        b"\xd6\xff\0\0\0\0",
        b"\xa1\xff",
        b"\x01\x02",
        bytes(MAX_MESSAGE_BYTES),
    ],
)
def test_what_is_no_msgpack_of_ours_is_refused(body):
    with pytest.raises(RemoteError):
        decode_message(b"\1" + ID + body)


@given(st.binary(max_size=1500))
def test_any_bytes_are_a_message_or_a_remote_error(data):
    try:
        message = decode_message(data)
    except RemoteError:
        return
    assert isinstance(message, Answer) or message.method in METHODS


def test_our_own_messages_are_kept_short():
    with pytest.raises(LocalError):
        encode_request(Request(message_id=ID, method="line", arguments=(bytes(1400),)))
    with pytest.raises(LocalError):
        encode_answer(Answer(message_id=ID, value=bytes(MAX_ANSWER_BYTES)))
    with pytest.raises(LocalError):
        encode_request(Request(message_id=ID, method="store", arguments=()))
    with pytest.raises(LocalError):
        encode_request(Request(message_id=b"short", method="leave", arguments=()))
    # a line of the longest kind still fits
    encode_request(Request(message_id=ID, method="line", arguments=(bytes(1200),)))
