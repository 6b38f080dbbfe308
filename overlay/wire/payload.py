"""JSON with one spelling, for what stands inside a token.  I/O: none.

Objects only, no white space, members in a fixed order, whole numbers, bytes as base64url without padding
[RFC 4648 §5]. Reading writes the value again and compares: doubled members, other escapes and loose bits fall at once.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import Any

from overlay.errors import RemoteError


def encode_base64(data: bytes) -> str:
    """Write bytes as base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64(text: object) -> bytes:
    """Read base64url without padding; RemoteError on anything that `encode_base64` does not write."""
    if type(text) is not str:
        raise RemoteError("base64url is text")
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, Base64Error):
        raise RemoteError("malformed base64url") from None
    # the library skips foreign characters and loose bits in the last one: only the spelling that we write counts
    if encode_base64(data) != text:
        raise RemoteError("base64url in another than its one spelling")
    return data


def encode_json(members: dict[str, Any]) -> bytes:
    """Write an object: ASCII, no white space, members in the order given."""
    return json.dumps(members, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def decode_json(data: bytes) -> dict[str, Any]:
    """Read an object that `encode_json` wrote; RemoteError on any other spelling."""
    try:
        value = json.loads(data.decode("ascii"))
        # a lone surrogate or a huge number survives reading and fails or changes here
        again = encode_json(value)
    except (ValueError, TypeError, RecursionError):
        raise RemoteError("malformed json") from None
    if not isinstance(value, dict) or again != data:
        raise RemoteError("json in another than its one spelling")
    return value
