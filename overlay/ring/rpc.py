"""Requests and answers between two nodes as bytes, in the frame of rpcudp: kind, message id, msgpack.  I/O: none.

    0x00 id [name, [argument, ...]]      request
    0x01 id value                        answer

Only the names of METHODS are requests; everything else, nested too deep, too long or spelt otherwise, is RemoteError.
C msgpack writes the same bytes as the library's u-msgpack and is 13 to 113 times faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgpack

from overlay.errors import LocalError, RemoteError

if TYPE_CHECKING:
    from collections.abc import Container

MESSAGE_ID_BYTES: Final = 20
MAX_MESSAGE_BYTES: Final = 1400
"""Longest message, so that with the session's 33 bytes it fits one Ethernet frame."""
MAX_ANSWER_BYTES: Final = 1180
"""Longest answer that this node gives."""
MAX_ELEMENTS: Final = 64
"""Most elements of any array inside a message: an answer holds at most twenty contacts."""

METHODS: Final = {"ping": 1, "find_node": 2, "around": 2, "store": 3, "fetch": 2, "release": 1, "line": 1, "leave": 0}
"""Everything that a peer can ask of this node, with the number of arguments."""

_pack: Final = msgpack.Packer(use_bin_type=True).pack
"""One packer for all messages: a new one for each would take and give back 256 KiB each time. Nothing stays in it."""
_REQUEST: Final = b"\x00"
_ANSWER: Final = b"\x01"
_HEADER_BYTES: Final = 1 + MESSAGE_ID_BYTES


class Request(NamedTuple):
    """A peer asks this node for something."""

    message_id: bytes
    """20 bytes, chosen by who asks; the same in each retransmission."""
    method: str
    """One of METHODS."""
    arguments: tuple[Any, ...]
    """As many values as METHODS says, of no checked type."""


class Answer(NamedTuple):
    """A peer answers a request of this node."""

    message_id: bytes
    """20 bytes, those of the request."""
    value: Any
    """Whatever the peer said, of no checked type."""


def encode_request(request: Request) -> bytes:
    """Return the bytes of a request; LocalError when it is none of ours or too long."""
    if METHODS.get(request.method) != len(request.arguments):
        raise LocalError(f"no such request: {request.method}")
    return _encode(_REQUEST, request.message_id, [request.method, list(request.arguments)], MAX_MESSAGE_BYTES)


def encode_answer(answer: Answer) -> bytes:
    """Return the bytes of an answer; LocalError when it is longer than MAX_ANSWER_BYTES."""
    return _encode(_ANSWER, answer.message_id, answer.value, MAX_ANSWER_BYTES)


def decode_message(data: bytes) -> Request | Answer:
    """Read a message that came through a session; RemoteError on anything but a known request or an answer."""
    if not _HEADER_BYTES < len(data) <= MAX_MESSAGE_BYTES:
        raise RemoteError("message too short or too long")
    kind, message_id = data[:1], data[1:_HEADER_BYTES]
    if kind not in {_REQUEST, _ANSWER}:
        raise RemoteError("neither a request nor an answer")
    value = _unpack(data[_HEADER_BYTES:])
    if kind == _ANSWER:
        return Answer(message_id=message_id, value=value)
    return _request(message_id, value)


def is_answer_to(data: bytes, asked: Container[bytes]) -> bool:
    """Tell whether a message is an answer that bears one of these message ids, without reading it."""
    return data[:1] == _ANSWER and data[1:_HEADER_BYTES] in asked


def packed_size(value: Any) -> int:
    """Return how many bytes a value takes inside a message."""
    return len(_pack(value))


def _encode(kind: bytes, message_id: bytes, value: Any, limit: int) -> bytes:
    if len(message_id) != MESSAGE_ID_BYTES:
        raise LocalError(f"a message id has {MESSAGE_ID_BYTES} bytes")
    data: bytes = kind + message_id + _pack(value)
    if len(data) > limit:
        raise LocalError(f"a message of {len(data)} bytes is over {limit}")
    return data


def _request(message_id: bytes, value: Any) -> Request:
    if not isinstance(value, list) or len(value) != 2:  # noqa: PLR2004 - name and arguments
        raise RemoteError("a request is a name and its arguments")
    method, arguments = value
    # an unhashable name would raise from the look-up, so the type is looked at first
    if not isinstance(method, str) or method not in METHODS:
        raise RemoteError("request of an unknown name")
    if not isinstance(arguments, list) or len(arguments) != METHODS[method]:
        raise RemoteError("request with another number of arguments")
    return Request(message_id=message_id, method=method, arguments=tuple(arguments))


def _unpack(data: bytes) -> Any:
    """Read exactly one msgpack value without maps or extension types; the C unpacker bounds the depth itself."""
    try:
        return msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            max_array_len=MAX_ELEMENTS,
            max_map_len=0,
            max_ext_len=0,
            max_str_len=MAX_MESSAGE_BYTES,
            max_bin_len=MAX_MESSAGE_BYTES,
        )
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise RemoteError("message is no msgpack of ours") from error
