"""An enrolled node asks without end: it gets its share and no more, and costs nobody else a look-up (t72)."""

from __future__ import annotations

import asyncio
import random

import msgpack
import pytest

from overlay.ring.ids import RingId, id_to_bytes
from overlay.ring.links import REQUEST_BURST, REQUESTS_PER_SECOND
from overlay.ring.sessions import OVER_THE_RATE
from overlay.trust.identity import PrivateBundle
from tests.support.hostile import hostile_member
from tests.support.members import TestOverlay
from tests.support.network import Network
from tests.support.warmed import warmed

HOST = "10.0.0.1"
FLOOD_PER_TURN = 250
TURN_S = 0.01
REFUSED = f"session: {OVER_THE_RATE}"


def world(seed: int, **options) -> tuple[Network, TestOverlay]:
    network = Network(seed=seed, **options)
    return network, TestOverlay(clock=network.clock, seed=seed)


def served(ring) -> int:
    return sum(count for name, count in ring.counters().items() if name.startswith("ring: served "))


class Flooder:
    """25,000 datagrams a second, sealed in a true session."""

    def __init__(self, network, victim, evil, rpc, seed: int):
        self.network, self.victim, self.evil, self.rpc = network, victim, evil, rpc
        self.dice = random.Random(seed)

    def request(self) -> bytes:
        me, other = id_to_bytes(self.evil.id), self.dice.randbytes(20)
        name, arguments = self.dice.choice([("find_node", [me, other]), ("around", [me, other]), ("ping", [me])])
        return b"\x00" + self.dice.randbytes(20) + msgpack.packb([name, arguments])

    def answer(self) -> bytes:
        return b"\x01" + self.dice.randbytes(20) + msgpack.packb([self.dice.randbytes(20)] * 50)

    def nonsense(self) -> bytes:
        return self.dice.randbytes(200)

    async def run(self, make, seconds: float) -> int:
        ping = self.rpc.request(self.victim.address, self.victim.me.id, "ping", id_to_bytes(self.evil.id))
        assert (await ping)[0]
        end, sent = self.network.clock() + seconds, 0
        while self.network.clock() < end:
            for _ in range(FLOOD_PER_TURN):
                self.rpc.sessions.send(self.victim.address, self.victim.me.id, make(), self.network.clock())
                sent += 1
            self.rpc._pump()
            await asyncio.sleep(TURN_S)
        return sent


@pytest.mark.parametrize("kind", ["request", "answer", "nonsense"])
def test_a_flooding_member_gets_its_share_and_others_their_look_ups(kind):
    network, overlay = world(1)
    seconds = 2.0

    async def program():
        async with overlay.running(8, host=HOST) as rings:
            victim, others = rings[0], rings[1:]
            evil, rpc = await hostile_member(overlay, HOST, leave=lambda *_: True)
            flooder = Flooder(network, victim, evil, rpc, seed=2)
            before, begun = served(victim), network.clock()
            flood = asyncio.ensure_future(flooder.run(getattr(flooder, kind), seconds))
            ids = sorted(ring.me.id for ring in rings)
            asked, wrong = 0, 0
            while not flood.done():
                for ring in others:
                    place = RingId(network.rng.getrandbits(160))
                    right = min((one for one in ids if one >= place), default=ids[0])
                    found = await ring.find_successor(place)
                    asked += 1
                    wrong += found.id not in {right, evil.id}
            sent, took = flood.result(), network.clock() - begun
            share = REQUEST_BURST + REQUESTS_PER_SECOND * took
            assert sent > 4 * share
            assert served(victim) - before <= share + asked * 20
            assert victim.counters()[REFUSED] >= sent - share - 1
            assert (wrong, asked > 20) == (0, True)
            assert sum(ring.counters().get(REFUSED, 0) for ring in others) == 0
            assert all(victim.me in ring.peers() for ring in others)
            await rpc.close()

    network.run(program())


def test_who_stops_flooding_is_heard_again_and_a_clock_put_back_locks_nobody_out():
    network, overlay = world(3)
    offset = [0.0]
    overlay.clock = lambda: network.clock() + offset[0]

    async def program():
        async with overlay.running(2, host=HOST) as rings:
            victim = rings[0]
            evil, rpc = await hostile_member(overlay, HOST)
            flooder = Flooder(network, victim, evil, rpc, seed=4)

            async def answers() -> bool:
                asked = rpc.request(victim.address, victim.me.id, "ping", id_to_bytes(evil.id))
                return (await asked)[0]

            await flooder.run(flooder.request, 1.0)
            refused = victim.counters()[REFUSED]
            offset[0] = -3600.0
            await asyncio.sleep(2)
            assert await answers()
            assert victim.counters()[REFUSED] - refused < 10
            await rpc.close()

    network.run(program())


def test_who_leaves_with_many_records_never_meets_the_bound():
    """The busiest honest moment: 250 users, every piece of them, handed to one heir over a fast network."""
    network, overlay = world(5, delay_s=(0.0002, 0.0004))

    async def program():
        async with overlay.running(2, host=HOST) as rings:
            leaving, heir = rings
            users = 250
            for number in range(users):
                user, aor = PrivateBundle.generate(), f"user{number}"
                share_list, record = overlay.share_list(user, aor), overlay.record(user, aor)
                for piece in overlay.pieces(user, aor):
                    assert await leaving.store_at(leaving.me, piece, record, share_list=share_list)
            before = served(heir)
            await leaving.leave()
            assert len(heir.held()) == 7 * users
            assert served(heir) - before >= 8 * users
            assert REFUSED not in heir.counters()

    network.run(program())


def test_who_crawls_the_ring_never_meets_the_bound():
    """As many look-ups as a ring of a thousand has nodes, one after the other, by one node; the far smaller ring is
    the harder case, since each of its nodes is asked more often."""
    network, overlay = world(6, delay_s=(0.0002, 0.0004))

    async def program():
        async with warmed(overlay, 64, random.Random(6), host=HOST) as rings:
            ids = sorted(ring.me.id for ring in rings)
            for _ in range(1000):
                place = RingId(network.rng.getrandbits(160))
                found = await rings[0].find_successor(place)
                assert found.id == min((one for one in ids if one >= place), default=ids[0])
            assert sum(map(served, rings)) > 1000
            assert max(map(served, rings)) < REQUEST_BURST / 8
            assert not any(REFUSED in ring.counters() for ring in rings)

    network.run(program())
