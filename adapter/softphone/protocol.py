"""The lines between the softphone and its child process: commands one way, events the other.

I/O: none. One JSON object a line, ASCII, at most MAX_LINE_BYTES; what is in it is a frozen dataclass of commands.py or
events.py and nothing else passes: unknown kinds, missing, extra or mistyped members and over-long texts raise
RemoteError, since the child talks to the network and may have been taken over.
"""

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, Final, NoReturn, TypeVar

from adapter.softphone import commands, events
from adapter.softphone.message import MAX_LINE_BYTES, Message
from overlay.errors import LocalError, RemoteError

MAX_NUMBER: Final = 2**53
"""Cap on the size of any number: beyond it a JSON reader may round."""

M = TypeVar("M", bound=Message)

_COMMANDS: Final[Mapping[str, type[commands.Command]]] = {
    "open": commands.Open,
    "register": commands.Register,
    "unregister": commands.Unregister,
    "call": commands.Call,
    "answer": commands.Answer,
    "hang-up": commands.HangUp,
    "ring": commands.Ring,
    "mute": commands.Mute,
    "volume": commands.Volume,
    "hold": commands.Hold,
    "digits": commands.Digits,
    "close": commands.Close,
}
_EVENTS: Final[Mapping[str, type[events.Event]]] = {
    "opened": events.Opened,
    "done": events.Done,
    "failed": events.Failed,
    "registered": events.Registered,
    "trying": events.Trying,
    "ringing": events.Ringing,
    "redirected": events.Redirected,
    "incoming": events.Incoming,
    "missed": events.Missed,
    "established": events.Established,
    "audio-lost": events.AudioLost,
    "quality": events.Quality,
    "troubled": events.Troubled,
    "levels": events.Levels,
    "held": events.Held,
    "digit": events.Digit,
    "referred": events.Referred,
    "sound-lost": events.SoundLost,
    "ended": events.Ended,
}
_KINDS: Final[Mapping[type[Message], str]] = {made: kind for kind, made in (*_COMMANDS.items(), *_EVENTS.items())}


def kind_of(message: Message | type[Message]) -> str:
    """Name a message's kind as it stands on the wire, such as `hang-up`; LocalError for one that never goes there."""
    made = message if isinstance(message, type) else type(message)
    if made not in _KINDS:
        raise LocalError(f"{made.__name__} never goes over the channel")
    return _KINDS[made]


def encode_line(message: Message) -> bytes:
    """Write a command or an event as one line with its newline; LocalError for any other message."""
    document: dict[str, Any] = {"kind": kind_of(message)}
    document.update((part.name, getattr(message, part.name)) for part in fields(message))
    line = json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode() + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise LocalError(f"a line of {len(line)} bytes is over the cap of {MAX_LINE_BYTES}")
    return line


def decode_command(line: bytes) -> commands.Command:
    """Read a line that the parent wrote; RemoteError on any flaw."""
    return _decode(line, _COMMANDS)


def decode_event(line: bytes) -> events.Event:
    """Read a line that the child wrote; RemoteError on any flaw."""
    return _decode(line, _EVENTS)


def _decode(line: bytes, kinds: Mapping[str, type[M]]) -> M:
    if len(line) > MAX_LINE_BYTES:
        raise RemoteError(f"a line of {len(line)} bytes is over the cap of {MAX_LINE_BYTES}")
    try:
        document = json.loads(line, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise RemoteError("a line of the channel is not JSON") from None
    if not isinstance(document, dict):
        raise RemoteError("a line of the channel is not a JSON object")
    kind = document.pop("kind", None)
    if not isinstance(kind, str) or kind not in kinds:
        raise RemoteError("a line of the channel has an unknown kind")
    made = kinds[kind]
    parts = {part.name: part for part in fields(made)}
    if unknown := document.keys() - parts.keys():
        raise RemoteError(f"{kind}: {len(unknown)} unknown members")
    for name, part in parts.items():
        if name in document:
            document[name] = _checked(document[name], part.type, f"{kind}.{name}")
        elif part.default is MISSING:
            raise RemoteError(f"{kind}.{name} is missing")
    try:
        return made(**document)
    except LocalError as flaw:  # the text caps of Message; here the other side broke them
        raise RemoteError(str(flaw)) from None


def _checked(value: object, wanted: object, where: str) -> object:
    """Return the value as the field's type, a JSON list as a tuple; RemoteError where it is another."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_NUMBER:  # also refuses inf
        if wanted is float:
            return float(value)
        if wanted is int and isinstance(value, int):
            return value
    if wanted in {str, bool} and type(value) is wanted:
        return value
    if wanted == tuple[str, ...] and isinstance(value, list) and all(type(item) is str for item in value):
        return tuple(value)
    raise RemoteError(f"{where} has a wrong type")


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("NaN and Infinity are no JSON")
