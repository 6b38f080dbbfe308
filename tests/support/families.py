"""Members of one ring, of the other, and of both, in memory: 10.0.0.1 stands for IPv4, fd00::1 for IPv6."""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from adapter.directory import Directory
from adapter.two_directories import TwoDirectories
from overlay.ring.store_of_ring import StoreOfRing
from overlay.ring.two_rings import TwoRings
from tests.support.evil import LyingStore
from tests.support.members import OVERLAY

if TYPE_CHECKING:
    from adapter.pins import Pin
    from overlay.ring.handshake import RingIdentity
    from overlay.ring.kademlia_ring import KademliaRing
    from tests.support.members import TestOverlay
    from tests.support.network import Network

FOUR, SIX = "10.0.0.1", "fd00::1"
BOTH = (FOUR, SIX)


async def member(
    overlay: TestOverlay,
    hosts: tuple[str, ...],
    *,
    identity: RingIdentity | None = None,
    store: LyingStore | None = None,
) -> KademliaRing | TwoRings:
    """Open one node at each of the hosts, one that has been there before perhaps."""
    identity, store = identity or overlay.identity(), store or LyingStore()
    stores = [store] if len(hosts) == 1 else [StoreOfRing(store, host) for host in hosts]
    rings = [overlay.ring(identity, store=kept) for kept in stores]
    for ring, host in zip(rings, hosts, strict=True):
        await ring.open(host)
    return rings[0] if len(rings) == 1 else TwoRings(*rings)


@asynccontextmanager
async def mixed(overlay: TestOverlay, *, both: int, four: int = 0, six: int = 0):
    """Members that joined one after the other through the first, which has both families; those of both come first."""
    nodes = []
    try:
        for hosts in (*[BOTH] * both, *[(FOUR,)] * four, *[(SIX,)] * six):
            nodes.append(await member(overlay, hosts))
            await nodes[-1].join([view.me for view in nodes[0].views] if len(nodes) > 1 else [])
        yield nodes
    finally:
        await asyncio.gather(*(node.close() for node in nodes))


def directory(
    overlay: TestOverlay,
    node: KademliaRing | TwoRings,
    seed: int = 1,
    *,
    pin: Pin | None = None,
    later_s: float = 0.0,
) -> Directory | TwoDirectories:
    """Return how a member looks users up, who has one pin perhaps, by a clock that is ahead perhaps."""
    each = [
        Directory(
            ring,
            dealing_public=overlay.dealing.public,
            k=3,
            n=7,
            overlay=OVERLAY,
            overlay_public=overlay.private.public.ed25519,
            clock=lambda: overlay.clock() + later_s,
            pin_of=lambda _aor: pin,
            rng=random.Random(seed),
        )
        for ring in node.views
    ]
    return each[0] if len(each) == 1 else TwoDirectories(*each)


def cut_off(network: Network, node: TwoRings, host: str) -> None:
    """Lose every datagram from and to one of a member's two addresses."""
    (address,) = (view.me.address for view in node.views if view.me.host == host)
    network.cut = lambda source, target: address in {source, target}
