"""One connection's bytes, cut into SIP messages: TCP keeps no borders, Content-Length draws them.  I/O: none.

The rules first.

1.  A message's head ends with an empty line (CRLF CRLF), and its body has as many bytes as Content-Length says; the
    next message may follow at once [RFC 3261 §7.5, §18.3].
2.  Between messages CRLF means nothing and CRLF CRLF is a ping, which gets one CRLF back [RFC 5626 §3.5.1, §4.4.1].
3.  What does not begin like SIP ends the connection without an answer, as soon as that can be seen: a web page can make
    its browser POST to this port, and must not find a SIP server in the body of its request.
4.  Where the length cannot be known (no Content-Length, two, a wrong one, one over the cap) the head is handed over
    alone, so that the server can refuse it by name, and the connection ends: what follows could be anything.
5.  However the bytes are cut on their way, the same messages come out.
6.  Time runs against a peer that stays silent before its first message, that is slow in the middle of one, or that is
    gone for good.

Bytes and time come in, `Framed` messages, `Ping`s and one `Broken` come out; nothing follows `Broken`.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import Final

from adapter.sip.message import MAX_HEAD_BYTES, MAX_MESSAGE_BYTES

FIRST_MESSAGE_S: Final = 20.0
"""A phone that connects has something to say."""
MESSAGE_S: Final = 10.0
"""From a message's first byte to its last."""
IDLE_S: Final = 660.0
"""A registered phone refreshes every 300 s at the latest: two may be lost."""
MAX_START_BYTES: Final = 4096
"""Of a start line: a Request-URI has 2,048 characters at most."""
PONG: Final = b"\r\n"

