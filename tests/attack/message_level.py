"""Attacks on the messages of a call, by one enrolled node or by whoever is on the wire, while alice and bob call.

`forged` here: bob announced a call that alice did not make, or alice took an answer that bob did not give to this call.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adapter.sip.limits import DEFAULT_LIMITS
from overlay.ring.chord import RingUnreachable
from overlay.trust.identity import PrivateBundle
from overlay.wire import codec, jose
from overlay.wire.envelope import seal_invite
from overlay.wire.messages import Invite, Party
from tests.attack.holder_level import HOST, ONE_WAY_S, town
from tests.attack.rows import Cell, Tally, Verdict
from tests.support.members import TestOverlay
from tests.support.network import Network

if TYPE_CHECKING:
    from overlay.ring.ids import Peer
    from overlay.ring.kademlia_ring import KademliaRing
    from tests.attack.registered import Registered
    from tests.attack.sides import Side

PAUSE_S = 1.0
FORGETFUL_S = 95.0
"""After that the replay cache has forgotten an id."""
LONG_SHARE = 0.1
"""Share of calls after which it is waited for that."""
FLOOD = 100
"""Messages thrown at the callee during a call."""
MEDDLES = 0.1
"""Share of all datagrams that the man in the middle changes, and of those that he sends twice."""


def run(cell: Cell) -> dict[str, Any]:
    """Play one cell."""
    rng = random.Random(cell.name)
    network = Network(seed=rng.getrandbits(32), delay_s=(ONE_WAY_S, ONE_WAY_S))
    return network.run(_play(cell, network, rng))


async def _play(cell: Cell, network: Network, rng: random.Random) -> dict[str, Any]:
    tally = Tally()
    async with town(cell, network, rng, calls_per_node=DEFAULT_LIMITS.calls_per_node) as place:
        scene = Scene(place, network, rng, *place.sides)
        for side in place.sides:
            side.ring.deliver = scene.overhear(side, side.ring.deliver)
        if cell.attack == "man in the middle":
            meddle(network, rng)
        for _ in range(cell.calls):
            place.publish()
            before = scene.announced()
            attack = asyncio.ensure_future(ATTACKS[cell.attack](scene))
            verdict, took_ms = await scene.call()
            await attack
            # what was set in motion must have come to something before it is counted
            await asyncio.sleep(PAUSE_S)  # virtual
            if scene.announced() - before > 1 or scene.stolen:
                verdict, scene.stolen = Verdict.FORGED, False
            tally.add(verdict, took_ms)
        scene.check()
    return tally.row(cell)


@dataclass
class Scene:
    """Alice, bob, and an evil node among the holders that has every line which either of them ever sent."""

    place: Registered
    network: Network
    rng: random.Random
    alice: Side
    bob: Side
    lines: list[tuple[str, bytes]] = field(default_factory=list)
    tokens: set[bytes] = field(default_factory=set)
    """Those of the calls so far."""
    tried: int = 0
    """Hostile messages sent."""
    stolen: bool = False
    """Whether somebody believed the attacker."""

    def overhear(self, side: Side, deliver: Any) -> Any:
        async def told(peer: Peer, line: bytes) -> bool:
            self.lines.append((side.aor, line))
            return await deliver(peer, line)

        return told

    @property
    def eve(self) -> KademliaRing:
        """A node that holds a piece of both."""
        return next(ring for ring in self.place.rings if ring not in (self.alice.ring, self.bob.ring))

    def announced(self) -> int:
        return self.bob.exchange._answering.counters["redirected"]

    async def call(self) -> Any:
        began = self.network.clock()
        verdict, outcome = await self.alice.call(self.bob, newest=self.place.newest)
        # bob has given one token for each call: an older one is another call's answer
        self.stolen = self.stolen or (outcome.status == 302 and outcome.token in self.tokens)
        self.tokens.add(outcome.token)
        return verdict, 1000 * (self.network.clock() - began)

    def said(self, aor: str, method: str) -> list[bytes]:
        return [line for name, line in self.lines if name == aor and line.split(b" ")[1] == method.encode()]

    async def send(self, to: Side, line: bytes, *, ring: KademliaRing | None = None) -> bool:
        self.tried += 1
        return await (ring or self.eve).deliver(to.ring.me, line)

    def check(self) -> None:
        assert self.tried, "the attacker did nothing"


async def replay(scene: Scene) -> None:
    """Bring every INVITE again, at once and after the callee has forgotten its id."""
    await asyncio.sleep(0.5)
    await again(scene)
    if scene.rng.random() < LONG_SHARE:
        await asyncio.sleep(FORGETFUL_S)
        await again(scene)


async def again(scene: Scene) -> None:
    for line in scene.said(scene.alice.aor, "INVITE")[-3:]:
        await scene.send(scene.bob, line)


async def steal(scene: Scene) -> None:
    """Answer alice with what bob answered to earlier calls, before he can."""
    for _ in range(5):
        for line in scene.said(scene.bob.aor, "REDIRECT")[-3:]:
            await scene.send(scene.alice, line)
        await asyncio.sleep(ONE_WAY_S)
    scene.tried += 1


async def encrypt_again(scene: Scene) -> None:
    """Be called by alice, and hand her INVITE on to bob, as if she had called him."""
    eve, alice, bob = EVE, scene.alice.keys, scene.bob.keys
    now = int(scene.network.clock())
    # the second names bob inside, with eve's key: what a caller who was lied to would sign
    for called in ("eve", scene.bob.aor):
        invite = Invite(
            issuer=Party(aor=scene.alice.aor, generation=1, thumbprint=alice.public.thumbprint()),
            audience=Party(aor=called, generation=1, thumbprint=EVE_THUMBPRINT),
            id=scene.rng.randbytes(16),
            issued_at=now,
            expires_at=now + 30,
        )
        line = seal_invite(invite, alice, eve.public).line
        compact = jose.decrypt(codec.decode_line(line).token, eve)
        again = codec.encode_line("INVITE", jose.encrypt(compact, bob.public))
        await scene.send(scene.bob, again)


async def impersonate(scene: Scene) -> None:
    """Call bob in alice's name, signed by another key."""
    now = int(scene.network.clock())
    for named in (scene.alice.keys.public.thumbprint(), EVE_THUMBPRINT):
        invite = Invite(
            issuer=Party(aor=scene.alice.aor, generation=1, thumbprint=named),
            audience=Party(aor=scene.bob.aor, generation=1, thumbprint=scene.bob.keys.public.thumbprint()),
            id=scene.rng.randbytes(16),
            issued_at=now,
            expires_at=now + 30,
        )
        compact = jose.sign("INVITE", invite.encode(), EVE)
        line = codec.encode_line("INVITE", jose.encrypt(compact.encode(), scene.bob.keys.public))
        await scene.send(scene.bob, line)


