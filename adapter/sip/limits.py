"""How much the SIP server takes on at once; the configuration may say otherwise.  I/O: none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from overlay.errors import LocalError

MOST: Final = 10_000_000
"""No limit is set higher: memory ends somewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Caps of one SIP server."""

    transactions: int = 10_000
    """Kept at once: at 6 KB each and 32 s of life, 300 requests a second for ever."""
    questions: int = 256
    """REGISTERs and INVITEs that the service works on at once."""
    bindings: int = 1024
    """Registered Contacts of all users together."""
    calls: int = 64
    """Call attempts of this device's users under way on the ring at once."""
    calls_per_node: float = 5.0
    """Calls a second that one node of the ring may announce here, four seconds of them at once."""

    def __post_init__(self) -> None:
        if not all(1 <= getattr(self, name) <= MOST for name in self.__slots__):
            raise LocalError(f"a limit lies between 1 and {MOST}")


DEFAULT_LIMITS: Final = Limits()
