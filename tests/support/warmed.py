"""Rings of any size at once: the members are real, their tables are filled by hand instead of by N joins."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from overlay.ring.contacts import node_of
from overlay.ring.neighbourhood import SIDE

if TYPE_CHECKING:
    import random

    from overlay.ring.kademlia_ring import KademliaRing
    from tests.support.members import TestOverlay

NEAREST = 120
"""Contacts nearest by XOR that every member is given: more than its own full buckets reach."""
STRANGERS = 500
"""Contacts drawn at random for the far buckets, which keep 40 each."""


@asynccontextmanager
async def warmed(overlay: TestOverlay, count: int, rng: random.Random, host: str = "10.0.0.1"):
    """`count` members that know each other as after a long time, with no session between any two of them yet."""
    rings: list[KademliaRing] = []
    try:
        for _ in range(count):
            ring = overlay.ring()
            rings.append(ring)
            await ring.open(host)
        fill(rings, rng)
        yield rings
    finally:
        for ring in rings:
            await ring.close()


def fill(rings: list[KademliaRing], rng: random.Random) -> None:
    """Fill routing tables and neighbourhoods."""
    ordered = sorted((ring.me for ring in rings), key=lambda peer: peer.id)
    at = {peer.id: index for index, peer in enumerate(ordered)}
    for ring in rings:
        me, rpc = ring.me, ring._server.rpc
        index = at[me.id]
        # whoever shares a long prefix stands near in order of id
        around = {ordered[(index + step) % len(ordered)] for step in range(-2 * NEAREST, 2 * NEAREST + 1)} - {me}
        known = set(sorted(around, key=lambda peer: peer.id ^ me.id)[:NEAREST])
        known.update(rng.sample(ordered, min(STRANGERS, len(ordered))))
        probe, rpc.router._probe = rpc.router._probe, lambda node: None
        for peer in sorted(known - {me}):
            rpc.router.add_contact(node_of(peer))
        rpc.router._probe = probe
        for step in range(1, SIDE + 1):
            for peer in (ordered[(index + step) % len(ordered)], ordered[index - step]):
                rpc.neighbourhood.meet(peer)