async def sit_between(scene: Scene) -> None:
    """Nothing more: the wire does it, see `meddle`."""
    scene.tried += 1


async def pose_as_bootstrap(scene: Scene) -> None:
    """Certify a node with another overlay key of the same name, and let it join, store and speak."""
    rogue = TestOverlay(clock=scene.network.clock, seed=scene.rng.getrandbits(32))
    ring = rogue.ring()
    await ring.open(HOST)
    try:
        await ring.join([scene.bob.ring.me])
    except RingUnreachable:
        scene.tried += 1
    else:
        scene.stolen = True
    victim = scene.place.victims[scene.bob.aor]
    pieces = rogue.pieces(victim.impostor, scene.bob.aor, k=scene.place.k, n=scene.place.n)
    listed = rogue.share_list(victim.impostor, scene.bob.aor, k=scene.place.k, n=scene.place.n)
    for holder in (scene.eve, scene.alice.ring):
        if await ring.store_at(holder.me, pieces[0], victim.false_record, share_list=listed):
            scene.stolen = True
    for line in scene.said(scene.alice.aor, "INVITE")[-1:]:
        if await scene.send(scene.bob, line, ring=ring):
            scene.stolen = True
    await ring.close()


async def flood(scene: Scene) -> None:
    """Throw INVITEs at bob that he can open and not verify."""
    now = int(scene.network.clock())
    lines = []
    for _ in range(FLOOD):
        invite = Invite(
            issuer=Party(aor="nobody", generation=1, thumbprint=EVE_THUMBPRINT),
            audience=Party(aor=scene.bob.aor, generation=1, thumbprint=scene.bob.keys.public.thumbprint()),
            id=scene.rng.randbytes(16),
            issued_at=now,
            expires_at=now + 30,
        )
        lines.append(seal_invite(invite, EVE, scene.bob.keys.public).line)
    await asyncio.gather(*(scene.send(scene.bob, line) for line in lines))


ATTACKS = {
    "replayed INVITE": replay,
    "stolen REDIRECT": steal,
    "INVITE encrypted again": encrypt_again,
    "INVITE in another's name": impersonate,
    "man in the middle": sit_between,
    "rogue bootstrap": pose_as_bootstrap,
    "flood": flood,
}
EVE = PrivateBundle.from_bytes(b"\x31" * 64)
EVE_THUMBPRINT = EVE.public.thumbprint()


def meddle(network: Network, rng: random.Random) -> None:
    """Let somebody change some datagrams of everybody's, and send some twice."""
    carry = network.carry

    def carried(data: bytes, source: Any, target: Any, loop: Any) -> None:
        dice = rng.random()
        if dice < MEDDLES:
            at = rng.randrange(len(data))
            data = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        elif dice < 2 * MEDDLES:
            carry(data, source, target, loop)
        carry(data, source, target, loop)

    network.carry = carried
