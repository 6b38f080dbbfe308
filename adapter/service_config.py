"""What an adapter is started with.  I/O: none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from adapter.sip.limits import DEFAULT_LIMITS, Limits
from adapter.whose_calls import WhoseCalls
from overlay.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from adapter.sip.phone_secret import PhoneSecret


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """What an adapter is started with."""

    users: tuple[str, ...]
    """AORs of this device, at least one."""
    state_dir: Path
    """Where its keys, its registered state and its lock lie."""
    bootstrap: tuple[str, int] | None
    """Where the bootstrap server listens (TCP); None: whoever is registered stays, nobody new can be."""
    sip: tuple[str, int]
    """Address that phones reach it at (UDP); port 0: any free one."""
    ring: tuple[str, int]
    """Address that other nodes reach it at (UDP); port 0: any free one."""
    other_ring: tuple[str, int] | None = None
    """The same in the other family, where it is to be in both rings; port 0: that of the first, if it is free."""
    overlay_key: bytes | None = None
    """Thumbprint (16 bytes) of the only overlay key to trust; None: the first one seen is pinned."""
    accept: WhoseCalls = field(default_factory=WhoseCalls)
    """Whose calls its users take."""
    code: str = ""
    """Enrolment code, where the bootstrap server asks for one."""
    phones: Mapping[str, PhoneSecret] = field(default_factory=dict)
    """Users whose phones on other hosts are served too, with what those prove themselves with."""
    limits: Limits = DEFAULT_LIMITS

    def __post_init__(self) -> None:
        if not self.users:
            raise LocalError("an adapter serves at least one user")
        if self.other_ring is not None and (":" in self.ring[0]) is (":" in self.other_ring[0]):
            raise LocalError("the two addresses for the ring are of one family")
