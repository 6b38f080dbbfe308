"""Messages in, answers out: the one module that knows the message library.  I/O: none.

The library (aiosipua) splits headers and spells answers; it is lenient on purpose, so the start line is read here and
the values are judged in `validate`. Headers are read as raw text and echoed as they came: Via, From, To, Call-ID and
CSeq of an answer are the request's own characters [RFC 3261 §7, §8.2.6].
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiosipua.message import SipMessage, SipResponse

from adapter.sip.grammar import TOKEN, printable
from overlay.errors import LocalError, RemoteError

if TYPE_CHECKING:
    from aiosipua.headers import CaseInsensitiveDict

MAX_MESSAGE_BYTES: Final = 65_535
"""The largest UDP datagram there is [RFC 3261 §18.1.1]."""
MAX_HEAD_BYTES: Final = 16_384
MAX_HEADER_LINES: Final = 200
MAX_VIAS: Final = 70
"""A request that crossed more hops than Max-Forwards counts is no request of a phone on this host."""
MAX_REASON_CHARS: Final = 120
ECHOED: Final = ("From", "To", "Call-ID", "CSeq")

_START: Final = re.compile(rf"({TOKEN}) (\S+) SIP/(\d+\.\d+)", re.IGNORECASE)
_LOOSE_START: Final = re.compile(r"(\S+)\s.*\sSIP\s*/\s*\d+\.\d+\s*", re.IGNORECASE)
_STATUS: Final = re.compile(r"SIP/2\.0 ([1-6][0-9]{2})(?: [^\n]*)?", re.IGNORECASE)
_STUN_COOKIE: Final = b"\x21\x12\xa4\x42"
_STUN_HEADER_BYTES: Final = 20

# it logs a warning for every wrong Content-Length, which a stranger could fill a disk with
logging.getLogger("aiosipua.message").setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as it came, not judged yet."""

    method: str
    uri: str
    """The Request-URI as it came; empty when the start line is beyond reading."""
    version: str
    """SIP version of the start line, such as "2.0"."""
    body: bytes
    flaw: str
    """What is wrong with its form, in one sentence; empty when nothing is."""
    charset: str
    """utf-8, or latin-1 where a phone writes raw Latin-1 names: either way an answer gives back the same bytes."""
    headers: CaseInsensitiveDict
    lines: tuple[str, ...] = ()
    """The header lines as they came, continuations apart; for whoever passes the message on."""

    def values(self, name: str) -> list[str]:
        """Return every value of a header, in the order they came; long and compact names are one."""
        return self.headers.get(name)

    def value(self, name: str) -> str:
        """Return the first value of a header, or an empty text."""
        return self.headers.get_first(name) or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response as it came, for passing on."""

    start: str
    """The status line."""
    status: int
    body: bytes
    charset: str
    headers: CaseInsensitiveDict
    lines: tuple[str, ...]

    def values(self, name: str) -> list[str]:
        """Return every value of a header, in the order they came."""
        return self.headers.get(name)

    def value(self, name: str) -> str:
        """Return the first value of a header, or an empty text."""
        return self.headers.get_first(name) or ""


def is_keepalive(data: bytes) -> bool:
    """Tell whether a datagram only holds a path open: blank lines, NULs or STUN [RFC 5626 §3.5, §4.4]."""
    if not data.strip(b"\r\n\0\t "):
        return True
    return len(data) >= _STUN_HEADER_BYTES and data[0] < 4 and data[4:8] == _STUN_COOKIE  # noqa: PLR2004 - type 0b00..


def parse_request(data: bytes) -> Request:
    """Read one request from a datagram.

    RemoteError when it is no SIP request at all (a response, another protocol, over a cap): such a datagram is dropped.
    A request with a broken form comes back with its flaw named, so that it can be refused with a status.
    """
    if len(data) > MAX_MESSAGE_BYTES:
        raise RemoteError("a message is too large")
    head, body = _split(data.lstrip(b"\r\n"))
    if len(head) > MAX_HEAD_BYTES:
        raise RemoteError("the headers of a message are too large")
    text, charset = _decode(head)
    # a bare CR ends a line for the library too, so that no value can smuggle one into an answer
    start, *lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    if len(lines) > MAX_HEADER_LINES:
        raise RemoteError("a message has too many header lines")
    if start[:4].upper() == "SIP/":
        raise RemoteError("a response where a request is due")
    exact = _START.fullmatch(start)
    loose = exact or _LOOSE_START.fullmatch(start)
    if loose is None:
        raise RemoteError("a message is not SIP")
    try:
        # the start line is ours to read, the library sees one that it cannot stumble over
        headers = SipMessage.parse("OPTIONS sip:x SIP/2.0\r\n" + "\r\n".join(lines) + "\r\n\r\n").headers
    except ValueError as error:
        raise RemoteError("the headers of a message cannot be read") from error
    if len(headers.get("via")) > MAX_VIAS:
        raise RemoteError("a message has too many Via values")
    return Request(
        method=loose.group(1),
        uri=exact.group(2) if exact else "",
        version=exact.group(3) if exact else "2.0",
        body=body,
        flaw=_flaw(lines, is_exact=exact is not None),
        charset=charset,
        headers=headers,
        lines=tuple(lines),
    )


def parse_response(data: bytes) -> Response:
    """Read one response; RemoteError when it is none, over a cap or malformed."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise RemoteError("a message is too large")
    head, body = _split(data.lstrip(b"\r\n"))
    if len(head) > MAX_HEAD_BYTES:
        raise RemoteError("the headers of a message are too large")
    text, charset = _decode(head)
    start, *lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    status = _STATUS.fullmatch(start)
    if status is None or len(lines) > MAX_HEADER_LINES or _flaw(lines, is_exact=True):
        raise RemoteError("a response is malformed")
    try:
        headers = SipMessage.parse("OPTIONS sip:x SIP/2.0\r\n" + "\r\n".join(lines) + "\r\n\r\n").headers
    except ValueError as error:
        raise RemoteError("the headers of a message cannot be read") from error
    if len(headers.get("via")) > MAX_VIAS:
        raise RemoteError("a message has too many Via values")
    return Response(
        start=start,
        status=int(status.group(1)),
        body=body,
        charset=charset,
        headers=headers,
        lines=tuple(lines),
    )


