"""Who counts as one source: an IPv4 address, or a whole IPv6 network of 64 bits.  I/O: none.

Limits per address mean nothing where one host has 2^64 of them, and on IPv6 every host does [RFC 4291 §2.5.1]: without
this a single laptop could take every name of an open overlay, and any place on the ring.
"""

from __future__ import annotations

from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import Final

IPV6_PREFIX_BITS: Final = 64


def source_of(host: str) -> str:
    """Return what limits are counted by for a connection from this IP literal, a scope allowed."""
    address = ip_address(host.partition("%")[0])
    if not isinstance(address, IPv6Address) or address.is_loopback:
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((address.packed, IPV6_PREFIX_BITS), strict=False).network_address)
