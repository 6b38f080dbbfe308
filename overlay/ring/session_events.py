"""What the authenticated datagrams tell the rest of the node.  I/O: none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from overlay.ring.frames import Address
    from overlay.ring.ids import Peer, RingId


@dataclass(frozen=True, slots=True, kw_only=True)
class Established:
    """A peer has proved its id at this address, just now."""

    peer: Peer
    again: bool = False
    """Whether a session with it at this address was alive already: keys were renewed, or it came back quickly."""
    rtt_s: float | None = None
    """Seconds between our hello and its answer; None where the hello was the peer's or was sent twice [Karn 1987]."""


class Received(NamedTuple):
    """An authentic payload, never seen before."""

    peer: Peer
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Something answered our hello that we do not talk to; what was queued for it is dropped."""

    address: Address
    expected: RingId | None
    why: str
    """One of the reasons under which it was counted, such as "credential expired" or "another node answers"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreachable:
    """Nothing answered our hellos; what was queued for it is dropped."""

    address: Address
    expected: RingId | None
    dropped: int
    """How many payloads were lost."""


Event = Established | Received | Refused | Unreachable
