"""A running node goes on with a renewed credential: in old sessions and in new ones, after the first has expired."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from overlay.ring.sessions import RingIdentity
from overlay.trust.credentials import NodeCredential
from overlay.trust.identity import SigningKey
from tests.support.members import OVERLAY, TestOverlay
from tests.support.network import Network

HOST = "10.0.0.1"
MEMBERS = 2
FIRST_LIFE_S = 600


def identity(overlay: TestOverlay, key: SigningKey, life_s: int) -> RingIdentity:
    """Return what the bootstrap server gives a node key: a credential that lives so long from now."""
    credential = NodeCredential.issue(
        overlay.private,
        overlay=OVERLAY,
        node_public=key.public,
        salt=hashlib.sha256(key.public).digest(),
        expires_at=int(overlay.clock()) + life_s,
    )
    return RingIdentity(
        node_key=key, credential=credential, overlay=OVERLAY, overlay_public=overlay.private.public.ed25519
    )


@pytest.mark.parametrize("renewed", [False, True])
def test_a_credential_renewed_in_time_keeps_the_node_on_the_ring(renewed):
    network = Network(seed=3)
    overlay = TestOverlay(clock=network.clock, seed=3)

    async def program() -> None:
        key = SigningKey.from_bytes(overlay.random_bytes(32))
        async with overlay.running(MEMBERS, host=HOST) as rings:
            node = overlay.ring(identity(overlay, key, FIRST_LIFE_S))
            await node.open(HOST)
            await node.join([rings[0].me])
            await asyncio.sleep(FIRST_LIFE_S / 2)
            if renewed:
                node.renew(identity(overlay, key, 86_400))
            await asyncio.sleep(FIRST_LIFE_S)
            newcomer = overlay.ring()
            await newcomer.open(HOST)
            await newcomer.join([rings[0].me])
            await asyncio.sleep(60)
            # without a renewal the ring loses it, which shows that the first credential is really over
            knowing = [node.me in ring.peers() for ring in [*rings, newcomer]]
            assert knowing == [renewed] * (MEMBERS + 1)
            assert len(node.peers()) == (MEMBERS + 1 if renewed else 0)
            for ring in (newcomer, node):
                await ring.close()

    network.run(program())
