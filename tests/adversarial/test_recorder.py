"""The recorder: keeps every datagram and every dialogue of a day, and plays each back to whom it was for.

From where it came and from elsewhere, to the very process that took it and to the one after a restart. What may happen
is nothing: no piece, record, release or tombstone changes, no node is met or forgotten, no line comes out of the ring,
no name is looked up, no call is announced, nobody is registered.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from adapter.directory import Directory
from adapter.enrolment import EnrolmentFailed, EnrolmentRefused
from adapter.sip.digest import Digest
from adapter.sip.matching import Flow
from adapter.sip.phone_secret import PhoneSecret
from adapter.upkeep import RECORD_LIFETIME_S, Upkeep
from overlay.ring.storage import RecordStore
from overlay.trust.identity import PrivateBundle
from overlay.trust.tombstone import Tombstone
from overlay.wire.codec import decode_line
from tests.attack.rows import Verdict
from tests.attack.sides import Side
from tests.integration.bootstrap_support import HOST, Registrant, serving
from tests.integration.directory_ring import settle
from tests.support.members import OVERLAY, TestOverlay
from tests.support.network import Network
from tests.unit.sip.servers import invite, make_server
from tests.unit.sip.test_digest import FAR, challenge, credentials, make_digest, signed, status

if TYPE_CHECKING:
    from overlay.ring.ids import Peer

RING_HOST = "10.0.0.1"
ELSEWHERE = ("10.6.6.6", 6666)
K, N = 3, 7
NODES = 6
HOMES = {"alice": 1, "bob": 2, "carol": 3}
CALLERS = ("alice", "bob")
LEAVER = 5
"""After all whom anybody calls at home."""
HOURS, STEP_HOURS = 20, 4
LIVES_S = 3 * 86_400
PACE_S = 0.01
"""Between two datagrams that are played back: slow enough that no limit on floods stops what nothing else does."""
QUIET_S = 20.0
STILL_S, MAX_STEPS = RECORD_LIFETIME_S + 60.0, 8
"""Nothing that a ring does by itself is further apart: holders mend what is lacking when a record has run out."""
CALL_S = 1.0


class Tape(Network):
    """A network with a recorder on every wire."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.hours = 0.0
        self.is_recording = True
        self.datagrams: dict[tuple[bytes, Any, Any], None] = {}

    def clock(self) -> float:
        """Tell the wall clock, which skips the hours in which nothing happens."""
        return super().clock() + 3600 * self.hours

    def carry(self, data: bytes, source: Any, target: Any, loop: Any) -> None:
        if self.is_recording:
            self.datagrams[data, source, target] = None
        super().carry(data, source, target, loop)

    async def play_back(self, *, foreign: bool) -> int:
        """Bring each datagram to its receiver once more; return how many reached anybody."""
        played = 0
        for data, source, target in self.datagrams:
            end = self._ends.get(target)
            if end is not None:
                end.protocol.datagram_received(data, ELSEWHERE if foreign else source)
                played += 1
                await asyncio.sleep(PACE_S)  # virtual
        return played


