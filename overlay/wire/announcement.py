"""How a bootstrap server says on the local network that it is there: one DNS-SD service.  I/O: none.

The service type is `_secp2psip._tcp` in multicast DNS [RFC 6762] [RFC 6763]; address and port stand in its A or AAAA
and SRV records, overlay name and the thumbprint of the overlay key in its TXT record. Nothing of it is signed: whoever
is on the network can announce whatever he likes. So it only says where to knock. Who opens is known by his key.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Final, Self

from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import THUMBPRINT_BYTES
from overlay.trust.signed import MAX_PORT, check_bytes, check_int, check_overlay

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SERVICE_TYPE: Final = "_secp2psip._tcp.local."
VERSION: Final = "1"
MAX_ADDRESSES: Final = 8
"""Addresses of one announcement that are looked at."""
LABEL_KEY_CHARS: Final = 16
"""Of the thumbprint, in the name of the service: enough that no two servers meet by accident."""
_THUMBPRINT: Final = re.compile(rb"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Announcement:
    """One bootstrap server, as it describes itself or as somebody claims."""

    overlay: str
    """Name of the overlay."""
    key: bytes
    """Thumbprint of the overlay key, 16 bytes."""
    host: str
    """IP literal; one of a single link comes with the scope where it was heard, which no record holds."""
    port: int
    """TCP port."""

    def __post_init__(self) -> None:
        check_overlay(self.overlay)
        check_bytes("key", self.key, THUMBPRINT_BYTES)
        check_int("port", self.port, 1, MAX_PORT)
        if not _is_usable(self.host):
            raise LocalError("an announced host is the address of one host")

    @property
    def label(self) -> str:
        """The service's own name: a host announces it once for each key."""
        return f"secp2psip-{self.key.hex()[:LABEL_KEY_CHARS]}"

    def properties(self) -> dict[str, str]:
        """Return the TXT record."""
        return {"v": VERSION, "overlay": self.overlay, "key": self.key.hex()}

    @classmethod
    def decode(cls, addresses: Sequence[str], port: int | None, properties: Mapping[bytes, bytes | None]) -> Self:
        """Return what a stranger's records say; the first address that can be one counts. RemoteError otherwise."""
        if properties.get(b"v") != VERSION.encode():
            raise RemoteError("an announcement of another version")
        key = properties.get(b"key") or b""
        if _THUMBPRINT.fullmatch(key) is None:
            raise RemoteError("an announcement without a key's thumbprint")
        host = next(filter(_is_usable, addresses[:MAX_ADDRESSES]), None)
        if host is None or port is None:
            raise RemoteError("an announcement without an address")
        try:
            overlay = (properties.get(b"overlay") or b"").decode("ascii")
            return cls(overlay=overlay, key=bytes.fromhex(key.decode()), host=host, port=port)
        except (LocalError, UnicodeDecodeError) as error:
            raise RemoteError(f"an announcement that does not hold: {error}") from None


def _is_usable(host: str) -> bool:
    """Tell whether `host` is an address that one host can have, and that can be sent to from here."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if str(address) != host or address.is_unspecified or address.is_multicast:
        return False
    if isinstance(address, IPv6Address):
        # IPv4 in the clothes of IPv6 is announced as what it is
        return address.ipv4_mapped is None and address.is_link_local is (address.scope_id is not None)
    return not address.is_reserved
