"""STUN on the SIP port: a phone's way to hold its path open and to see its own address.  I/O: none.

Only binding requests are known, in the form that RFC 5626 §4.4.2 wants of a SIP server: no authentication, no
attributes that must be understood. An answer is longer than its request, so whoever calls this answers phones that he
serves and nobody else [RFC 8489 §6, §14.2].
"""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import Final

HEADER_BYTES: Final = 20
MAX_STUN_BYTES: Final = 548
"""The largest request that a client may send without knowing the path [RFC 8489 §6.1]."""
_COOKIE: Final = 0x2112A442
_BINDING_REQUEST: Final = 0x0001
_BINDING_SUCCESS: Final = 0x0101
_BINDING_ERROR: Final = 0x0111
_XOR_MAPPED_ADDRESS: Final = 0x0020
_ERROR_CODE: Final = 0x0009
_UNKNOWN_ATTRIBUTES: Final = 0x000A
_FIRST_OPTIONAL: Final = 0x8000
"""Attributes from here on may be passed over [RFC 8489 §14]."""
_UNKNOWN: Final = b"\0\0\x04\x14Unknown Attribute"
"""Class 4, number 20, and the reason phrase."""


def is_stun(data: bytes) -> bool:
    """Tell whether a datagram is STUN: SIP begins with a letter, never with two zero bits [RFC 5626 §8]."""
    return len(data) >= HEADER_BYTES and data[0] < 0x40 and data[4:8] == _COOKIE.to_bytes(4, "big")  # noqa: PLR2004


def answer_binding(data: bytes, host: str, port: int) -> bytes | None:
    """Return the answer to a binding request that came from `host` (an IP literal) and `port`, None when it is none."""
    if not is_stun(data) or len(data) > MAX_STUN_BYTES:
        return None
    kind, length = struct.unpack_from("!HH", data)
    if kind != _BINDING_REQUEST or length != len(data) - HEADER_BYTES or length % 4:
        return None
    transaction = data[4:HEADER_BYTES]
    unknown = _unknown_attributes(data[HEADER_BYTES:])
    if unknown is None:
        return None
    if unknown:
        listed = b"".join(struct.pack("!H", kind) for kind in unknown)
        return _spell(
            _BINDING_ERROR,
            transaction,
            _attribute(_ERROR_CODE, _UNKNOWN) + _attribute(_UNKNOWN_ATTRIBUTES, listed),
        )
    return _spell(_BINDING_SUCCESS, transaction, _attribute(_XOR_MAPPED_ADDRESS, _mapped(host, port, transaction)))


def _mapped(host: str, port: int, transaction: bytes) -> bytes:
    address = ip_address(host.partition("%")[0]).packed
    family = 1 if len(address) == 4 else 2  # noqa: PLR2004 - bytes of an IPv4 address
    hidden = bytes(byte ^ mask for byte, mask in zip(address, transaction, strict=False))
    return struct.pack("!BBH", 0, family, port ^ (_COOKIE >> 16)) + hidden


def _unknown_attributes(body: bytes) -> list[int] | None:
    """Return the attributes that must be understood, all of them unknown here; None when the body is malformed."""
    unknown: list[int] = []
    position = 0
    while position < len(body):
        kind, length = struct.unpack_from("!HH", body, position)
        position += 4 + length + -length % 4
        if position > len(body):
            return None
        if kind < _FIRST_OPTIONAL and kind not in unknown:
            unknown.append(kind)
    return unknown


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("!HH", kind, len(value)) + value + bytes(-len(value) % 4)


def _spell(kind: int, transaction: bytes, attributes: bytes) -> bytes:
    return struct.pack("!HH", kind, len(attributes)) + transaction + attributes
