"""An adapter on another host, reached as any phone reaches it: SIP alone, with a password.  I/O: sockets.

Its control socket is out of reach, so that nothing is known here of what it proved: who is called this way is as good
as that adapter's word. [RFC 3261 §22]
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Final, Self

from adapter.config import format_address
from adapter.passphrase import find_password
from adapter.problems import Problem
from overlay.ring.addresses import address_towards

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from adapter.config import Address

RESOLVE_S: Final = 5.0


class ViaAdapter:
    """A Link with nothing but a SIP address."""

    def __init__(self, sip: Address, host: str, user: str) -> None:
        self.sip = sip
        self.host = host
        self.users: tuple[str, ...] = (user,)

    @classmethod
    async def reach(cls, address: Address, user: str) -> Self:
        """Find the way to `address`, whose host may be a name; who answers is seen later. Raises Problem."""
        host, port = address
        try:
            async with asyncio.timeout(RESOLVE_S):
                found = await asyncio.get_running_loop().getaddrinfo(
                    host, port, family=socket.AF_INET, type=socket.SOCK_DGRAM
                )
        except (OSError, TimeoutError):
            text = f"{host} is no IPv4 address, and no name of one"
            raise Problem(text, hint="is it spelt as secp2psip status shows it there?", code="unreachable") from None
        literal = str(found[0][4][0])
        own = address_towards(literal)
        if own is None:
            hint = "secp2psip doctor looks at this host's addresses"
            raise Problem(f"there is no way from this host to {literal}", hint=hint, code="unreachable")
        return cls((literal, port), own, user)

    async def ask(self, do: str, **_fields: str) -> dict[str, Any]:
        """Raise: phones are answered there, nobody else."""
        where = format_address(self.sip)
        raise Problem(f"the adapter at {where} cannot {do} now", hint="secp2psip doctor there says why", code="gone")

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Tell nothing, for as long as somebody listens."""
        await asyncio.Event().wait()
        yield {}

    async def close(self) -> None:
        """Nothing was opened."""


async def reach_via(address: Address, user: str, password_file: Path | None) -> tuple[ViaAdapter, str]:
    """Return the way to an adapter on another host, and the password that it wants of `user`. Raises Problem."""
    link = await ViaAdapter.reach(address, user)
    return link, find_password(password_file, of=f"{user} at {format_address(address)}")
