"""Find the bootstrap servers that announce themselves on the local network.  I/O: multicast DNS.

All that was announced while we listened counts, also what replaced something: a second answer with another key for the
same service must not push the first one out of sight, because the two together are what tells of an impostor. There
is a bound on everything that a stranger can make us keep. [RFC 6762 §5.2] [docs/adr/0008]
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING, Final

from zeroconf import Error, IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from adapter.choosing import choose, is_settled
from adapter.problems import Problem
from overlay.errors import RemoteError
from overlay.ring.addresses import LOOPBACK, interface_addresses, ipv6_interface_addresses, is_own_address
from overlay.ring.ids import is_link_local
from overlay.ring.tasks import Tasks
from overlay.wire.announcement import SERVICE_TYPE, Announcement

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from adapter.config import Address

DISCOVERY_TIMEOUT_S: Final = 3.0
"""How long an empty network is listened to: three questions, at 0, 1 and 3 s less a little."""
GRACE_S: Final = 1.4
"""After the first answer, for rivals: who answered somebody else just now is silent for a second [RFC 6762 §6], and the
question is put again after one."""
MAX_SERVICES: Final = 64
"""Different services, and different keys of one network, that are looked at; more are an attack or a fair."""
MAX_ADDRESSES_OF_A_KEY: Final = 4
_TYPE_TXT: Final = 16
_CLASS_IN: Final = 1


async def find_bootstrap(
    *, overlay: str = "", pins: Collection[bytes] = (), interfaces: Sequence[str | int] = ()
) -> Announcement:
    """Return the announced bootstrap server that is meant, within DISCOVERY_TIMEOUT_S and a little.

    `overlay` and `pins` as for choosing.choose; `interfaces` are where to ask: this host's IPv4 addresses, and the
    numbers of interfaces with IPv6 (default: all).
    Raises Problem when there is none, or when it takes a person to choose.
    """
    search = _Search(overlay, pins)
    try:
        chosen = list(interfaces or own_interfaces())
        zeroconf = AsyncZeroconf(interfaces=chosen, ip_version=_version(chosen))
    except (OSError, Error) as error:
        raise Problem(
            f"the network cannot be asked for a bootstrap server: {error}",
            hint="give the address of the bootstrap server: --bootstrap HOST:PORT",
            code="no_bootstrap",
        ) from None
    try:
        await search.run(zeroconf.zeroconf)
    finally:
        await zeroconf.async_close()
    return choose(search.found, overlay=overlay, pins=pins, draw=random.choice)


def own_interfaces() -> list[str | int]:
    """Return where this host can ask, the loopback last: a trial on one machine is announced there."""
    hosts: list[str | int] = [host for _, host in interface_addresses()]
    hosts += sorted({socket.if_nametoindex(name) for name, _ in ipv6_interface_addresses()})
    return hosts + ([LOOPBACK] if is_own_address(LOOPBACK) else [])


def interface_of(address: Address | None) -> list[str | int]:
    """Return the one place to ask at where the user chose where to listen, else nothing, which means all."""
    if address is None:
        return []
    try:
        literal = ip_address(address[0])
    except ValueError:
        return []
    if literal.is_unspecified:
        return []
    if literal.is_loopback:
        return [LOOPBACK]  # the kernel carries no IPv6 multicast there
    if isinstance(literal, IPv4Address):
        return [str(literal)]
    return [socket.if_nametoindex(name) for name, own in ipv6_interface_addresses() if own == str(literal)]


def _version(interfaces: Sequence[str | int]) -> IPVersion:
    families = {isinstance(one, int) for one in interfaces}
    return IPVersion.All if len(families) > 1 else IPVersion.V6Only if True in families else IPVersion.V4Only


class _Search:
    """One question to the network, and what came back."""

    def __init__(self, overlay: str, pins: Collection[bytes]) -> None:
        self._overlay, self._pins = overlay, pins
        self.found: set[Announcement] = set()
        self._names: set[str] = set()
        self._tasks = Tasks()
        self._first = asyncio.Event()
        self._enough = asyncio.Event()
        self._flooded = False

    async def run(self, zeroconf: Zeroconf) -> None:
        """Listen until the choice is settled, or GRACE_S after the first fit, or DISCOVERY_TIMEOUT_S."""
        browser = AsyncServiceBrowser(zeroconf, SERVICE_TYPE, handlers=[self._changed])
        try:
            async with asyncio.timeout(DISCOVERY_TIMEOUT_S):
                await self._first.wait()
                async with asyncio.timeout(GRACE_S):
                    await self._enough.wait()
        except TimeoutError:
            pass
        finally:
            await browser.async_cancel()
            await self._tasks.close()
        if self._flooded:
            raise Problem(
                f"more than {MAX_SERVICES} bootstrap servers announce themselves here",
                hint="give the address of the one that is meant: --bootstrap HOST:PORT",
                code="no_bootstrap",
            )

    def _changed(self, *, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        """Hear of a service; the browser calls it on the event loop."""
        if state_change is ServiceStateChange.Removed or service_type != SERVICE_TYPE:
            return
        self._names.add(name)
        if len(self._names) > MAX_SERVICES:
            self._flood()
            return
        self._tasks.spawn(self._resolve(zeroconf, name), name="resolve an announcement")

    async def _resolve(self, zeroconf: Zeroconf, name: str) -> None:
        info = AsyncServiceInfo(SERVICE_TYPE, name)
        try:
            if not await info.async_request(zeroconf, DISCOVERY_TIMEOUT_S * 1000):
                return
        except (Error, OSError):
            return
        addresses = _scoped(info.parsed_scoped_addresses(IPVersion.All))
        for text in _texts(zeroconf, name):
            # somebody's nonsense: there is nothing to say to him, and the user cannot mend it
            with contextlib.suppress(RemoteError, Error):
                self._keep(
                    Announcement.decode(
                        addresses, info.port, AsyncServiceInfo(SERVICE_TYPE, name, properties=text).properties
                    )
                )

    def _keep(self, one: Announcement) -> None:
        keys = {(other.overlay, other.key) for other in self.found}
        same = sum((other.overlay, other.key) == (one.overlay, one.key) for other in self.found)
        if same >= MAX_ADDRESSES_OF_A_KEY:
            return
        if not same and len(keys) >= MAX_SERVICES:
            self._flood()
            return
        self.found.add(one)
        # where a key is known, another one is no answer: the right server may still be about to speak
        if self._overlay in ("", one.overlay) and (not self._pins or one.key in self._pins):
            self._first.set()
        if is_settled(self.found, overlay=self._overlay, pins=self._pins):
            self._enough.set()

    def _flood(self) -> None:
        self._flooded = True
        self._first.set()
        self._enough.set()


def _scoped(hosts: Sequence[str]) -> list[str]:
    """Give a scope to addresses of one link that came by a datagram without one, where this host has just one link."""
    links = {name for name, own in ipv6_interface_addresses() if "%" in own}
    scope = f"%{links.pop()}" if len(links) == 1 else ""
    return [f"{host}{scope}" if is_link_local(host) and "%" not in host else host for host in hosts]


def _texts(zeroconf: Zeroconf, name: str) -> set[bytes]:
    """Return every TXT record heard for a service: where two hosts claim its name, the library shows the last one."""
    records = zeroconf.cache.get_all_by_details(name, _TYPE_TXT, _CLASS_IN)
    texts = (getattr(record, "text", None) for record in records)
    return {text for text in texts if isinstance(text, bytes)}
