"""How many connections may stand at once, and from whom.  I/O: none.

Counted from the moment the kernel hands a connection over, so that a TLS handshake that never ends counts too. Other
hosts share a part of the room: they can never take this device's own phones theirs.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from adapter.sip.grammar import address_of

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_CONNECTIONS: Final = 256
MAX_FOREIGN_CONNECTIONS: Final = 64
"""Of all other hosts together."""
MAX_PER_SOURCE: Final = 96
MAX_PER_FOREIGN_SOURCE: Final = 16
_IPV6_SITE_BITS: Final = 64
"""Whoever has one IPv6 address has as many as he likes behind the same 64 bits."""


class Admission:
    """The connections that stand, by where they come from."""

    def __init__(self, *, is_own: Callable[[str], bool]) -> None:
        """`is_own` tells whether an IP literal is an address of this host."""
        self._is_own = is_own
        self._standing: Counter[str] = Counter()
        self._foreign: set[str] = set()

    def __len__(self) -> int:
        return self._standing.total()

    def enter(self, host: str) -> bool:
        """Count a connection from `host` in, or say that there is no room for it."""
        source = _source_of(host)
        is_foreign = not self._is_own(host)
        limit = MAX_PER_FOREIGN_SOURCE if is_foreign else MAX_PER_SOURCE
        if self._standing.total() >= MAX_CONNECTIONS or self._standing[source] >= limit:
            return False
        if is_foreign and sum(self._standing[other] for other in self._foreign) >= MAX_FOREIGN_CONNECTIONS:
            return False
        self._standing[source] += 1
        if is_foreign:
            self._foreign.add(source)
        return True

    def leave(self, host: str) -> None:
        """Count a connection out that was counted in."""
        source = _source_of(host)
        self._standing[source] -= 1
        if not self._standing[source]:
            del self._standing[source]
            self._foreign.discard(source)


def _source_of(host: str) -> str:
    address = address_of(host.partition("%")[0])
    if address is None or address.version == 4:  # noqa: PLR2004 - the IP version
        return host
    return f"{int(address) >> (128 - _IPV6_SITE_BITS):x}"
