"""The four kinds of datagram between two nodes of the ring, as bytes.  I/O: none.

    HELLO   512 B  I am this node, here is a fresh X25519 key; signed by the node key
    ANSWER  482 B  so am I, and this answers exactly that HELLO; signed by the node key
    DATA    33 B + payload  sealed with ChaCha20-Poly1305 under the keys that the two agreed on
    RESET   9 B  a hint without any proof: I do not know that session index (any more)

HELLO and ANSWER have one fixed size each, so an answer is always smaller than what asked for it: nobody can use a node
to throw more bytes at a third party than he sent himself. Numbers are big endian; unused bytes are zero and must be.
Any other spelling is refused with RemoteError. A signature costs 385 us per RPC, hence once per peer and not on each
datagram.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

from overlay.errors import LocalError, RemoteError
from overlay.ring.ids import ID_BYTES

Address = tuple[str, int]
"""IP literal and UDP port."""

HELLO: Final = 0x11
ANSWER: Final = 0x12
DATA: Final = 0x13
RESET: Final = 0x14
"""First byte of a frame: version 1 in the high half, the kind in the low half."""

SIGNATURE_BYTES: Final = 64
EPHEMERAL_BYTES: Final = 32
TAG_BYTES: Final = 16
MAX_CREDENTIAL_BYTES: Final = 341
MAX_COUNTER: Final = (1 << 48) - 1
"""The last number of a DATA frame; a session is replaced long before."""
MAX_PAYLOAD_BYTES: Final = 8192
"""Beyond some 1,400 bytes the IP layer fragments, which a LAN bears and which RPCs should avoid."""

_HELLO_BODY: Final = struct.Struct(f">BQ32sQ{ID_BYTES}s18s18sH{MAX_CREDENTIAL_BYTES}s")
_ANSWER_BODY: Final = struct.Struct(f">BQQ32sQ18sH{MAX_CREDENTIAL_BYTES}s")
_DATA_HEADER: Final = struct.Struct(">BQQ")
_RESET: Final = struct.Struct(">BQ")

HELLO_BYTES: Final = _HELLO_BODY.size + SIGNATURE_BYTES
ANSWER_BYTES: Final = _ANSWER_BODY.size + SIGNATURE_BYTES
DATA_HEADER_BYTES: Final = _DATA_HEADER.size
RESET_BYTES: Final = _RESET.size
MIN_DATA_BYTES: Final = DATA_HEADER_BYTES + TAG_BYTES
MAX_DATAGRAM_BYTES: Final = MIN_DATA_BYTES + MAX_PAYLOAD_BYTES

NO_ID: Final = bytes(ID_BYTES)
"""In a HELLO: whoever answers will do."""
_NO_ADDRESS: Final = bytes(18)
_V4_MAPPED: Final = bytes(10) + b"\xff\xff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The first frame of a handshake."""

    index: int
    """The session index under which the sender wants to receive, 64 random bits, never zero."""
    ephemeral: bytes
    """X25519 public key, 32 bytes, made for this one handshake."""
    time_ms: int
    """The sender's wall clock, milliseconds: orders the hellos of one sender, proves nothing about the hour."""
    expected: bytes
    """20-byte id that must answer, or NO_ID."""
    origin: Address | None
    """The address that the sender speaks from, where it knows it: a hello relayed by another host is refused."""
    target: Address
    """The address that the sender sends to."""
    credential: bytes
    """Encoded NodeCredential of the sender."""

    def body(self) -> bytes:
        """Return the part that is signed."""
        return _HELLO_BODY.pack(
            HELLO,
            self.index,
            self.ephemeral,
            self.time_ms,
            self.expected,
            _pack_address(self.origin),
            _pack_address(self.target),
            _credential_length(self.credential),
            self.credential,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The second frame of a handshake."""

    to_index: int
    """The index of the HELLO that it answers."""
    index: int
    """The session index under which the answering node wants to receive, never zero."""
    ephemeral: bytes
    """X25519 public key, 32 bytes, made for this one handshake."""
    time_ms: int
    """The answering node's wall clock, milliseconds."""
    origin: Address | None
    """The address that it speaks from, where it knows it."""
    credential: bytes
    """Encoded NodeCredential of the answering node."""

    def body(self) -> bytes:
        """Return the part that is signed, together with the hash of the HELLO."""
        return _ANSWER_BODY.pack(
            ANSWER,
            self.to_index,
            self.index,
            self.ephemeral,
            self.time_ms,
            _pack_address(self.origin),
            _credential_length(self.credential),
            self.credential,
        )


def decode_hello(frame: bytes) -> Hello:
    """Read a HELLO without checking its signature, the last 64 bytes; RemoteError on any flaw of form."""
    if len(frame) != HELLO_BYTES or frame[0] != HELLO:
        raise RemoteError("no hello")
    _, index, ephemeral, time_ms, expected, origin, target, length, credential = _HELLO_BODY.unpack_from(frame)
    aimed_at = _unpack_address(target)
    if index == 0 or aimed_at is None:
        raise RemoteError("hello without an index or a target")
    return Hello(
        index=index,
        ephemeral=ephemeral,
        time_ms=time_ms,
        expected=expected,
        origin=_unpack_address(origin),
        target=aimed_at,
        credential=_unpad(credential, length),
    )


def decode_answer(frame: bytes) -> Answer:
    """Read an ANSWER without checking its signature, the last 64 bytes; RemoteError on any flaw of form."""
    if len(frame) != ANSWER_BYTES or frame[0] != ANSWER:
        raise RemoteError("no answer")
    _, to_index, index, ephemeral, time_ms, origin, length, credential = _ANSWER_BODY.unpack_from(frame)
    if index == 0 or to_index == 0:
        raise RemoteError("answer without an index")
    return Answer(
        to_index=to_index,
        index=index,
        ephemeral=ephemeral,
        time_ms=time_ms,
        origin=_unpack_address(origin),
        credential=_unpad(credential, length),
    )


def data_header(index: int, counter: int) -> bytes:
    """Return the 17 bytes in front of a sealed payload: kind, the receiver's session index, the frame's number."""
    return _DATA_HEADER.pack(DATA, index, counter)


def decode_data_header(frame: bytes) -> tuple[int, int]:
    """Return (session index, counter) of a DATA frame; RemoteError when it cannot be one."""
    if not MIN_DATA_BYTES <= len(frame) <= MAX_DATAGRAM_BYTES or frame[0] != DATA:
        raise RemoteError("no data frame")
    _, index, counter = _DATA_HEADER.unpack_from(frame)
    if counter > MAX_COUNTER:
        raise RemoteError("counter out of range")
    return index, counter


def encode_reset(index: int) -> bytes:
    """Return the hint that the session index of a received DATA frame is unknown here."""
    return _RESET.pack(RESET, index)


def decode_reset(frame: bytes) -> int:
    """Return the index that the peer does not know; RemoteError when the frame is no RESET."""
    if len(frame) != RESET_BYTES or frame[0] != RESET:
        raise RemoteError("no reset")
    index: int = _RESET.unpack(frame)[1]
    return index


def _credential_length(credential: bytes) -> int:
    if not 0 < len(credential) <= MAX_CREDENTIAL_BYTES:
        raise LocalError(f"a node credential of {len(credential)} bytes does not fit into a hello")
    return len(credential)


def _unpad(field: bytes, length: int) -> bytes:
    """Return the credential in front of the zero bytes; there is one spelling only."""
    if not 0 < length <= MAX_CREDENTIAL_BYTES or any(field[length:]):
        raise RemoteError("credential field is not canonical")
    return field[:length]


def _pack_address(address: Address | None) -> bytes:
    """Return 16 bytes of IPv6 (IPv4 mapped into it) and the port; zeros when there is no address."""
    if address is None:
        return _NO_ADDRESS
    host, port = address
    packed = ip_address(host).packed
    return (packed if len(packed) == 16 else _V4_MAPPED + packed) + port.to_bytes(2, "big")  # noqa: PLR2004 - IPv6


def _unpack_address(field: bytes) -> Address | None:
    if field == _NO_ADDRESS:
        return None
    port = int.from_bytes(field[16:], "big")
    if port == 0:
        raise RemoteError("address without a port")
    address = IPv6Address(field[:16])
    return str(address.ipv4_mapped or address), port