@dataclass
class Lab:
    """A ring of real nodes with alice and bob at two of them; their processes can be started anew."""

    network: Tape
    overlay: TestOverlay
    folder: Any
    identities: list[Any] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)
    rings: list[Any] = field(default_factory=list)
    stores: list[RecordStore] = field(default_factory=list)
    sides: dict[str, Side] = field(default_factory=dict)
    keys: dict[str, PrivateBundle] = field(default_factory=dict)
    heard: list[bytes] = field(default_factory=list)
    """SECP2PSIP lines that came out of the ring at alice's and bob's."""
    said: list[tuple[Peer, bytes]] = field(default_factory=list)
    """Those that they sent, and to whom: what a member has who was their callee."""

    async def add(self) -> None:
        self.identities.append(self.overlay.identity())
        self.ports.append(0)
        await self.start(len(self.identities) - 1)

    async def start(self, number: int) -> None:
        """Run a node's process, with what its disk holds."""
        store = RecordStore(self.folder / f"{number}.sqlite")
        ring = self.overlay.ring(self.identities[number], store=store)
        await ring.open(RING_HOST, self.ports[number])
        self.ports[number] = ring.me.port
        if number < len(self.rings):
            self.rings[number], self.stores[number] = ring, store
        else:
            self.rings.append(ring)
            self.stores.append(store)
        others = [other.me for other in self.rings if other is not ring]
        await ring.join(others[:3])

    async def restart(self, number: int) -> None:
        """End a process without a word and begin the next one."""
        for side in [side for side in self.sides.values() if side.ring is self.rings[number]]:
            await side.stop()
        await self.rings[number].close()
        self.stores[number].close()
        await self.start(number)
        for aor in CALLERS:
            if HOMES[aor] == number:
                self.side(aor)

    def side(self, aor: str) -> None:
        """Let a user's adapter run at his node."""
        home = HOMES[aor]
        ring = self.rings[home]
        self.keys.setdefault(aor, PrivateBundle.from_bytes(self.overlay.random_bytes(64)))
        directory = Directory(
            ring,
            dealing_public=self.overlay.dealing.public,
            k=K,
            n=N,
            overlay=OVERLAY,
            overlay_public=self.overlay.private.public.ed25519,
            clock=self.network.clock,
            rng=random.Random(1),
        )
        side = Side(
            ring,
            aor,
            self.keys[aor],
            directory,
            port=6000 + home,
            clock=self.network.clock,
            random_bytes=self.overlay.random_bytes,
            calls_per_node=5.0,
        )
        self.sides[aor] = side
        deliver, take = ring.deliver, ring.on_line

        async def told(peer: Peer, line: bytes) -> bool:
            if self.network.is_recording:
                self.said.append((peer, line))
            return await deliver(peer, line)

        def heard(peer: Peer, line: bytes) -> None:
            self.heard.append(line)
            take(peer, line)

        ring.deliver, ring.on_line = told, heard

    def upkeep(self, aor: str) -> Upkeep:
        keys = self.keys[aor]
        return Upkeep(
            self.rings[HOMES[aor]],
            user=keys,
            pieces=self.overlay.pieces(keys, aor, k=K, n=N, seconds=LIVES_S),
            share_list=self.overlay.share_list(keys, aor, k=K, n=N, seconds=LIVES_S + 600),
            clock=self.network.clock,
        )

    async def call(self, caller: str, callee: str) -> float:
        """Let one call the other, and return how long it took."""
        began = asyncio.get_running_loop().time()
        verdict, outcome = await self.sides[caller].call(self.sides[callee])
        assert verdict is Verdict.OK, outcome
        return asyncio.get_running_loop().time() - began

    async def call_in_vain(self, caller: str, callee: str) -> None:
        """Let one call the other, whose phone nobody can reach: that brings an ERROR."""
        side = self.sides[callee]
        phone, side.phone = side.phone, replace(side.phone, is_one_way=True)
        verdict, _ = await self.sides[caller].call(side)
        side.phone = phone
        assert verdict is Verdict.REFUSED

    def state(self) -> dict[str, Any]:
        """Everything that a recording might change."""
        return {
            "stores": [rows_of(store) for store in self.stores],
            "peers": [ring.peers() for ring in self.rings],
            "lines": len(self.heard),
            "answered": {aor: dict(side.exchange._answering.counters) for aor, side in self.sides.items()},
            "looked up": {aor: len(side.directory.found) for aor, side in self.sides.items()},
            "under way": {aor: len(side.exchange._attempts) for aor, side in self.sides.items()},
        }


def rows_of(store: RecordStore) -> list[str]:
    return list(store._db.iterdump())


@asynccontextmanager
async def lab(network: Tape, folder: Any):
    """A ring that a day has gone by in."""
    place = Lab(network, TestOverlay(clock=network.clock, seed=3), folder)
    try:
        await live(place)
        yield place
    finally:
        for side in place.sides.values():
            await side.stop()
        for ring in place.rings:
            await ring.close()
        for store in place.stores:
            store.close()


async def live(place: Lab) -> None:
    """Live through the day: joins, a leave, placements, releases, a revocation, calls every few hours."""
    network = place.network
    for _ in range(NODES):
        await place.add()
    for aor in CALLERS:
        place.side(aor)
    place.keys["carol"] = PrivateBundle.from_bytes(place.overlay.random_bytes(64))
    upkeeps = {aor: place.upkeep(aor) for aor in HOMES}
    for hour in range(0, HOURS, STEP_HOURS):
        if hour == STEP_HOURS:
            await place.add()  # pieces move to it, and their old holders get a release
        if hour == 2 * STEP_HOURS:
            await place.rings[LEAVER].leave()  # hands over
            place.stores[LEAVER].close()
            for kept in (place.rings, place.stores, place.identities, place.ports):
                del kept[LEAVER]
            await asyncio.sleep(QUIET_S)  # virtual: until nobody takes it for alive
        for upkeep in upkeeps.values():
            await settle(upkeep)
        await place.call("alice", "bob")
        await place.call("bob", "alice")
        await place.call_in_vain("alice", "bob")
        if hour == 3 * STEP_HOURS:
            upkeeps.pop("carol").stop()
            await revoke(place, "carol")
        network.hours += STEP_HOURS
    for upkeep in upkeeps.values():
        await settle(upkeep)
    await place.call("alice", "bob")


