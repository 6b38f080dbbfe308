"""One user's registration with the bootstrap server, and a look whether it did what it says.  I/O: tcp, udp, dht.

[paper §II.B] [docs/architecture.md]: what happens between the REGISTER of a phone and the join.
"""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from adapter.enrolment import Enrolment, EnrolmentFailed, enrol
from adapter.listening import UNUSABLE, cannot_listen
from adapter.upkeep import RECORD_LIFETIME_S
from overlay.ring.addresses import family_of, socket_address
from overlay.ring.ids import id_to_bytes
from overlay.trust.records import LookupRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from adapter.keystore import Keys
    from adapter.servers import Servers
    from adapter.service_config import ServiceConfig
    from adapter.steps import Step
    from overlay.ring.kademlia_ring import KademliaRing
    from overlay.ring.two_rings import TwoRings

FIRST_GENERATION = 1
PENDING_ID = bytes(20)
"""Stands in the first lookup record for a ring id that only the bootstrap server can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a key stands in the line of its name's keys."""

    generation: int = FIRST_GENERATION
    succession: bytes = b""
    """The links that lead to it (`overlay.trust.succession`)."""


async def ask_bootstrap(
    config: ServiceConfig,
    user: str,
    keys: Keys,
    *,
    servers: Servers,
    ring: KademliaRing | TwoRings | None,
    pin: bytes | None,
    step: Step,
    place: Place | None = None,
    word: bytes = b"",
) -> tuple[tuple[str, int], Enrolment]:
    """Register `user` and return the address that the ring node is to have, with what the server gave.

    `servers` are those to ask; `ring` is the node if it runs already.
    `pin` is the thumbprint of the only overlay key to talk to.
    `place` is the generation of the key and what leads to it; `word` the old key's succession, or a tombstone.
    Raises NotRegistered without a server to ask, EnrolmentRefused, EnrolmentFailed, and Problem where the node cannot
    listen.
    """
    place = place or Place()
    with _reserved(config.ring) if ring is None else contextlib.nullcontext(ring.me.address) as here:

        def record() -> LookupRecord:
            now = int(time.time())
            return LookupRecord.issue(
                keys.user,
                aor=user,
                generation=place.generation,
                node_id=PENDING_ID if ring is None else id_to_bytes(ring.me.id),
                host=here[0],
                port=here[1],
                sequence=now,
                issued_at=now,
                expires_at=now + RECORD_LIFETIME_S,
                succession=place.succession,
            )

        async def ask(address: tuple[str, int]) -> Enrolment:
            return await enrol(
                address,
                aor=user,
                user=keys.user,
                node_key=keys.node,
                record=record,
                overlay_pin=pin,
                code=config.code,
                word=word,
                trace=step,
            )

        enrolment = await servers.first(user, ask, pin=pin)
    # a succession that the server's books know nothing of would lead nowhere
    succession = place.succession if enrolment.generation == place.generation else b""
    return here, replace(enrolment, succession=succession)


async def read_back(ring: KademliaRing | TwoRings, user: str, enrolment: Enrolment) -> None:
    """See with our own eyes that a piece lies on the ring; EnrolmentFailed otherwise [docs/architecture.md]."""
    ours = {piece.index: piece.share for piece in enrolment.pieces}
    for peer in enrolment.nodes:
        holding = await ring.fetch_at(peer, user)
        if holding is not None and any(ours.get(piece.index) == piece.share for piece in holding.pieces):
            return
    raise EnrolmentFailed(
        f"no node of the ring that the bootstrap server named has a piece of {user}'s key",
        "can this machine reach the others by UDP?",
    )


@contextlib.contextmanager
def _reserved(address: tuple[str, int]) -> Iterator[tuple[str, int]]:
    """Hold a UDP port while the bootstrap server is told of it; the node binds it right after.

    The first lookup record names an address that the node cannot bind yet: it has no credential before REGISTERED.
    """
    with socket.socket(family_of(address[0]), socket.SOCK_DGRAM) as holder:
        try:
            holder.bind(socket_address(address))
        except OSError as error:
            if error.errno not in UNUSABLE:
                raise
            raise cannot_listen("--ring", address, error) from error
        # without a scope, which no record holds
        yield holder.getsockname()[:2]
