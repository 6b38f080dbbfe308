"""The lexical pieces that SIP headers are made of: tokens, quoted strings, parameters, hosts.  I/O: none.

Strict where RFC 3261 is clear, because the values decide who calls and where a call goes; header values keep their raw
text beside what is read here, so that an answer can echo them byte for byte [RFC 3261 §25.1].
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from overlay.errors import RemoteError

MAX_PARAMETERS: Final = 64
"""Parameters of one value that are read; more is refused."""

TOKEN: Final = r"[A-Za-z0-9\-.!%*_+`'~]+"  # noqa: S105 - a rule of the grammar
TOKEN_PATTERN: Final = re.compile(TOKEN)
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
# underscores are no RFC 1123 host characters, but phones and test hosts carry them
_HOSTNAME: Final = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?")
_IPV6: Final = re.compile(r"\[[0-9A-Fa-f:.]+\]")
_NUMBER: Final = re.compile(r"[0-9]{1,20}")
_SPECIAL: Final = re.compile(r'["<>\\]')
MAX_HOST_CHARS: Final = 255
MAX_PORT: Final = 65_535


def split_outside(text: str, separator: str) -> list[str]:
    """Split at a one-character separator that stands neither in a quoted string nor in angle brackets.

    Pieces keep their blanks. RemoteError when a quote or a bracket is never closed.
    """
    if not _SPECIAL.search(text):
        return text.split(separator)
    pieces: list[str] = []
    start = position = 0
    in_brackets = False
    while position < len(text):
        character = text[position]
        if character == '"' and not in_brackets:
            quoted = _QUOTED.match(text, position)
            if quoted is None:
                raise RemoteError("a quoted string is never closed")
            position = quoted.end()
            continue
        if character == "<":
            in_brackets = True
        elif character == ">":
            in_brackets = False
        elif character == separator and not in_brackets:
            pieces.append(text[start:position])
            start = position + 1
        position += 1
    if in_brackets:
        raise RemoteError("an angle bracket is never closed")
    pieces.append(text[start:])
    return pieces


def parse_parameters(text: str) -> dict[str, str | None]:
    """Read `;name=value;flag` into lower-case names and raw values (a quoted value keeps its quotes), None for a flag.

    `text` is empty or starts with a semicolon. RemoteError on anything else, on an empty name and on a repeated one.
    """
    text = text.strip()
    if not text:
        return {}
    if not text.startswith(";"):
        raise RemoteError("parameters do not start with a semicolon")
    segments = split_outside(text[1:], ";")
    if len(segments) > MAX_PARAMETERS:
        raise RemoteError("there are too many parameters")
    parameters: dict[str, str | None] = {}
    for segment in segments:
        name, equals, value = (part.strip() for part in segment.partition("="))
        if not TOKEN_PATTERN.fullmatch(name):
            raise RemoteError("a parameter has no proper name")
        if equals and not (TOKEN_PATTERN.fullmatch(value) or _QUOTED.fullmatch(value) or is_host(value)):
            raise RemoteError("a parameter has no proper value")
        if name.lower() in parameters:
            raise RemoteError("a parameter stands twice")
        parameters[name.lower()] = value if equals else None
    return parameters


def without_parameters(text: str, names: frozenset[str]) -> str:
    """Drop the `;name=value` segments with these lower-case names and leave every other character as it came.

    `text` starts with what the parameters belong to, which stays.
    """
    kept = [
        segment
        for index, segment in enumerate(split_outside(text, ";"))
        if index == 0 or segment.partition("=")[0].strip().lower() not in names
    ]
    return ";".join(kept)


def quoted_end(text: str) -> int:
    """Return the index after the quoted string that `text` starts with; RemoteError when it is never closed."""
    quoted = _QUOTED.match(text)
    if quoted is None:
        raise RemoteError("a quoted string is never closed")
    return quoted.end()


def quote(text: str) -> str:
    """Put text into a quoted string, with control characters as blanks [RFC 3261 §25.1]."""
    return '"' + printable(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def printable(text: str) -> str:
    """Replace what would break a header line or a phone's display by blanks."""
    return "".join(character if character.isprintable() else " " for character in text)


def is_host(text: str) -> bool:
    """Tell whether the text is a host name, an IPv4 literal or an IPv6 literal in brackets."""
    if len(text) > MAX_HOST_CHARS:
        return False
    if _HOSTNAME.fullmatch(text):
        return True
    return _IPV6.fullmatch(text) is not None and address_of(text) is not None


def split_host_port(text: str) -> tuple[str, int | None]:
    """Read `host[:port]` into the lower-case host and the port, None when absent; RemoteError when it is neither."""
    head, colon, tail = text.rpartition(":")
    host, port = (head, tail) if colon and not tail.endswith("]") else (text, None)
    host = host.strip()
    if not is_host(host):
        raise RemoteError("a host is malformed")
    return host.lower(), None if port is None else parse_number(port.strip(), "a port", least=1, most=MAX_PORT)


def parse_number(text: str, what: str, *, least: int = 0, most: int) -> int:
    """Read a decimal number within bounds; RemoteError names `what` otherwise."""
    if not _NUMBER.fullmatch(text) or not least <= int(text) <= most:
        raise RemoteError(f"{what} is no number from {least} to {most}")
    return int(text)


def address_of(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a host literal names, brackets allowed, or None for a name."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