async def revoke(place: Lab, aor: str) -> None:
    keys = place.keys[aor]
    tombstone = Tombstone.issue(
        keys, overlay=OVERLAY, aor=aor, generation=1, bundle=keys.public, issued_at=int(place.network.clock())
    )
    for peer in await place.rings[2].get(aor):
        assert await place.rings[2].store_at(peer, None, tombstone)


def live_through(tmp_path, program):
    network = Tape(seed=3, delay_s=(0.01, 0.01))

    async def run():
        async with lab(network, tmp_path) as place:
            network.is_recording = False
            await stillness(place)
            await program(place)

    network.run(run())


async def stillness(place: Lab) -> dict[str, Any]:
    """Wait until what the day set in motion has come to rest, so that time alone changes nothing of the state."""
    for _ in range(MAX_STEPS):
        before = place.state()
        await asyncio.sleep(STILL_S)  # virtual
        if place.state() == before:
            return before
    raise AssertionError("the ring does not come to rest")


async def rest(place: Lab) -> dict[str, Any]:
    await asyncio.sleep(QUIET_S)  # virtual
    return place.state()


@pytest.mark.parametrize("foreign", [False, True], ids=["from its true source", "from elsewhere"])
def test_no_datagram_of_a_day_does_anything_again(tmp_path, foreign):
    async def program(place):
        before = place.state()
        played = await place.network.play_back(foreign=foreign)
        assert played > 1000
        assert await rest(place) == before
        place.network.hours += 1
        await place.network.play_back(foreign=foreign)
        assert await rest(place) == before

    live_through(tmp_path, program)


@pytest.mark.parametrize("foreign", [False, True], ids=["from its true source", "from elsewhere"])
def test_no_datagram_of_a_day_does_anything_to_the_process_after_a_restart(tmp_path, foreign):
    async def program(place):
        for number in range(len(place.rings)):
            await place.restart(number)
        before = await stillness(place)
        assert await place.network.play_back(foreign=foreign) > 1000
        assert await rest(place) == before

    live_through(tmp_path, program)


def test_after_it_all_calls_are_as_quick_as_before(tmp_path):
    async def program(place):
        for foreign in (False, True):
            await place.network.play_back(foreign=foreign)
        for aor in CALLERS:
            await settle(place.upkeep(aor))
        for caller, callee in (("alice", "bob"), ("bob", "alice")):
            assert await place.call(caller, callee) < CALL_S

    live_through(tmp_path, program)


@pytest.mark.parametrize("restarted", [False, True], ids=["at once", "after a restart"])
def test_a_member_that_has_every_line_of_a_day_gets_nothing_for_it(tmp_path, restarted):
    """INVITE, REDIRECT and ERROR, each to its receiver and to the other one, by a node that is on the ring."""

    async def program(place):
        if restarted:
            for aor in CALLERS:
                await place.restart(HOMES[aor])
            await stillness(place)
        eve = place.rings[4]
        methods = {decode_line(line).method for _, line in place.said}
        assert methods == {"INVITE", "REDIRECT", "ERROR"}
        before, counted = place.state(), {aor: redirected(place, aor) for aor in place.sides}
        for _, line in place.said:
            for side in place.sides.values():
                await eve.deliver(side.ring.me, line)
            await asyncio.sleep(1)  # virtual: within the rate of a node
        after = await rest(place)
        for same in ("stores", "looked up", "under way"):
            assert after[same] == before[same], same
        assert {aor: redirected(place, aor) for aor in place.sides} == counted
        assert after["lines"] > before["lines"]  # they did arrive

    live_through(tmp_path, program)


def redirected(place: Lab, aor: str) -> int:
    return place.sides[aor].exchange._answering.counters["redirected"]


# ---- the dialogue with the bootstrap server


