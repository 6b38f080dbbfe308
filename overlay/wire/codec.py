"""The line that carries every message: `SECP2PSIP/1.0 SP METHOD SP token CRLF`.  I/O: none.

The same line runs over TCP (CHALLENGE, REGISTER, REGISTERED, ERROR) and inside ring datagrams (INVITE, REDIRECT,
ERROR), where it must fit into one packet. A line has one spelling; any other gives one clear error [paper §II.B].
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from overlay.errors import LocalError, RemoteError

VERSION: Final = "SECP2PSIP/1.0"
METHODS: Final = ("CHALLENGE", "REGISTER", "REGISTERED", "INVITE", "REDIRECT", "ERROR")
DATAGRAM_METHODS: Final = frozenset({"INVITE", "REDIRECT", "ERROR"})
"""Methods whose lines must fit into a ring datagram."""
MAX_LINE_BYTES: Final = 16_384
MAX_DATAGRAM_LINE_BYTES: Final = 1200
DIGEST_BYTES: Final = 16

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]*){0,4}")
"""A compact JWE has five parts, a compact JWS three, a plain token one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A message on its way: what it is and its sealed content."""

    method: str
    """One of METHODS."""
    token: str
    """Base64url parts between dots; not opened yet."""

    def __post_init__(self) -> None:
        flaw = _flaw(self.method, self.token)
        if flaw is not None:
            raise LocalError(flaw)


def max_line_bytes(method: str) -> int:
    """Return the longest line that a method may have, CRLF included."""
    return MAX_DATAGRAM_LINE_BYTES if method in DATAGRAM_METHODS else MAX_LINE_BYTES


def encode_line(method: str, token: str) -> bytes:
    """Write a line with its CRLF; LocalError when method or token cannot stand in one."""
    line = Line(method=method, token=token)
    return f"{VERSION} {line.method} {line.token}\r\n".encode("ascii")


def decode_line(data: bytes) -> Line:
    """Read a line with its CRLF; RemoteError on another version, method, length or spelling."""
    if len(data) > MAX_LINE_BYTES:
        raise RemoteError(f"a line has at most {MAX_LINE_BYTES} bytes")
    if not data.endswith(b"\r\n"):
        raise RemoteError("a line ends with cr and lf")
    try:
        words = data[:-2].decode("ascii").split(" ")
    except UnicodeDecodeError:
        raise RemoteError("a line is ascii") from None
    if words[0] != VERSION:
        raise RemoteError(f"this is not {VERSION}")
    if len(words) != 3:  # noqa: PLR2004 - version, method, token
        raise RemoteError("a line is a version, a method and a token")
    flaw = _flaw(words[1], words[2])
    if flaw is not None:
        raise RemoteError(flaw)
    return Line(method=words[1], token=words[2])


def _flaw(method: str, token: str) -> str | None:
    """Say what is wrong with a line's two words, or None."""
    if method not in METHODS:
        return "unknown method"
    if not token.strip(".") or _TOKEN.fullmatch(token) is None:
        return "a token is up to five base64url parts between dots"
    if len(VERSION) + len(method) + len(token) + len("  \r\n") > max_line_bytes(method):
        return f"a line of {method} has at most {max_line_bytes(method)} bytes"
    return None


def line_digest(line: bytes) -> bytes:
    """Return the DIGEST_BYTES by which an answer names a whole line, also one whose reader could not open it.

    A line that is encrypted differs each time, so this names one sending of it and none before.
    """
    return hashlib.sha256(line).digest()[:DIGEST_BYTES]
