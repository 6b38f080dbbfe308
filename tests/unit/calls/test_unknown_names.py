"""A name that nobody has, in a ring too large to ask everybody: little is asked for it, and no more by doubting."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from adapter.directory import Directory
from adapter.findings import LookupFailed, NameUnknown
from overlay.ring.chord import RingUnreachable
from overlay.ring.ids import clockwise, piece_position
from tests.support.members import OVERLAY, TestOverlay
from tests.support.network import Network
from tests.support.warmed import fill

HOST = "10.0.0.1"
NODES, K, N = 48, 3, 7
QUESTIONS_A_PLACE = 12
"""Those of an interval, of hearsay, and to the owner and the three beside him."""


@asynccontextmanager
async def ring(network: Network):
    overlay, rng = TestOverlay(clock=network.clock, seed=1), random.Random(1)
    rings = [overlay.ring() for _ in range(NODES)]
    for one in rings:
        await one.open(HOST)
    fill(rings, rng)
    directory = Directory(
        rings[0],
        dealing_public=overlay.dealing.public,
        k=K,
        n=N,
        overlay=OVERLAY,
        overlay_public=overlay.private.public.ed25519,
        clock=overlay.clock,
        rng=rng,
    )
    try:
        yield rings, directory
    finally:
        for one in rings:
            await one.close()


def asked(rings) -> Counter[str]:
    counters = rings[0].counters()
    return Counter({name: counters.get(f"ring: asked {name}", 0) for name in ("fetch", "around", "find_node")})


def test_a_name_that_nobody_has_costs_no_walk():
    network = Network(seed=1)

    async def program():
        async with ring(network) as (rings, directory):
            before, began = asked(rings), network.clock()
            with pytest.raises(NameUnknown):
                await directory.find("nobody")
            return asked(rings) - before, network.clock() - began

    questions, took_s = network.run(program())
    assert questions["find_node"] == 0
    assert questions.total() <= N * QUESTIONS_A_PLACE
    assert took_s < 0.1


def test_where_an_owner_is_silent_the_places_are_walked_before_the_name_is_unknown():
    network = Network(seed=1)

    async def program():
        async with ring(network) as (rings, directory):
            at = piece_position("nobody", 1, N)
            owner = min((one.me for one in rings[1:]), key=lambda peer: clockwise(at, peer.id))
            network.cut = lambda source, target: owner.address in {source, target}
            before = asked(rings)
            with pytest.raises((LookupFailed, RingUnreachable)):
                await directory.find("nobody")
            return asked(rings) - before

    assert network.run(program())["find_node"] > 0