@dataclass
class Relay:
    """Between a registrant and the server; keeps both sides of the dialogue."""

    to_server: bytes = b""
    to_client: bytes = b""


@asynccontextmanager
async def relay(address):
    tape = Relay()

    async def pump(reader, writer, name):
        while data := await reader.read(65_536):
            setattr(tape, name, getattr(tape, name) + data)
            writer.write(data)
            await writer.drain()
        writer.close()

    async def talk(reader, writer):
        there, back = await asyncio.open_connection(*address)
        await asyncio.gather(pump(reader, back, "to_server"), pump(there, writer, "to_client"))

    server = await asyncio.start_server(talk, HOST, 0)
    try:
        yield server.sockets[0].getsockname(), tape
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def parrot(tape):
    """A server that says what the true one said: its CHALLENGE, and after any REGISTER the answer to another one."""
    first, _, rest_of_it = tape.to_client.partition(b"\n")

    async def talk(reader, writer):
        writer.write(first + b"\n")
        await reader.readline()
        writer.write(rest_of_it)
        writer.close()

    server = await asyncio.start_server(talk, HOST, 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        server.close()
        await server.wait_closed()


def books(folder) -> list[str]:
    with sqlite3.connect(f"file:{folder / 'accounts.sqlite'}?mode=ro", uri=True) as db:
        return list(db.iterdump())


async def answer_to(address, line: bytes) -> str:
    reader, writer = await asyncio.open_connection(*address)
    await reader.readline()
    writer.write(line)
    answer = await reader.readline()
    writer.close()
    return decode_line(answer).method


async def test_a_recorded_registration_registers_nobody(tmp_path):
    alice = Registrant(aor="alice")
    async with serving(tmp_path) as watched:
        async with relay(watched.server.address) as (address, tape):
            await alice.enrol(address)
        kept = books(tmp_path)
        for _ in range(3):
            assert await answer_to(watched.server.address, tape.to_server) == "ERROR"
        assert books(tmp_path) == kept
        assert len(watched.of("registered")) == 1
    async with serving(tmp_path) as watched:
        kept = books(tmp_path)
        assert await answer_to(watched.server.address, tape.to_server) == "ERROR"
        assert books(tmp_path) == kept
        assert watched.of("registered") == []


async def test_a_recorded_answer_is_none_to_a_later_registration(tmp_path):
    """Whoever sits at the server's address with the dialogue of last week cannot renew anybody with it."""
    alice = Registrant(aor="alice")
    async with serving(tmp_path) as watched, relay(watched.server.address) as (address, tape):
        await alice.enrol(address)
    async with parrot(tape) as address:
        with pytest.raises(EnrolmentFailed, match="another request"):
            await alice.enrol(address)


async def test_a_recorded_refusal_is_none_to_a_later_registration(tmp_path):
    """That a name was taken once does not say that it is taken now."""
    alice, other = Registrant(aor="alice"), Registrant(aor="alice")
    async with serving(tmp_path) as watched:
        await other.enrol(watched.server.address)
        async with relay(watched.server.address) as (address, tape):
            with pytest.raises(EnrolmentRefused):
                await alice.enrol(address)
    async with parrot(tape) as address:
        with pytest.raises(EnrolmentFailed, match="refusal of something else"):
            await alice.enrol(address)


# ---- phones on other hosts; those of this one are trusted with all that this host's programs are


LATER_S = 60.0
"""By then the transaction that absorbs retransmissions is over."""


@pytest.mark.parametrize("restarted", [False, True], ids=["at once", "after a restart"])
@pytest.mark.parametrize("foreign", [False, True], ids=["from its true source", "from elsewhere"])
def test_a_recorded_request_of_a_far_phone_registers_and_calls_nobody(foreign, restarted):
    server = make_server(digest=make_digest())
    nonce = challenge(server)
    registration = signed(nonce)
    call = invite(headers=(credentials(nonce, method="INVITE", uri="sip:bob@192.0.2.1:5070", nc="00000002"),))
    assert status(server, registration) == 200
    assert status(server, call) == 302
    if restarted:
        server = make_server(
            digest=Digest(phones={"alice": PhoneSecret.from_password("alice", "secret")}, key=bytes(32))
        )
    server.handle_timer(LATER_S)
    source = Flow(host="198.51.100.66", port=5062) if foreign else FAR
    assert status(server, registration, flow=source, now=LATER_S) in {401, 403}
    assert status(server, call, flow=source, now=LATER_S) in {401, 403}
