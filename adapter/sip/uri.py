"""SIP URIs and the name-addr form around them, read strictly.  I/O: none.

From, To and Contact decide who calls whom and where, so they are read here and not by the message library, which is
lenient on purpose [RFC 3261 §19.1, §20.10, §25.1].
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

from adapter.sip.grammar import parse_parameters, quoted_end, split_host_port
from overlay.errors import RemoteError

MAX_URI_CHARS: Final = 2048
SIP_SCHEMES: Final = ("sip", "sips")

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_ESCAPED: Final = r"%[0-9A-Fa-f]{2}"
# '#' must be escaped by the letter of the RFC; phones send it raw in dialled codes
_USERINFO: Final = re.compile(
    rf"(?:[A-Za-z0-9\-_.!~*'()&=+$,;?/#]|{_ESCAPED})+(?::(?:[A-Za-z0-9\-_.!~*'()&=+$,]|{_ESCAPED})*)?"
)
_URI_WORD: Final = re.compile(rf"(?:[A-Za-z0-9\-_.!~*'()\[\]/:&+$]|{_ESCAPED})+")
_URI_HEADERS: Final = re.compile(rf"(?:[A-Za-z0-9\-_.!~*'()\[\]/?:+$=&]|{_ESCAPED})*")
# display names of phones carry raw UTF-8 without quotes, and dots and blanks
_DISPLAY: Final = re.compile(r"[A-Za-z0-9\-.!%*_+`'~\s\x80-\U0010ffff]*")
_ABSOLUTE: Final = re.compile(r"[!-~\x80-\U0010ffff]+")
_STRICT_PARAMETERS: Final = ("user", "ttl", "method", "maddr", "transport")
"""Parameters that make two URIs differ when only one has them [RFC 3261 §19.1.4]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SipUri:
    """One sip: or sips: URI with its raw parts."""

    scheme: str
    """"sip" or "sips"."""
    user: str
    """The user part as it came, percent-encoded, without a password; empty when there is none."""
    host: str
    """Lower case; an IPv6 literal keeps its brackets."""
    port: int | None
    parameters: dict[str, str | None]
    headers: str
    """What follows the question mark, raw."""
    userinfo: str = field(repr=False)
    """User and password as they came, with the closing @; empty when there is none. May hold a password: not shown."""
    tail: str
    """Parameters and headers as they came."""

    @property
    def transport(self) -> str:
        """The transport parameter in lower case; what the scheme implies when it is absent."""
        return (self.parameters.get("transport") or ("tls" if self.scheme == "sips" else "udp")).lower()

    def at_host(self, host: str) -> str:
        """Spell this URI with another host and leave everything else as it came."""
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}:{self.userinfo}{host}{port}{self.tail}"

    def is_same(self, other: SipUri) -> bool:
        """Compare two URIs by the rules that bindings are matched with [RFC 3261 §19.1.4]."""
        if (self.scheme, self.host, self.port) != (other.scheme, other.host, other.port):
            return False
        if unquote_to_bytes(self.userinfo) != unquote_to_bytes(other.userinfo) or self.headers != other.headers:
            return False
        shared = (self.parameters.keys() & other.parameters.keys()) | set(_STRICT_PARAMETERS)
        return all(_folded(self.parameters.get(name)) == _folded(other.parameters.get(name)) for name in shared)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameAddr:
    """A From, To or Contact value."""

    display: str
    """The display name as it came, quotes included; empty when there is none."""
    text: str
    """The URI as it came."""
    uri: SipUri | None
    """None when the scheme is neither sip nor sips."""
    parameters: dict[str, str | None]
    """The header's parameters (tag, expires, q, ...), not the URI's."""

    @property
    def tag(self) -> str:
        """The tag, empty when there is none."""
        return self.parameters.get("tag") or ""


def scheme_of(text: str) -> str:
    """Return a URI's scheme in lower case; RemoteError when the text does not start with one."""
    scheme, colon, _ = text.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme):
        raise RemoteError("a URI has no scheme")
    return scheme.lower()


def parse_uri(text: str) -> SipUri:
    """Read a sip: or sips: URI. RemoteError on any other scheme and on any malformed part [RFC 3261 §19.1.1]."""
    if len(text) > MAX_URI_CHARS:
        raise RemoteError("a URI is too long")
    scheme = scheme_of(text)
    if scheme not in SIP_SCHEMES:
        raise RemoteError("a URI is not a SIP URI")
    rest = text[len(scheme) + 1 :]
    userinfo, at, rest = rest.rpartition("@")
    if at and not _USERINFO.fullmatch(userinfo):
        raise RemoteError("the user part of a URI is malformed")
    end = min((index for index in (rest.find(";"), rest.find("?")) if index >= 0), default=len(rest))
    if rest[:end] != rest[:end].strip():
        raise RemoteError("a URI holds a blank")
    host, port = split_host_port(rest[:end])
    tail = rest[end:]
    parameters, question, headers = tail.partition("?")
    if not _URI_HEADERS.fullmatch(headers) or (question and not headers):
        raise RemoteError("the headers of a URI are malformed")
    return SipUri(
        scheme=scheme,
        user=userinfo.partition(":")[0],
        host=host,
        port=port,
        parameters=_parse_uri_parameters(parameters),
        headers=headers,
        userinfo=userinfo + at,
        tail=tail,
    )


def parse_name_addr(text: str) -> NameAddr:
    """Read `"Name" <uri>;parameters` or `uri;parameters`; RemoteError when it is neither [RFC 3261 §20.10]."""
    text = text.strip()
    if text.startswith('"'):
        end = quoted_end(text)
        display, rest = text[:end], text[end:].lstrip()
        if not rest.startswith("<"):
            raise RemoteError("a display name is not followed by an angle bracket")
    else:
        bracket = text.find("<")
        if bracket < 0:
            return _parse_bare(text)
        display, rest = text[:bracket].strip(), text[bracket:]
        if not _DISPLAY.fullmatch(display):
            raise RemoteError("a display name holds characters that need quotes")
    inner, closed, parameters = rest[1:].partition(">")
    if not closed:
        raise RemoteError("an angle bracket is never closed")
    return NameAddr(display=display, text=inner, uri=_any_uri(inner), parameters=parse_parameters(parameters))


def _parse_bare(text: str) -> NameAddr:
    """Without brackets every semicolon starts a header parameter, and commas and questions are forbidden."""
    inner, semicolon, parameters = text.partition(";")
    inner = inner.strip()
    if "?" in inner or "," in inner:
        raise RemoteError("a URI with a comma or a question mark needs angle brackets")
    return NameAddr(display="", text=inner, uri=_any_uri(inner), parameters=parse_parameters(semicolon + parameters))


def _any_uri(text: str) -> SipUri | None:
    if scheme_of(text) in SIP_SCHEMES:
        return parse_uri(text)
    if len(text) > MAX_URI_CHARS or not _ABSOLUTE.fullmatch(text):
        raise RemoteError("a URI is malformed")
    return None


def _parse_uri_parameters(text: str) -> dict[str, str | None]:
    parameters: dict[str, str | None] = {}
    for segment in text.split(";")[1:]:
        name, equals, value = segment.partition("=")
        if not _URI_WORD.fullmatch(name) or (equals and not _URI_WORD.fullmatch(value)):
            raise RemoteError("a URI parameter is malformed")
        key = _folded(name) or ""
        if key in parameters:
            raise RemoteError("a URI parameter stands twice")
        parameters[key] = value if equals else None
    return parameters


def _folded(text: str | None) -> str | None:
    return None if text is None else unquote_to_bytes(text).decode("latin-1").lower()
