"""Members of the ring that answer what they like, with a true credential and true sessions: nobody else gets so far."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from overlay.ring.datagrams import HardRpc
from overlay.ring.ids import Peer, id_to_bytes
from overlay.ring.sessions import Sessions

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.members import TestOverlay


async def hostile_member(
    overlay: TestOverlay, host: str = "127.0.0.1", **handlers: Callable[..., Any]
) -> tuple[Peer, HardRpc]:
    """Open a member that answers ping honestly, and everything else as it is told to, or not at all."""
    identity = overlay.identity()
    answers: dict[str, Callable[..., Any]] = {"ping": lambda sender, nodeid: id_to_bytes(identity.id), **handlers}

    def protocol() -> HardRpc:
        sessions = Sessions(identity, random_bytes=overlay.random_bytes)
        return HardRpc(sessions=sessions, clock=overlay.clock, random_bytes=overlay.random_bytes, handlers=answers)

    loop = asyncio.get_running_loop()
    transport, rpc = await loop.create_datagram_endpoint(protocol, local_addr=(host, 0))
    address = transport.get_extra_info("sockname")[:2]
    rpc.sessions.own_address = address
    return Peer(id=identity.id, host=address[0], port=address[1]), rpc
