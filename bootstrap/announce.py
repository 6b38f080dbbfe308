"""Tell the local network that a bootstrap server is here, so that nobody has to type its address.  I/O: multicast DNS.

Only the interface of the address that the server listens on hears of it: another network could not reach it there. A
server on 127.0.0.1 is announced to this host alone. [RFC 6762 §8, §10.1] [docs/adr/0008]
"""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Self

from zeroconf import Error, IPVersion
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from overlay.errors import LocalError
from overlay.ring.addresses import is_own_address
from overlay.wire.announcement import SERVICE_TYPE, Announcement

if TYPE_CHECKING:
    from collections.abc import Callable

    Report = Callable[[dict[str, object]], None]

OPEN_TIMEOUT_S: Final = 5.0
"""Three probes and two announcements take 1 s; a network that contests the name may not hold the server up."""
CLOSE_TIMEOUT_S: Final = 2.0
_IPV4: Final = 4


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
            parsed_addresses=[said.host],
        )
        try:
            self._zeroconf = AsyncZeroconf(interfaces=[said.host], ip_version=IPVersion.V4Only)
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
    by_hand = f"others need its address: --bootstrap {host}:{port}"
    if ip_address(host).version != _IPV4:
        report({"event": "warning", "text": f"an ipv6 address is not announced; {by_hand}"})
        return None
    announcer = Announcer(Announcement(overlay=overlay, key=key, host=host, port=port))
    try:
        await announcer.open()
    except LocalError as error:
        report({"event": "warning", "text": f"not announced, {error}; {by_hand}"})
        return None
    report({"event": "announced", "overlay": overlay, "host": host, "port": port, "fingerprint": key.hex()})
    return announcer
