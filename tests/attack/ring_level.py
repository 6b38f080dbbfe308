"""A ring of 200 nodes of which some are evil: look-ups cross them, and pieces lie with them, as chance will have it.

Users live at honest nodes. A ring serves some calls, then another one is made, with other evil nodes.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from overlay.ring.holding import Holding
from overlay.ring.ids import Peer, clockwise, piece_position
from overlay.trust.share_list import ShareList
from tests.attack.holder_level import FRESH_CALLS, ONE_WAY_S, PAUSE_S
from tests.attack.lies import Gang
from tests.attack.registered import Registered, places_of
from tests.attack.rows import Cell, Tally
from tests.support import evil
from tests.support.evil import LyingStore
from tests.support.evil_ring import Cabal, EvilRing
from tests.support.members import OVERLAY, TestOverlay
from tests.support.network import Network
from tests.support.warmed import fill

if TYPE_CHECKING:
    from collections.abc import Callable

    from overlay.ring.kademlia_ring import KademliaRing
    from overlay.ring.sessions import RingIdentity

HOST = "10.0.0.1"
USERS = 24
RING_CALLS = 40
"""Calls before another ring is made."""
WIDE = 4
"""Rings of so many times n nodes keep a second copy of each piece."""
OVERWRITE = "overwrite by an outsider"
DEAD = "dead nodes"
SYBILS = "Sybils at a victim's places"
ATTACKS = ("drop", "lie", "wrong successor", "fake neighbours", "mix")
VICTIM = "user0"
ENROLMENTS = 2_000


def run(cell: Cell) -> dict[str, Any]:
    """Play one cell."""
    rng = random.Random(cell.name)
    tally = Tally()
    for begin in range(0, cell.calls, RING_CALLS):
        network = Network(seed=rng.getrandbits(32), delay_s=(ONE_WAY_S, ONE_WAY_S))
        network.run(_play(cell, network, rng, tally, min(RING_CALLS, cell.calls - begin)))
    return tally.row(cell)


async def _play(cell: Cell, network: Network, rng: random.Random, tally: Tally, calls: int) -> None:
    async with _country(cell, network, rng) as country:
        for number in range(calls):
            if number % FRESH_CALLS == 0:
                country.publish()
            victims = country.sides[:1] if cell.attack == SYBILS else country.sides
            callee = rng.choice(victims)
            caller = rng.choice([side for side in country.sides if side is not callee])
            tally.add(*await country.call(caller, callee))
            await asyncio.sleep(PAUSE_S)  # virtual, and no condition hangs on it


@asynccontextmanager
async def _country(cell: Cell, network: Network, rng: random.Random):
    """The nodes, some of them evil, and users at others."""
    rings: list[EvilRing] = []
    overlay = TestOverlay(clock=network.clock, seed=rng.getrandbits(32))
    country = Registered(overlay=overlay, network=network, rng=rng, k=cell.k, n=cell.n)
    try:
        sybils = cell.liars if cell.attack == SYBILS else 0
        rings.extend([await _open(overlay, country, overlay.identity()) for _ in range(cell.of - sybils)])
        bad = set(map(id, [] if sybils else rng.sample(rings, cell.liars)))
        for identity in _enrol(overlay, [ring.me for ring in rings], cell, sybils):
            rings.append(await _open(overlay, country, identity))
            bad.add(id(rings[-1]))
        fill(rings, rng)
        honest = [ring for ring in rings if id(ring) not in bad]
        everybody = [ring.me for ring in rings]
        copies = cell.of >= WIDE * cell.n
        for number, ring in enumerate(rng.sample(honest, min(USERS, len(honest)))):
            aor = f"user{number}"
            places = places_of(aor, everybody, n=cell.n, copies=copies)
            country.register(aor, ring, places, _directory(country, ring, cell.variant))
        evil_rings = [ring for ring in rings if id(ring) in bad]
        if cell.attack == OVERWRITE:
            country.publish()
            await _overwrite(country, evil_rings[0])
        elif cell.attack == DEAD:
            for ring in evil_rings:
                await ring.close()
        elif evil_rings:
            _corrupt(country, cell.attack, evil_rings)
        yield country
    finally:
        await country.stop()
        for ring in rings:
            await ring.close()


def _enrol(overlay: TestOverlay, honest: list[Peer], cell: Cell, wanted: int) -> list[RingIdentity]:
    """Enrol node after node, as an open overlay lets anybody, and run those whose ids suit one victim best.

    First one right before each honest owner, which takes the piece, then a second one, which takes its copy.
    """
    if not wanted:
        return []
    enrolled = [overlay.identity() for _ in range(ENROLMENTS)]
    gaps: list[list[RingIdentity]] = []
    for index in range(1, cell.n + 1):
        start = piece_position(VICTIM, index, cell.n)
        gap = min(clockwise(start, peer.id) for peer in honest)
        gaps.append([one for one in enrolled if clockwise(start, one.id) < gap])
    best = [gap[turn] for turn in range(2) for gap in gaps if len(gap) > turn]
    # a gap too narrow to be hit stays honest, and the node goes elsewhere
    return [*best, *(one for one in enrolled if one not in best)][:wanted]


async def _open(overlay: TestOverlay, country: Registered, identity: RingIdentity) -> EvilRing:
    store = LyingStore()
    ring = EvilRing(
        identity,
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


async def _overwrite(country: Registered, outsider: EvilRing) -> None:
    """Offer every holder of every user false pieces, records and share lists, from one node of the ring."""
    overlay, eve = country.overlay, outsider
    for aor, places in country.places.items():
        victim = country.victims[aor]
        false = [
            replace(piece, signature=victim.pieces[0].signature)
            for piece in overlay.pieces(victim.impostor, aor, k=country.k, n=country.n)
        ]
        listed = ShareList.issue(victim.impostor, overlay=OVERLAY, pieces=false)
        for index, peers in places.items():
            for peer in peers:
                for share_list in (None, listed):
                    taken = await eve.store_at(peer, false[index - 1], victim.false_record, share_list=share_list)
                    assert not taken, aor


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
        SYBILS: (None, claim),
    }
    for ring in rings:
        kind = country.rng.choice(sorted(set(manners) - {SYBILS})) if attack == "mix" else attack
        manner, lie = manners[kind]
        ring.turn(manner)
        country.stores[ring.me.id].lie_to_readers = lie