def is_response(data: bytes) -> bool:
    """Tell whether a datagram starts as a response does."""
    return data.lstrip(b"\r\n")[:4].upper() == b"SIP/"


def unfolded(lines: tuple[str, ...], name: str) -> list[str]:
    """Return the values of the header lines with this lower-case name, uncut, continuation lines joined on."""
    values: list[str] = []
    takes = False
    for line in lines:
        if line[:1] in {" ", "\t"}:
            if takes:
                values[-1] += " " + line.strip()
            continue
        found, _, value = line.partition(":")
        takes = found.strip().lower() == name
        if takes:
            values.append(value.strip())
    return values


def without_lines(lines: tuple[str, ...], names: frozenset[str]) -> list[str]:
    """Drop the headers with these lower-case names, their continuation lines too."""
    kept: list[str] = []
    keeps = False
    for line in lines:
        if line[:1] not in {" ", "\t"}:
            keeps = bool(line) and line.partition(":")[0].strip().lower() not in names
        if keeps:
            kept.append(line)
    return kept


def build_response(
    request: Request,
    *,
    status: int,
    reason: str,
    top_via: str,
    to_tag: str,
    headers: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """Spell the answer to a request.

    `top_via` stands in for the first Via; the others and From, To, Call-ID, CSeq are copied raw. `to_tag` is added
    where the request has no tag of its own; empty for 100, which carries none [RFC 3261 §8.2.6]. A header that the
    request lacks stays absent. LocalError when one of our own headers would break a line.
    """
    response = SipResponse(status_code=status, reason_phrase=printable(reason)[:MAX_REASON_CHARS])
    for via in (top_via, *request.values("via")[1:]):
        response.headers.append("Via", via)
    for name in ECHOED:
        if value := request.value(name):
            tagged = f"{value};tag={to_tag}" if name == "To" and to_tag and not has_tag(value) else value
            response.headers.append(name, tagged)
    try:
        for name, value in headers:
            response.headers.append(name, value)
    except ValueError as error:
        raise LocalError("a header of an answer would break its line") from error
    # latin-1 stands for raw bytes of the request; our own texts fit in or become question marks
    return bytes(response).decode("utf-8").encode(request.charset, "replace")


def has_tag(value: str) -> bool:
    """Tell whether a raw From or To value carries a tag, well formed or not."""
    after_uri = value.rpartition(">")[2] if ">" in value else value
    return re.search(r";\s*tag\s*=", after_uri, re.IGNORECASE) is not None


def _split(data: bytes) -> tuple[bytes, bytes]:
    """Part head and body at the first empty line; without one all of it is head."""
    for gap in (b"\r\n\r\n", b"\n\n"):
        head, found, body = data.partition(gap)
        if found:
            return head, body
    return data.removesuffix(b"\r\n"), b""


def _decode(head: bytes) -> tuple[str, str]:
    try:
        return head.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return head.decode("latin-1"), "latin-1"


def _flaw(lines: list[str], *, is_exact: bool) -> str:
    if not is_exact:
        return "the start line is malformed"
    if lines and lines[0][:1] in {" ", "\t"}:
        return "the first header line is a continuation"
    if any(line and line[0] not in " \t" and ":" not in line for line in lines):
        return "a header line has no colon"
    return ""
