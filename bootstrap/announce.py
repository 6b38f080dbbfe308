"""Tell the local network that a bootstrap server is here, so that nobody has to type its address.  I/O: multicast DNS.

Only the interface of the address that the server listens on hears of it: another network could not reach it there. A
server on 127.0.0.1 is announced to this host alone. [RFC 6762 §8, §10.1] [docs/adr/0008]
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final, Self

from zeroconf import Error, IPVersion
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from overlay.errors import LocalError
from overlay.ring.addresses import LOOPBACK, family_of, ipv6_interface_addresses, is_loopback, is_own_address
from overlay.ring.ids import spelt
from overlay.wire.announcement import SERVICE_TYPE, Announcement

if TYPE_CHECKING:
    from collections.abc import Callable

    Report = Callable[[dict[str, object]], None]

OPEN_TIMEOUT_S: Final = 5.0
"""Three probes and two announcements take 1 s; a network that contests the name may not hold the server up."""
CLOSE_TIMEOUT_S: Final = 2.0


class Announcer:
    """One announcement, from `open` until it is withdrawn by `close`."""

    def __init__(self, announcement: Announcement) -> None:
        self._announcement = announcement
        self._zeroconf: AsyncZeroconf | None = None
        self._info: AsyncServiceInfo | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Announce; LocalError when this host or this network does not let us."""
        said = self._announcement
        if not is_own_address(said.host):  # the library would leave a socket open over this
            raise LocalError(f"{said.host} is no address of this host")
        info = AsyncServiceInfo(
            SERVICE_TYPE,
            f"{said.label}.{SERVICE_TYPE}",
            port=said.port,
            properties=said.properties(),
            server=f"{said.label}.local.",
            # the record has no room for a scope, and a listener has his own
            parsed_addresses=[said.host.partition("%")[0]],
        )
        try:
            where, version = _heard_by(said.host)
            self._zeroconf = AsyncZeroconf(interfaces=[where], ip_version=version)
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                # another process may have the name already, or pretend to: then ours gets a number behind it
                await (await self._zeroconf.async_register_service(info, allow_name_change=True))
        except (OSError, Error, TimeoutError) as error:
            await self.close()
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
            raise LocalError(f"multicast dns does not work: {reason.lower()}") from None
        except BaseException:
            await self.close()
            raise
        self._info = info

    async def close(self) -> None:
        """Withdraw it: who has heard of us forgets us at once; harmless when repeated."""
        zeroconf, self._zeroconf = self._zeroconf, None
        info, self._info = self._info, None
        if zeroconf is None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                if info is not None:
                    await (await zeroconf.async_unregister_service(info))
        except (OSError, Error, TimeoutError):
            pass  # the network went away before us; the records run out by themselves
        finally:
            await zeroconf.async_close()


async def announce(address: tuple[str, int], *, overlay: str, key: bytes, report: Report) -> Announcer | None:
    """Announce a server that listens at `address`; what cannot be announced is reported as a warning, None returned."""
    host, port = address
    by_hand = f"others need its address: --bootstrap {spelt(address)}"
    announcer = Announcer(Announcement(overlay=overlay, key=key, host=host, port=port))
    try:
        await announcer.open()
    except LocalError as error:
        report({"event": "warning", "text": f"not announced, {error}; {by_hand}"})
        return None
    report({"event": "announced", "overlay": overlay, "host": host, "port": port, "fingerprint": key.hex()})
    return announcer


def _heard_by(host: str) -> tuple[str | int, IPVersion]:
    """Return the interface of those who reach an address of ours: by its IPv4 address, or by its number for IPv6."""
    if family_of(host) == socket.AF_INET:
        return host, IPVersion.V4Only
    if is_loopback(host):
        return LOOPBACK, IPVersion.V4Only  # the kernel carries no IPv6 multicast there
    name = next((name for name, own in ipv6_interface_addresses() if own == host), "")
    return socket.if_nametoindex(name), IPVersion.V6Only
