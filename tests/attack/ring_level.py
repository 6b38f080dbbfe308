"""A ring of 200 nodes of which some are evil: look-ups cross them, and pieces lie with them, as chance will have it.

Users live at honest nodes. A ring serves some calls, then another one is made, with other evil nodes.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from overlay.ring.holding import Holding
from overlay.ring.ids import piece_position
from tests.attack.holder_level import FRESH_CALLS, ONE_WAY_S, PAUSE_S
from tests.attack.lies import Gang
from tests.attack.registered import Registered, places_of
from tests.attack.rows import Cell, Tally
from tests.support import evil
from tests.support.evil import LyingStore
from tests.support.evil_ring import Cabal, EvilRing
from tests.support.members import TestOverlay
from tests.support.network import Network
from tests.support.warmed import fill

if TYPE_CHECKING:
    from collections.abc import Callable

    from overlay.ring.kademlia_ring import KademliaRing

HOST = "10.0.0.1"
USERS = 24
RING_CALLS = 40
"""Calls before another ring is made."""
WIDE = 4
"""Rings of so many times n nodes keep a second copy of each piece."""
OVERWRITE = "overwrite by an outsider"
SYBILS = "Sybils at a victim's places"
ATTACKS = ("drop", "lie", "wrong successor", "fake neighbours", "mix", SYBILS)


def run(cell: Cell) -> dict[str, Any]:
    """Play one cell."""
    rng = random.Random(cell.name)
    tally, more = Tally(), {}
    for begin in range(0, cell.calls, RING_CALLS):
        network = Network(seed=rng.getrandbits(32), delay_s=(ONE_WAY_S, ONE_WAY_S))
        more = network.run(_play(cell, network, rng, tally, min(RING_CALLS, cell.calls - begin)))
    return tally.row(cell, **more)


async def _play(cell: Cell, network: Network, rng: random.Random, tally: Tally, calls: int) -> dict[str, Any]:
    async with _country(cell, network, rng) as country:
        for number in range(calls):
            if number % FRESH_CALLS == 0:
                country.publish()
            victims = country.sides[:1] if cell.attack == SYBILS else country.sides
            callee = rng.choice(victims)
            caller = rng.choice([side for side in country.sides if side is not callee])
            tally.add(*await country.call(caller, callee))
            await asyncio.sleep(PAUSE_S)  # virtual, and no condition hangs on it
    return {}


@asynccontextmanager
async def _country(cell: Cell, network: Network, rng: random.Random):
    """The nodes, some of them evil, and users at others."""
    rings: list[EvilRing] = []
    overlay = TestOverlay(clock=network.clock, seed=rng.getrandbits(32))
    country = Registered(overlay=overlay, network=network, rng=rng, k=cell.k, n=cell.n)
    try:
        rings.extend([await _open(overlay, country) for _ in range(cell.of)])
        fill(rings, rng)
        bad = set(map(id, rng.sample(rings, cell.liars)))
        honest = [ring for ring in rings if id(ring) not in bad]
        everybody = [ring.me for ring in rings]
        copies = cell.of >= WIDE * cell.n
        for number, ring in enumerate(rng.sample(honest, min(USERS, len(honest)))):
            aor = f"user{number}"
            places = places_of(aor, everybody, n=cell.n, copies=copies)
            country.register(aor, ring, places, _directory(country, ring, cell.variant))
        _corrupt(country, cell.attack, [ring for ring in rings if id(ring) in bad])
        yield country
    finally:
        await country.stop()
        for ring in rings:
            await ring.close()


async def _open(overlay: TestOverlay, country: Registered) -> EvilRing:
    store = LyingStore()
    ring = EvilRing(
        overlay.identity(),
        store,
        dealing_public=overlay.dealing.public,
        clock=overlay.clock,
        rng=random.Random(overlay.dice.random()),
        random_bytes=overlay.random_bytes,
    )
    await ring.open(HOST)
    country.stores[ring.me.id] = store
    return ring


def _directory(country: Registered, ring: KademliaRing, variant: str) -> Any:
    if variant == "secp2psip":
        return country.directory(ring)

    async def ask(aor: str, index: int) -> Holding | None:
        return await ring.fetch_at(await ring.find_successor(piece_position(aor, index, country.n)), aor)

    return country.paper_directory(ask)


def _corrupt(country: Registered, attack: str, rings: list[EvilRing]) -> None:
    """Let some nodes turn evil."""
    members = {ring.me for ring in rings}
    cabal = Cabal(sorted(members))
    theirs = {
        aor: frozenset(index for index, peers in places.items() if peers[0] in members)
        for aor, places in country.places.items()
    }
    gang = Gang(overlay=country.overlay, victims=country.victims, rng=country.rng, theirs=theirs)

    def claim(aor: str, _truth: Holding) -> Holding:
        """Claim every piece of the name, on the polynomial of the key that all of them want."""
        return gang.lie("chosen key, colluding")(aor, Holding(pieces=country.victims[aor].pieces))

    manners: dict[str, tuple[Callable[..., Any] | None, Callable[[str, Holding], Holding]]] = {
        "drop": (cabal.drop, evil.silent),
        "lie": (None, claim),
        "wrong successor": (cabal.reroute, claim),
        "fake neighbours": (cabal.invent, evil.nothing),
    }
    for ring in rings:
        kind = country.rng.choice(sorted(manners)) if attack == "mix" else attack
        manner, lie = manners[kind]
        ring.turn(manner)
        country.stores[ring.me.id].lie_to_readers = lie