_PING: Final = b"\r\n\r\n"
_HEAD_END: Final = b"\r\n\r\n"
_METHOD: Final = rb"[A-Za-z0-9\-.!%*_+`'~]{1,64}[ \t]"
_START_LINE: Final = re.compile(
    _METHOD + rb".*[ \t]SIP[ \t]*/[ \t]*[0-9]+\.[0-9]+[ \t]*|SIP/2\.0 [0-9]{3}(?: .*)?", re.IGNORECASE
)
# whatever can still become such a line: a slash stands in no method, so HTTP is seen at its first one
_BEGINNING: Final = re.compile(
    _METHOD + rb"|[A-Za-z0-9\-.!%*_+`'~]{1,64}\Z|SIP/2\.0 |SIP/(?:2(?:\.0?)?)?\Z", re.IGNORECASE
)
_LENGTH: Final = re.compile(rb"[0-9]{1,9}")
_LENGTH_NAMES: Final = frozenset({b"content-length", b"l"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Framed:
    """One whole message, or the head of one whose length cannot be known."""

    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """A double CRLF between messages; `PONG` is the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The connection is to be closed; nothing comes after it."""

    why: str
    """One clause."""


StreamEvent = Framed | Ping | Broken


class Stream:
    """The receiving side of one connection."""

    def __init__(self, now: float) -> None:
        """Begin with a connection that is just open."""
        self._buffer = bytearray()
        self._searched = 0
        """Where the search for the end of the head goes on."""
        self._wanted = 0
        """Bytes of the whole message; 0 while its head is not complete."""
        self._events: deque[StreamEvent] = deque()
        self._is_broken = False
        self._has_spoken = False
        self._deadline = now + FIRST_MESSAGE_S
        self._why = "no message came"

    @property
    def is_broken(self) -> bool:
        """Tell whether nothing more is taken."""
        return self._is_broken

    def receive(self, data: bytes, now: float) -> None:
        """Take bytes as they came; what comes after the end is dropped."""
        if not self._is_broken:
            self._take(data, now)

    def next_event(self) -> StreamEvent | None:
        """Return the next message, ping or end, None when there is none."""
        return self._events.popleft() if self._events else None

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` is due, None after the end."""
        return None if self._is_broken else self._deadline

    def handle_timer(self, now: float) -> None:
        """End a connection whose time is over."""
        if not self._is_broken and now >= self._deadline:
            self._break(self._why)

    def _take(self, data: bytes, now: float) -> None:
        is_new = not self._in_message
        self._buffer += data
        while self._advance():
            is_new = True
        if self._is_broken:
            self._buffer.clear()
        elif not self._in_message:
            if self._has_spoken:
                self._deadline, self._why = now + IDLE_S, "nothing came for a long time"
        elif is_new:
            # the first message has no more time than its connection was given
            limit = now + MESSAGE_S
            self._deadline = limit if self._has_spoken else min(limit, self._deadline)
            self._why = "a message took too long"

    @property
    def _in_message(self) -> bool:
        """Tell whether a message has begun; a CR or CRLF that may become a ping is none yet."""
        return bool(self._buffer) and not self._is_blank

    @property
    def _is_blank(self) -> bool:
        """Tell whether all that is there can become a ping and is none yet."""
        return self._buffer == _PING[: len(self._buffer)] != _PING

    def _advance(self) -> bool:
        """Take one thing off the front of the buffer; False when it takes more bytes to see one."""
        if self._wanted:
            return self._take_message()
        if self._buffer.startswith((b"\r", b"\n")):
            return self._take_blank()
        if not self._buffer:
            return False
        return self._take_head()

    def _take_blank(self) -> bool:
        if self._buffer.startswith(_PING):
            del self._buffer[: len(_PING)]
            self._events.append(Ping())
            return True
        if self._is_blank:
            return False
        # a single CRLF, or half of one
        del self._buffer[: 2 if self._buffer.startswith(b"\r\n") else 1]
        return True

    def _take_head(self) -> bool:
        end = self._buffer.find(_HEAD_END, max(0, self._searched - len(_HEAD_END) + 1))
        if not self._begins_like_sip():
            self._break("what came is not SIP")
            return False
        if end > MAX_HEAD_BYTES or (end < 0 and len(self._buffer) >= MAX_HEAD_BYTES + len(_HEAD_END)):
            self._break("the headers of a message are too large")
            return False
        if end < 0:
            self._searched = len(self._buffer)
            return False
        head_bytes = end + len(_HEAD_END)
        length = content_length(bytes(self._buffer[:end]))
        if length is None or head_bytes + length > MAX_MESSAGE_BYTES:
            self._has_spoken = True
            self._events.append(Framed(data=bytes(self._buffer[:head_bytes])))
            self._break("the end of a message cannot be known")
            return False
        self._wanted = head_bytes + length
        return True

    def _take_message(self) -> bool:
        if len(self._buffer) < self._wanted:
            return False
        self._events.append(Framed(data=bytes(self._buffer[: self._wanted])))
        del self._buffer[: self._wanted]
        self._wanted = self._searched = 0
        self._has_spoken = True
        return True

    def _begins_like_sip(self) -> bool:
        """Judge the start line: all of it when it is there, else as much as came."""
        if self._searched > MAX_START_BYTES:
            return True
        line_end = self._buffer.find(b"\r\n", 0, MAX_START_BYTES + 2)
        if line_end >= 0:
            return _START_LINE.fullmatch(self._buffer, 0, line_end) is not None
        return len(self._buffer) < MAX_START_BYTES + 2 and _BEGINNING.match(self._buffer) is not None

    def _break(self, why: str) -> None:
        self._is_broken = True
        self._events.append(Broken(why=why))


def content_length(head: bytes) -> int | None:
    """Return the Content-Length of a message's head (start line and headers), None when it has not exactly one.

    Read as `message` reads headers: a bare CR or LF ends a line too, a blank at its beginning continues the last one.
    """
    found: list[bytes] = []
    is_length = False
    for line in head.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")[1:]:
        if not line:
            # the parser takes this for the end of the headers, so nothing after it counts
            return None
        if line[:1] in {b" ", b"\t"}:
            if is_length:
                found[-1] += line
            continue
        name, colon, value = line.partition(b":")
        is_length = bool(colon) and name.strip().lower() in _LENGTH_NAMES
        if is_length:
            found.append(value)
    if len(found) != 1:
        return None
    text = found[0].strip()
    return int(text) if _LENGTH.fullmatch(text) else None
