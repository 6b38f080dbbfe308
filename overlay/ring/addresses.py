"""Which of this host's addresses do others reach it at?  I/O: sockets that never send.

A UDP socket that is connected to some far address has been given a source address by the kernel's routing table and has
sent nothing: connect(2) on a datagram socket only sets the default peer [connect(2)]. That is how the address is found
that this host uses towards the network, or towards one server. A network without a router (an ad-hoc LAN) has no
default route; then the addresses of the interfaces themselves decide.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

LOOPBACK: Final = "127.0.0.1"
_FAR_IPV4: Final = "203.0.113.1"
_FAR_IPV6: Final = "2001:db8::1"
"""Documentation addresses [RFC 5737] [RFC 3849]: somewhere behind the default route, and nothing is ever sent there."""
_DISCARD_PORT: Final = 9

# netdevice(7): struct ifreq is a name of 16 bytes and a union; 40 bytes on every Linux that the project runs on
_SIOCGIFFLAGS: Final = 0x8913
_SIOCGIFADDR: Final = 0x8915
_IFREQ_BYTES: Final = 40
_IFNAME_BYTES: Final = 16
_IFF_UP: Final = 0x1
_IFF_LOOPBACK: Final = 0x8
_IFF_RUNNING: Final = 0x40


@dataclass(frozen=True, slots=True, kw_only=True)
class LanAddress:
    """An address to listen on, and what should be said about the choice."""

    host: str
    """IP literal."""
    warning: str = ""
    """One sentence for the user where the choice may be wrong; empty where the routing table made it."""


def lan_address() -> LanAddress:
    """Return the address that other hosts of the local network reach this one at.

    In this order: the source address of the default route (IPv4, then IPv6), the address of the first running
    interface, 127.0.0.1. The last two come with a warning.
    """
    for far in (_FAR_IPV4, _FAR_IPV6):
        host = address_towards(far)
        if host is not None and not is_loopback(host):
            return LanAddress(host=host)
    found = interface_addresses()
    if found:
        name, host = found[0]
        return LanAddress(host=host, warning=f"there is no default route: using {host} of interface {name}")
    return LanAddress(host=LOOPBACK, warning="there is no network: only programs on this host can connect")


def address_towards(host: str) -> str | None:
    """Return the address of ours that datagrams to `host` (an IP literal) leave from; None when no route leads there.

    Towards 127.0.0.1 that is 127.0.0.1. Nothing is sent.
    """
    try:
        family = socket.AF_INET6 if ip_address(host).version == 6 else socket.AF_INET  # noqa: PLR2004 - the version
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((host, _DISCARD_PORT))
            found = str(probe.getsockname()[0])
    except (OSError, ValueError):
        return None
    # a link-local source means something on one link only, and no record may hold its scope
    address = ip_address(found.partition("%")[0])
    return None if address.is_unspecified or (address.version == 6 and address.is_link_local) else str(address)  # noqa: PLR2004 - the version


def interface_addresses() -> list[tuple[str, str]]:
    """Return (interface, IPv4 address) of every running interface but the loopback, in the kernel's order."""
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as query:
        for _, name in socket.if_nameindex():
            request = struct.pack(f"{_IFREQ_BYTES}s", name.encode()[: _IFNAME_BYTES - 1])
            # an interface can go, or have no IPv4 address, between the list and the question
            with contextlib.suppress(OSError):
                flags = struct.unpack_from("H", fcntl.ioctl(query, _SIOCGIFFLAGS, request), _IFNAME_BYTES)[0]
                if flags & _IFF_LOOPBACK or not flags & _IFF_UP or not flags & _IFF_RUNNING:
                    continue
                answer = fcntl.ioctl(query, _SIOCGIFADDR, request)
                # the union then holds a sockaddr_in: family, port, four bytes of address
                found.append((name, socket.inet_ntoa(answer[_IFNAME_BYTES + 4 : _IFNAME_BYTES + 8])))
    return found


def is_loopback(host: str) -> bool:
    """Tell whether an IP literal is reached from this host alone; False for anything that is no literal."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def is_own_address(host: str) -> bool:
    """Tell whether an IP literal is an address of this host: the kernel lets a socket bind to its own ones only.

    A host whose net.ipv4.ip_nonlocal_bind is on answers yes to everything.
    """
    try:
        address = ip_address(host)
        if address.is_multicast or address.is_unspecified or host == "255.255.255.255":
            return False
        family = socket.AF_INET6 if address.version == 6 else socket.AF_INET  # noqa: PLR2004 - the version
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except (OSError, ValueError):
        return False
    return True
