"""What messages are made of: how each kind of field is written in JSON, and its bounds.  I/O: none.

A message lists its members in order, each with the kind that writes and reads it. Bounds are checked by the message
when it is made, by our own code (LocalError) or from the wire (turned into RemoteError here).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Self

from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import THUMBPRINT_BYTES, is_aor
from overlay.trust.records import NODE_ID_BYTES
from overlay.trust.signed import MAX_GENERATION, MAX_PORT, check_bytes, check_host, check_int
from overlay.wire.payload import decode_base64, decode_json, encode_base64, encode_json

if TYPE_CHECKING:
    from collections.abc import Callable

TRANSPORTS: Final = ("udp", "tcp", "tls")
MAX_CONTACT_CHARS: Final = 51
"""[IPv6 address in full]:65535;tls"""

_CONTACT: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([0-9.]+)):([1-9][0-9]{0,4});(udp|tcp|tls)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """One side of a call: a user, and the very key that is meant."""

    aor: str
    """User name in its one spelling."""
    generation: int
    """Generation of the key bundle."""
    thumbprint: bytes
    """16 bytes that name the key bundle."""

    def __post_init__(self) -> None:
        if not is_aor(self.aor):
            raise LocalError("aor is a user name in its one spelling")
        check_int("generation", self.generation, 1, MAX_GENERATION)
        check_bytes("thumbprint", self.thumbprint, THUMBPRINT_BYTES)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAt:
    """A node of the ring and where it listens."""

    id: bytes
    """20 bytes: its ring id."""
    host: str
    """IP literal."""
    port: int
    """UDP port."""

    def __post_init__(self) -> None:
        check_bytes("id", self.id, NODE_ID_BYTES)
        check_host(self.host)
        check_int("port", self.port, 1, MAX_PORT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Where a phone is reached: the address part of a SIP Contact [RFC 3261 §20.10]."""

    host: str
    """IP literal, IPv6 without brackets."""
    port: int
    """1 to 65535."""
    transport: str
    """One of TRANSPORTS."""

    def __post_init__(self) -> None:
        check_host(self.host)
        check_int("port", self.port, 1, MAX_PORT)
        if self.transport not in TRANSPORTS:
            raise LocalError("transport is udp, tcp or tls")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ip_address(self.host).version == 6 else self.host  # noqa: PLR2004 - IPv6
        return f"{host}:{self.port};{self.transport}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `host:port;transport`; RemoteError on any other spelling."""
        match = _CONTACT.fullmatch(text) if len(text) <= MAX_CONTACT_CHARS else None
        if match is None:
            raise RemoteError("a contact is host:port;transport")
        try:
            contact = cls(host=match[1] or match[2], port=int(match[3]), transport=match[4])
        except LocalError as error:
            raise RemoteError(error.reason) from None
        if str(contact) != text:
            raise RemoteError("a contact in another than its one spelling")
        return contact


class Kind(NamedTuple):
    """How one kind of field is written to JSON and read back."""

    write: Callable[[Any], object]
    read: Callable[[Any], Any]


def _listed(value: object, size: int | None = None) -> list[Any]:
    if type(value) is not list or (size is not None and len(value) != size):
        raise RemoteError("a member has another shape")
    return value


def _read_party(value: object) -> Party:
    aor, generation, thumbprint = _listed(value, 3)
    return Party(aor=aor, generation=generation, thumbprint=decode_base64(thumbprint))


def _read_node(value: object) -> NodeAt:
    node_id, host, port = _listed(value, 3)
    return NodeAt(id=decode_base64(node_id), host=host, port=port)


PLAIN: Final = Kind(lambda value: value, lambda value: value)
"""Text and whole numbers: the message checks their types."""
BYTES: Final = Kind(encode_base64, decode_base64)
TEXTS: Final = Kind(list, lambda value: tuple(_listed(value)))
BLOBS: Final = Kind(
    lambda values: [encode_base64(value) for value in values],
    lambda values: tuple(decode_base64(value) for value in _listed(values)),
)
PARTY: Final = Kind(lambda party: [party.aor, party.generation, encode_base64(party.thumbprint)], _read_party)
NODES: Final = Kind(
    lambda nodes: [[encode_base64(node.id), node.host, node.port] for node in nodes],
    lambda nodes: tuple(_read_node(node) for node in _listed(nodes)),
)


class Member(NamedTuple):
    """One member of a message's JSON object."""

    name: str
    """In the JSON."""
    attribute: str
    """In the dataclass."""
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Anything that travels inside a token."""

    METHOD: ClassVar[str]
    MEMBERS: ClassVar[tuple[Member, ...]]

    def members(self) -> dict[str, object]:
        """Return the JSON members in their order."""
        return {member.name: member.kind.write(getattr(self, member.attribute)) for member in self.MEMBERS}

    def encode(self) -> bytes:
        """Return the payload's one spelling."""
        return encode_json(self.members())

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Read a payload; RemoteError unless it has exactly these members, in order and within bounds."""
        given = decode_json(payload)
        if list(given) != [member.name for member in cls.MEMBERS]:
            raise RemoteError(f"a payload of {cls.METHOD} has other members")
        try:
            return cls(**{member.attribute: member.kind.read(given[member.name]) for member in cls.MEMBERS})
        except LocalError as error:
            raise RemoteError(error.reason) from None


def check_text(name: str, value: object, max_chars: int) -> None:
    """LocalError unless `value` is printable ASCII of at most that many characters: it may end in a SIP header."""
    if (
        type(value) is not str
        or len(value) > max_chars
        or not value.isascii()
        or not (value.isprintable() or not value)
    ):
        raise LocalError(f"{name} is printable ascii of at most {max_chars} characters")


def check_bytes_up_to(name: str, value: object, max_size: int) -> None:
    """LocalError unless `value` is bytes of at most that size."""
    if type(value) is not bytes or len(value) > max_size:
        raise LocalError(f"{name} has at most {max_size} bytes")


def check_bytes_or_none(name: str, value: object, size: int) -> None:
    """LocalError unless `value` is bytes of exactly that size, or empty."""
    if value != b"":
        check_bytes(name, value, size)
