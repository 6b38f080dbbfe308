"""Which of this host's addresses do others reach it at?  I/O: sockets that never send.

A UDP socket that is connected to some far address has been given a source address by the kernel's routing table and has
sent nothing: connect(2) on a datagram socket only sets the default peer [connect(2)]. That is how the address is found
that this host uses towards the network, or towards one server. A network without a router (an ad-hoc LAN) has no
default route; then the addresses of the interfaces themselves decide.

A link-local IPv6 address means nothing without the interface that it is on, its *scope*: `fe80::7%eth0` [RFC 4007 §11].
The scope is this host's own affair. Here and in what a person types it is written; the socket that is bound to such an
address keeps it; and no datagram, record or answer ever holds one.
"""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Any, Final

from overlay.ring.ids import is_link_local

LOOPBACK: Final = "127.0.0.1"
_FAR_IPV4: Final = "203.0.113.1"
_FAR_IPV6: Final = "2001:db8::1"
"""Documentation addresses [RFC 5737] [RFC 3849]: somewhere behind the default route, and nothing is ever sent there."""
_DISCARD_PORT: Final = 9
_IPV6: Final = 6
_IF_INET6: Final = Path("/proc/net/if_inet6")
"""The kernel's list of IPv6 addresses: 32 digits, interface number, prefix, scope, flags, name [proc(5)]."""
_IFA_DEAD: Final = 0x08 | 0x20 | 0x40
"""Flags of an address that is not to be used: found twice, deprecated, tentative (linux/if_addr.h)."""

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
    interface (IPv4, then IPv6, then IPv6 of one link alone, with its scope), 127.0.0.1. The last two come with a
    warning.
    """
    for far in (_FAR_IPV4, _FAR_IPV6):
        host = address_towards(far)
        if host is not None and not is_loopback(host):
            return LanAddress(host=host)
    found = interface_addresses() or ipv6_interface_addresses()
    if found:
        name, host = found[0]
        return LanAddress(host=host, warning=f"there is no default route: using {host} of interface {name}")
    return LanAddress(host=LOOPBACK, warning="there is no network: only programs on this host can connect")


def address_towards(host: str) -> str | None:
    """Return the address of ours that datagrams to `host` (an IP literal) leave from; None when no route leads there.

    Towards 127.0.0.1 that is 127.0.0.1, towards an address with a scope one with the same scope. Nothing is sent.
    """
    try:
        with socket.socket(family_of(host), socket.SOCK_DGRAM) as probe:
            probe.connect(socket_address((host, _DISCARD_PORT)))
            found = str(probe.getsockname()[0])
    except (OSError, ValueError):
        return None
    address = ip_address(found.partition("%")[0])
    scope = host.partition("%")[2]
    if address.is_unspecified:
        return None
    if is_link_local(str(address)):
        # it means something on one link only, which has to be known
        return f"{address}%{scope}" if scope else None
    return str(address)


def family_of(host: str) -> socket.AddressFamily:
    """Return the family of an IP literal, with a scope or without; ValueError for anything else."""
    return socket.AF_INET6 if ip_address(host).version == _IPV6 else socket.AF_INET


def socket_address(address: tuple[str, int]) -> tuple[Any, ...]:
    """Return host and port as bind(2) and connect(2) want them: with the scope as a number, where there is one.

    OSError where the scope is no interface of this host.
    """
    return socket.getaddrinfo(*address, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0][4]


def ipv6_interface_addresses() -> list[tuple[str, str]]:
    """Return (interface, IPv6 address) of every interface but the loopback, those with a scope last."""
    found = []
    with contextlib.suppress(OSError):  # a kernel without IPv6
        for line in _IF_INET6.read_text(encoding="ascii").splitlines():
            digits, _number, _prefix, _scope, flags, name = line.split()
            address = IPv6Address(bytes.fromhex(digits))
            if not (address.is_loopback or int(flags, 16) & _IFA_DEAD):
                found.append((name, f"{address}%{name}" if address.is_link_local else str(address)))
    return sorted(found, key=lambda one: "%" in one[1])


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
        with socket.socket(family_of(host), socket.SOCK_DGRAM) as probe:
            probe.bind(socket_address((host, 0)))
    except (OSError, ValueError):
        return False
    return True
