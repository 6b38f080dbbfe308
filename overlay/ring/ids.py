"""Ring ids, arithmetic on the circle, and the address of a peer.  I/O: none.

Everything on the ring is a number of 160 bits: nodes, names and the places of a user's key pieces [Chord 2001 §4].
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NewType

from overlay.errors import LocalError, RemoteError

if TYPE_CHECKING:
    from collections.abc import Iterable

RingId = NewType("RingId", int)
"""A point on the circle, 0 <= id < 2**RING_BITS."""

RING_BITS: Final = 160
ID_BYTES: Final = 20
RING_SIZE: Final = 1 << RING_BITS
MAX_PORT: Final = 65535
MAX_HOST_CHARS: Final = 39
"""The longest IP literal: an IPv6 address in full."""
MAX_CHECKED_HOSTS: Final = 4096
"""Host literals remembered as sound: a FIND_NODE answer carries twenty of them."""

_AOR_DOMAIN: Final = b"secp2psip aor\0"


def id_from_bytes(data: object) -> RingId:
    """Read a ring id from its 20 bytes, big endian; RemoteError on any other length or type."""
    if not isinstance(data, bytes) or len(data) != ID_BYTES:
        raise RemoteError(f"a ring id has {ID_BYTES} bytes")
    return RingId(int.from_bytes(data, "big"))


def id_to_bytes(ring_id: RingId) -> bytes:
    """Write a ring id as 20 bytes, big endian; LocalError when it is no point of the circle."""
    if not 0 <= ring_id < RING_SIZE:
        raise LocalError("ring id out of range")
    return ring_id.to_bytes(ID_BYTES, "big")


def clockwise(start: RingId, end: RingId) -> int:
    """Count the steps from `start` to `end` in the direction of growing ids, 0 when they are the same point."""
    return (end - start) % RING_SIZE


def shift(ring_id: RingId, steps: int) -> RingId:
    """Return the point `steps` clockwise of `ring_id` (anticlockwise when negative)."""
    return RingId((ring_id + steps) % RING_SIZE)


def between(x: RingId, low: RingId, high: RingId) -> bool:
    """Tell whether x lies in (low, high] going clockwise; the whole circle when low == high [Chord 2001 §4.2]."""
    if low == high:
        return True
    return 0 < clockwise(low, x) <= clockwise(low, high)


def position_of(aor: str) -> RingId:
    """Return the place of a name on the ring: the first 160 bits of SHA-256 over a domain and the AOR."""
    return RingId(int.from_bytes(hashlib.sha256(_AOR_DOMAIN + aor.encode()).digest()[:ID_BYTES], "big"))


def piece_position(aor: str, index: int, n: int) -> RingId:
    """Return the place of piece `index` (1..n) of a user: the n places divide the circle equally [Harvesf & Blough].

    LocalError when the index is not one of the n.
    """
    if not 1 <= index <= n:
        raise LocalError(f"piece {index} is not one of {n}")
    return shift(position_of(aor), index * RING_SIZE // n)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Peer:
    """A node of the ring and the UDP address that it speaks from. Ordered by id."""

    id: RingId
    """Its proved ring id, or the id that somebody claims for it until a handshake proves it."""
    host: str
    """IP literal in its canonical spelling, IPv4 or IPv6 without a scope; never multicast or unspecified."""
    port: int
    """UDP port, 1..65535."""

    def __post_init__(self) -> None:
        flaw = _flaw(self.id, self.host, self.port)
        if flaw is not None:
            raise LocalError(flaw)

    @classmethod
    def known(cls, ring_id: RingId, host: str, port: int) -> Peer:
        """Make a peer of fields that were checked before: whoever calls this got them out of a peer."""
        peer = object.__new__(cls)
        # around the frozen dataclass and its checks, which a look-up would pay for dozens of times
        object.__setattr__(peer, "id", ring_id)
        object.__setattr__(peer, "host", host)
        object.__setattr__(peer, "port", port)
        return peer

    def __hash__(self) -> int:
        # what the dataclass would make of a tuple, at half the price: look-ups ask for it by the hundred
        return hash(self.id) ^ hash(self.host) ^ self.port

    @property
    def address(self) -> tuple[str, int]:
        """Host and port as sockets want them."""
        return self.host, self.port

    def encode(self) -> list[bytes | str | int]:
        """Return the msgpack-able form: [20 bytes, host, port]."""
        return [id_to_bytes(self.id), self.host, self.port]

    @classmethod
    def decode(cls, value: object) -> Peer:
        """Read a peer that another node named: [20 bytes, host, port]; RemoteError on anything else.

        One unchecked port or host would close the UDP socket of who sends to it, so nothing gets by here.
        """
        if not isinstance(value, list | tuple) or len(value) != 3:  # noqa: PLR2004 - the three fields just named
            raise RemoteError("a contact has three fields")
        raw, host, port = value
        ring_id = id_from_bytes(raw)
        flaw = _flaw(ring_id, host, port)
        if flaw is not None:
            raise RemoteError(flaw)
        return cls(id=ring_id, host=host, port=port)

    def __str__(self) -> str:
        return f"{self.id:040x}"[:8] + f"@{spelt(self.address)}"


def clockwise_from(start: RingId, peers: Iterable[Peer]) -> list[Peer]:
    """Sort peers in the order in which a walk clockwise from `start` meets them; one exactly at `start` is first."""
    return sorted(peers, key=lambda peer: clockwise(start, peer.id))


def spelt(address: tuple[object, object]) -> str:
    """Return ``host:port``, with brackets around an IPv6 host [RFC 3986 §3.2.2]."""
    host, port = address
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"


def is_link_local(host: str) -> bool:
    """Tell whether an IP literal without a scope is an IPv6 address that means something on one link alone."""
    # fe80::/10, in the canonical spelling of a host [RFC 4291 §2.5.6]
    return host[:3] in {"fe8", "fe9", "fea", "feb"} and ":" in host


def is_in_reach(host: str, me: str) -> bool:
    """Tell whether a socket at `me` can send to a host: of the same family, and both of one link or neither."""
    return (":" in host) == (":" in me) and is_link_local(host) == is_link_local(me)


def is_sendable(address: object) -> bool:
    """Tell whether an address from outside is a (host, port) that a UDP socket can safely be told to send to."""
    if not isinstance(address, tuple) or len(address) != 2:  # noqa: PLR2004 - host and port
        return False
    return _flaw(0, *address) is None


def _flaw(ring_id: object, host: object, port: object) -> str | None:
    """Say what is wrong with a peer's fields, or None."""
    if type(ring_id) is not int or not 0 <= ring_id < RING_SIZE:
        return "ring id out of range"
    # bool is an int to Python: a port of True would pass every range check
    if type(port) is not int or not 1 <= port <= MAX_PORT:
        return "port out of range"
    if type(host) is not str or len(host) > MAX_HOST_CHARS or not _is_unicast_literal(host):
        return "host is no unicast IP literal"
    return None


@lru_cache(maxsize=MAX_CHECKED_HOSTS)
def _is_unicast_literal(host: str) -> bool:
    """Tell whether a text is the canonical spelling of an address that one host can have."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if str(address) != host or "%" in host:
        return False
    return not (address.is_multicast or address.is_unspecified or host == "255.255.255.255")
