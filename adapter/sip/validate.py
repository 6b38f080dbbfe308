"""What a request must be before anything acts on it.  I/O: none.

Headers that an answer needs are checked first, so that every refusal can still be spelt; what is wrong in a header that
nobody here reads (Date, a body, Accept) is left alone [RFC 3261 §8.2, §16.3] [RFC 4475].
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from adapter.sip.grammar import TOKEN, parse_number
from adapter.sip.message import MAX_MESSAGE_BYTES
from adapter.sip.refusal import Refusal
from adapter.sip.uri import NameAddr, SipUri, parse_name_addr, parse_uri, scheme_of
from adapter.sip.via import Via, parse_via
from overlay.errors import RemoteError

if TYPE_CHECKING:
    from adapter.sip.message import Request

METHODS: Final = ("INVITE", "ACK", "CANCEL", "OPTIONS", "REGISTER")
ALLOW: Final = ("Allow", ", ".join(METHODS))
SIP_VERSION: Final = "2.0"
MAX_CSEQ: Final = 2**31 - 1
MAX_CONTENT_LENGTH: Final = 2**31
MAX_MAX_FORWARDS: Final = 255
MAX_CALL_ID_CHARS: Final = 512
MAX_TAG_CHARS: Final = 512

_NEEDED: Final = ("From", "To", "Call-ID", "CSeq")
_ONCE: Final = (*_NEEDED, "Max-Forwards", "Content-Length", "Expires")
_CSEQ: Final = re.compile(rf"([0-9]+)\s+({TOKEN})")
_CALL_ID: Final = re.compile(r"[!-~\x80-\U0010ffff]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidRequest:
    """A request whose every part that counts has been read."""

    raw: Request
    method: str
    uri: SipUri
    via: Via
    caller: NameAddr
    """The From value."""
    callee: NameAddr
    """The To value."""
    call_id: str
    cseq: int
    hops_left: int
    """Max-Forwards; 70 where an old phone sends none."""


def validate(raw: Request, *, transport: str) -> ValidRequest:
    """Judge a request that came over `transport` ("UDP", "TCP" or "TLS").

    Refusal with the status that RFC 3261 and RFC 4475 name for its fault, any other RemoteError where that is 400.
    Whether the method is served here is the caller's question: an unknown one passes.
    """
    if raw.version != SIP_VERSION:
        raise Refusal(505, f"This adapter speaks SIP {SIP_VERSION}")
    if raw.flaw:
        raise RemoteError(raw.flaw)
    return _read(raw, transport)


def _read(raw: Request, transport: str) -> ValidRequest:
    for name in _ONCE:
        if len(raw.values(name)) > 1:
            raise RemoteError(f"the {name} header stands twice")
    for name in _NEEDED:
        if not raw.value(name):
            raise RemoteError(f"the {name} header is missing")
    via = parse_via(raw.value("via"))
    if via.is_bare_cookie:
        raise RemoteError("the branch of a Via identifies nothing")
    if via.version != SIP_VERSION:
        raise RemoteError("a Via has another SIP version")
    caller, callee = parse_name_addr(raw.value("from")), parse_name_addr(raw.value("to"))
    if len(caller.tag) > MAX_TAG_CHARS or len(callee.tag) > MAX_TAG_CHARS:
        raise RemoteError("a tag is too long")
    call_id = raw.value("call-id")
    if len(call_id) > MAX_CALL_ID_CHARS or not _CALL_ID.fullmatch(call_id):
        raise RemoteError("the Call-ID is malformed")
    _check_length(raw, transport)
    forwards = raw.value("max-forwards")
    hops_left = parse_number(forwards, "Max-Forwards", most=MAX_MAX_FORWARDS) if forwards else 70
    cseq = _read_cseq(raw)
    return ValidRequest(
        raw=raw,
        method=raw.method,
        uri=_read_target(raw.uri, transport),
        via=via,
        caller=caller,
        callee=callee,
        call_id=call_id,
        cseq=cseq,
        hops_left=hops_left,
    )


def check_extensions(request: ValidRequest) -> None:
    """Refuse what must be understood and is not: no extension is served here [RFC 3261 §8.2.2.3]."""
    required = [token for value in request.raw.values("require") for token in value.split(",") if token.strip()]
    if required:
        unsupported = ", ".join(token.strip() for token in required)
        raise Refusal(420, headers=(("Unsupported", unsupported),))


def _read_cseq(raw: Request) -> int:
    match = _CSEQ.fullmatch(raw.value("cseq"))
    if match is None:
        raise RemoteError("the CSeq is malformed")
    if match.group(2) != raw.method:
        raise RemoteError("the CSeq names another method")
    return parse_number(match.group(1), "the CSeq number", most=MAX_CSEQ)


def _read_target(text: str, transport: str) -> SipUri:
    """Read the Request-URI; sips is a promise of TLS that a plain transport cannot keep [RFC 3261 §26.2.2]."""
    scheme = scheme_of(text)
    if scheme != "sip" and not (scheme == "sips" and transport == "TLS"):
        raise Refusal(416, "Dial a sip: address")
    uri = parse_uri(text)
    if uri.headers:
        raise RemoteError("the Request-URI carries headers")
    return uri


def _check_length(raw: Request, transport: str) -> None:
    """Refuse a body that lost something; bytes after its declared end are ignored [RFC 3261 §18.3].

    A connection has no other border between messages, so there the header must be [RFC 3261 §20.14].
    """
    length = raw.value("content-length")
    if transport != "UDP":
        if not raw.values("content-length"):
            raise RemoteError("the Content-Length header is missing")
        if parse_number(length, "Content-Length", most=MAX_CONTENT_LENGTH) > MAX_MESSAGE_BYTES:
            raise Refusal(413, "The message is too large")
    if raw.values("content-length") and parse_number(length, "Content-Length", most=MAX_CONTENT_LENGTH) > len(raw.body):
        raise RemoteError("the body is shorter than Content-Length says")
