"""The form that every signed record shares: one array, one spelling, one signature.  I/O: none.

A record is the msgpack array [kind, version, fields.., signature]. Decoding builds the record, encodes it again and
refuses any other spelling, so one value has one encoding and a signature covers exactly what was read. The signature is
over the array without itself, under a domain that names the kind: no record can pass for one of another kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from functools import cache, lru_cache
from ipaddress import ip_address
from typing import Any, ClassVar, Final, Self

import msgpack

from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import BUNDLE_BYTES, SIGNATURE_BYTES, KeyBundle

RECORD_VERSION: Final = 1
MAX_RECORD_BYTES: Final = 1024
"""No record of this project has more than 400."""
MAX_REMEMBERED_RECORDS: Final = 4096
"""Records remembered by their bytes: the same ones come back with every call."""
MAX_RECORD_ITEMS: Final = 32
"""Longest array inside a record: the indices of a release."""
MAX_TIME_S: Final = 2**40
"""Seconds since 1970, some 30,000 years of them."""
MAX_GENERATION: Final = 2**32 - 1
MAX_SEQUENCE: Final = 2**53 - 1
MAX_PORT: Final = 65535
MAX_HOST_CHARS: Final = 39
"""The longest IP literal: an IPv6 address in full."""
MAX_CLOCK_AHEAD_S: Final = 86_400
"""How far in the future a record may have been issued: a network without a time source has clocks that are hours off;
the bound only keeps a store from holding a record for years."""
CLOCK_SKEW_S: Final = 900
"""How far two clocks may be apart where seconds matter: a lookup record counts for that long after its expiry. A record
that is older than it says costs a caller one INVITE to a node that is not there any more; the highest sequence wins."""
_OVERLAY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
UNSIGNED: Final = bytes(SIGNATURE_BYTES)
"""Stands in the signature's place while a record is being made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A record of some kind, with its signature. Subclasses name the kind, add fields and check them."""

    KIND: ClassVar[int]
    NAME: ClassVar[str]

    signature: bytes
    """64 bytes, Ed25519, over the array of everything else."""

    @classmethod
    def domain(cls) -> bytes:
        """Return the signature domain of this kind of record."""
        return f"secp2psip {cls.NAME} {RECORD_VERSION}".encode()

    def signed_bytes(self) -> bytes:
        """Return what the signature covers: the encoded array without the signature."""
        return msgpack.packb(self._values())

    def encode(self) -> bytes:
        """Return the record's one encoding, at most MAX_RECORD_BYTES."""
        return msgpack.packb([*self._values(), self.signature])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read a record from its bytes; the signature is not checked yet.

        RemoteError when it is too long, of another kind or version, has a field out of bounds, or another spelling.
        """
        if type(data) is not bytes or len(data) > MAX_RECORD_BYTES:
            raise RemoteError(f"a record has at most {MAX_RECORD_BYTES} bytes")
        return cls._read(data)

    @classmethod
    @lru_cache(maxsize=MAX_REMEMBERED_RECORDS)
    def _read(cls, data: bytes) -> Self:
        values = _unpack(data)
        names = cls._names()
        if values[:2] != [cls.KIND, RECORD_VERSION] or len(values) != len(names) + 3:
            raise RemoteError(f"these bytes hold no {cls.NAME}")
        given: dict[str, Any] = dict(zip(names, values[2:-1], strict=True))
        try:
            record = cls(
                signature=values[-1],
                **{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()},
            )
        except LocalError as error:
            raise RemoteError(error.reason) from None
        if record.encode() != data:
            raise RemoteError(f"a {cls.NAME} in another than its one spelling")
        return record

    @classmethod
    @cache
    def _names(cls) -> list[str]:
        return [field.name for field in fields(cls) if field.name != "signature"]

    def _values(self) -> list[object]:
        return [self.KIND, RECORD_VERSION, *(getattr(self, name) for name in self._names())]

    def check_signature_field(self) -> None:
        """LocalError unless the signature has its 64 bytes."""
        check_bytes("signature", self.signature, SIGNATURE_BYTES)


def kind_of(data: bytes) -> int | None:
    """Return the kind that an encoded record claims to be of, None where it is none: so far nothing is checked."""
    try:
        values = _unpack(data)
    except RemoteError:
        return None
    return values[0] if values and type(values[0]) is int else None


def _unpack(data: bytes) -> list[Any]:
    try:
        values = msgpack.unpackb(data, max_array_len=MAX_RECORD_ITEMS, max_map_len=0, max_ext_len=0)
    except (ValueError, TypeError, OverflowError, RecursionError, msgpack.UnpackException):
        raise RemoteError("these bytes are no msgpack array") from None
    if not isinstance(values, list):
        raise RemoteError("a record is an array")
    return values


def check_bytes(name: str, value: object, size: int) -> None:
    """LocalError unless `value` is bytes of exactly that size."""
    if type(value) is not bytes or len(value) != size:
        raise LocalError(f"{name} has {size} bytes")


def check_bundle(name: str, value: object) -> None:
    """LocalError unless `value` is the 64 bytes of a key bundle: whoever reads a record may take its key as one."""
    check_bytes(name, value, BUNDLE_BYTES)
    try:
        KeyBundle.decode(value)  # type: ignore[arg-type]  # bytes, as was just checked
    except RemoteError as error:
        raise LocalError(f"{name}: {error.reason}") from None


def check_int(name: str, value: object, low: int, high: int) -> None:
    """LocalError unless `value` is a whole number in [low, high]; True and False are none."""
    if type(value) is not int or not low <= value <= high:
        raise LocalError(f"{name} is a whole number from {low} to {high}")


def check_host(value: object) -> None:
    """LocalError unless `value` is an address that one host can have, as an IP literal in its canonical spelling.

    A scope is refused (it means something on the writer's host only), and so are broadcast, multicast and unspecified.
    """
    if type(value) is not str or len(value) > MAX_HOST_CHARS:
        raise LocalError("host is an ip literal")
    try:
        address = ip_address(value)
    except ValueError:
        raise LocalError("host is an ip literal") from None
    if str(address) != value or "%" in value:
        raise LocalError("host is an ip literal in its one spelling")
    if address.is_multicast or address.is_unspecified or value == "255.255.255.255":
        raise LocalError("host is the address of one host")


def check_overlay(value: object) -> None:
    """LocalError unless `value` is an overlay's name: 1 to 32 of [A-Za-z0-9._-], the first a letter or digit."""
    if type(value) is not str or _OVERLAY.fullmatch(value) is None:
        raise LocalError("an overlay name is 1 to 32 letters, digits, dots, dashes and underscores")


def check_times(issued_at: object, expires_at: object) -> None:
    """LocalError unless both are times and the second is later."""
    check_int("issued_at", issued_at, 0, MAX_TIME_S)
    check_int("expires_at", expires_at, 0, MAX_TIME_S)
    if type(issued_at) is int and type(expires_at) is int and expires_at <= issued_at:
        raise LocalError("expires_at comes after issued_at")


def check_live(name: str, *, issued_at: int | None, expires_at: int, max_lifetime_s: int, now: float) -> None:
    """RemoteError unless a record counts now: not expired, not from the far future, not made to live too long."""
    if now >= expires_at:
        raise RemoteError(f"{name} expired")
    if issued_at is not None and issued_at > now + MAX_CLOCK_AHEAD_S:
        raise RemoteError(f"{name} issued in the future")
    start = now + MAX_CLOCK_AHEAD_S if issued_at is None else issued_at
    if expires_at - start > max_lifetime_s:
        raise RemoteError(f"{name} lives too long")
