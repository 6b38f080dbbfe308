"""What a flood costs the callee, and what it does to a good call.  I/O: processes, udp on loopback.

*Refusals*: a thousand forged SECP2PSIP INVITEs of each kind are put before the real answering machine, limits lifted so
that each is looked at as far as it gets; the processor time of all is counted. Their making is not counted.

*Floods*: a real ring of adapters; enrolled nodes that turned evil send bob's adapter a thousand INVITEs a second which
name alice, or many others, and are signed by somebody else, or strangers as many SIP INVITEs. Meanwhile alice's phone
calls bob over and over, and five other people call him for the first time: bob's adapter was started anew before each
flood, and knows nobody. Set-up times, INVITE to 302, are counted, and the lookups that bob's adapter makes.

    python -m tests.benchmarks.flood [--seconds 10] [--out build/bench/flood.json]

Exit code 0 only if each thousand is refused in less than 1 s and every good call is set up in less than 1 s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import socket
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter.calls.answering import Answering
from adapter.calls.door import LocalUser
from adapter.calls.events import LookUp
from adapter.keystore import load_or_create
from adapter.state import StateDir
from bootstrap.keys import load
from overlay.ring.ids import Peer, RingId
from overlay.ring.kademlia_ring import KademliaRing
from overlay.ring.sessions import RingIdentity
from overlay.ring.storage import RecordStore
from overlay.trust.identity import SigningKey
from overlay.wire.envelope import seal_invite
from overlay.wire.messages import Invite, Party
from tests.benchmarks.sip_load import HOST, cpu_s
from tests.support.cast import NAMES, Cast
from tests.support.people import ALICE, BOB, EVE, party
from tests.support.sip_client import SipClient, status_of
from tests.unit.calls.call_desk import Phone, found

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from adapter.enrolled import Enrolment
    from overlay.trust.identity import KeyBundle, PrivateBundle
    from overlay.trust.records import NodeCredential

FORGED = 1000
MAX_CPU_S = 1.0
PER_S = 1000
MAX_SETUP_S = 1.0
CALL_EVERY_S = 0.25
HONEST = 7
EVIL = len(NAMES) - HONEST
MANY = 40
"""Evil nodes of the widest flood."""
MAX_SETTLE_S = 120.0
QUICK_CALLS, QUICK_S = 8, 0.2
"""So many calls in a row that take no longer show that the ring has settled."""
AHEAD_S = 20
"""How far ahead forged INVITEs are dated, which are made before bob's adapter starts: he must not find them too old."""
TICK_S = 0.01


def forged(caller: Party, signer: PrivateBundle, callee: Party, bundle: KeyBundle, *, now: int) -> bytes:
    """Seal an INVITE that names `caller` and is signed by somebody else."""
    mine = replace(caller, thumbprint=signer.public.thumbprint())
    invite = Invite(issuer=mine, audience=callee, id=secrets.token_bytes(16), issued_at=now, expires_at=now + 30)
    return seal_invite(invite, signer, bundle).line


def kinds(now: int) -> dict[str, list[bytes]]:
    """Make a thousand lines of each kind."""
    alice, bob = party("alice", ALICE), party("bob", BOB)
    true = seal_invite(
        Invite(issuer=alice, audience=bob, id=bytes(16), issued_at=now, expires_at=now + 30), ALICE, BOB.public
    ).line
    noise = [true[:40] + secrets.token_hex(400).encode() + b"\r\n" for _ in range(FORGED)]
    return {
        "noise": noise,
        "one byte changed": [_changed(true, at) for at in range(60, 60 + FORGED)],
        "for another user": [forged(alice, EVE, party("eve", EVE), EVE.public, now=now) for _ in range(FORGED)],
        "signed by another": [forged(alice, EVE, bob, BOB.public, now=now) for _ in range(FORGED)],
        "a day old": [forged(alice, ALICE, bob, BOB.public, now=now - 86_400) for _ in range(FORGED)],
        "replayed": [true] * FORGED,
    }


def _changed(line: bytes, at: int) -> bytes:
    at = 40 + at % (len(line) - 44)
    return line[:at] + (b"A" if line[at : at + 1] != b"A" else b"B") + line[at + 1 :]


def refusals(seed: int) -> list[dict[str, Any]]:
    """Count the processor time that each thousand costs, and what became of it."""
    now = 1_700_000_000.0
    rows = []
    caller = found("alice")
    for kind, lines in kinds(int(now)).items():
        answering = Answering(
            users={"bob": LocalUser(private=BOB, party=party("bob", BOB))},
            contacts=lambda _aor: [Phone()],
            random_bytes=random.Random(seed).randbytes,
            now=now - 100,
            per_node_s=1e6,
        )
        began = time.process_time()
        for number, line in enumerate(lines):
            source = Peer(id=RingId(number % 50 + 1), host=HOST, port=7000)
            at = now + number / PER_S
            answering.line_received(line, source, at)
            while (event := answering.next_event()) is not None:
                if isinstance(event, LookUp):
                    answering.looked_up(event.ticket, caller, at)
        cpu = time.process_time() - began
        outcomes = dict(answering.counters)
        allowed = 1 if kind == "replayed" else 0
        holds = cpu < MAX_CPU_S and outcomes.get("redirected", 0) == allowed
        rows.append(
            {"kind": kind, "messages": len(lines), "cpu_s": round(cpu, 3), "outcomes": outcomes, "holds": holds}
        )
        show(rows[-1])
    return rows


class GoodCaller:
    """One person's phone, which calls bob and keeps the times."""

    def __init__(self, cast: Cast, user: str) -> None:
        self._cast, self._user, self._phone = cast, user, cast.plain_phones[NAMES.index(user)]
        self.setups_s: list[float] = []
        self.statuses: list[int] = []

    async def call_for(self, seconds: float) -> None:
        """Call for so long, every quarter of a second; each call begins when the one before it was answered."""
        end = time.monotonic() + seconds
        while (began := time.monotonic()) < end:
            await self.call()
            await asyncio.sleep(max(0.0, began + CALL_EVERY_S - time.monotonic()))

    async def call_after(self, seconds: float) -> None:
        """Call once, so much later."""
        await asyncio.sleep(seconds)
        await self.call()

    async def call(self) -> None:
        """Call once."""
        server, began = self._cast.sip[self._user], time.monotonic()
        self._phone._call_id = secrets.token_hex(8)
        invite = self._phone.request("INVITE", f"sip:bob@{server[0]}:{server[1]}", self._user)
        self._phone.send(invite, server)
        answer = await self._phone.final()
        self.setups_s.append(time.monotonic() - began)
        self.statuses.append(status_of(answer))
        self._phone.send(self._phone.ack(invite, answer), server)


def row_of(name: str, known: GoodCaller, first: Sequence[GoodCaller]) -> dict[str, Any]:
    """Return what became of the calls."""
    setups = sorted(known.setups_s)
    firsts = sorted(setup for caller in first for setup in caller.setups_s)
    statuses = [status for caller in (known, *first) for status in caller.statuses]
    return {
        "flood": name,
        "calls": len(setups),
        "ok": known.statuses.count(302),
        "p50_ms": round(1000 * statistics.median(setups), 1),
        "max_ms": round(1000 * setups[-1], 1),
        "first_calls": len(firsts),
        "first_ok": sum(caller.statuses.count(302) for caller in first),
        "first_max_ms": round(1000 * firsts[-1], 1),
        "statuses": sorted(set(statuses)),
        "holds": set(statuses) == {302} and max(setups[-1], firsts[-1]) < MAX_SETUP_S,
    }


async def turn_evil(cast: Cast, user: str) -> KademliaRing:
    """Stop an adapter and come back with its keys and credential, as a node that does what it likes."""
    await cast.adapters.pop(user).stop()
    state = StateDir(Path(cast.state(user)))
    keys, enrolment = load_or_create(Path(cast.state(user)), user), state.load_enrolment(user)
    assert enrolment is not None
    return await open_ring(enrolment, keys.node, enrolment.credential)


async def enrol_evil(cast: Cast, count: int) -> list[KademliaRing]:
    """Join with so many more evil nodes, enrolled by the bootstrap server's own keys: what days of enrolling bring."""
    server = load(cast.folder / "bootstrap")
    enrolment = StateDir(Path(cast.state("alice"))).load_enrolment("alice")
    assert enrolment is not None
    rings = []
    for _ in range(count):
        key = SigningKey.generate()
        credential = server.credential(key.public, overlay=enrolment.overlay, now=time.time())
        rings.append(await open_ring(enrolment, key, credential))
    return rings


async def open_ring(enrolment: Enrolment, key: SigningKey, credential: NodeCredential) -> KademliaRing:
    ring = KademliaRing(
        RingIdentity(
            node_key=key,
            credential=credential,
            overlay=enrolment.overlay,
            overlay_public=enrolment.overlay_bundle.ed25519,
        ),
        RecordStore(),
        dealing_public=enrolment.dealing.dealing_public,
    )
    await ring.open(HOST)
    await ring.join(enrolment.nodes)
    return ring


async def flood_of_lines(rings: Sequence[KademliaRing], target: Peer, lines: Sequence[bytes]) -> int:
    """Send the lines at PER_S, the nodes in turn; return how many were sent."""
    tasks: set[asyncio.Task[bool]] = set()
    began, sent = time.monotonic(), 0
    while sent < len(lines):
        due = min(len(lines), int((time.monotonic() - began) * PER_S))
        for number in range(sent, due):
            task = asyncio.ensure_future(rings[number % len(rings)].deliver(target, lines[number]))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        sent = due
        await asyncio.sleep(TICK_S)
    await asyncio.gather(*tasks, return_exceptions=True)
    return sent


async def flood_of_sip(servers: Sequence[tuple[str, int]], seconds: float) -> int:
    """Send SIP INVITEs of strangers at PER_S to the adapters in turn; return how many were sent."""
    began, sent = time.monotonic(), 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((HOST, 0))
        stranger.settimeout(0.0)
        phone = SipClient()
        phone.address = stranger.getsockname()
        while sent < seconds * PER_S:
            for _ in range(sent, min(int(seconds * PER_S), int((time.monotonic() - began) * PER_S))):
                server = servers[sent % len(servers)]
                phone._call_id = secrets.token_hex(8)
                message = phone.request("INVITE", f"sip:bob@{server[0]}:{server[1]}", "mallory").encode()
                try:
                    stranger.sendto(message, server)
                except BlockingIOError:
                    await asyncio.sleep(TICK_S)
                sent += 1
            await asyncio.sleep(TICK_S)
    return sent


async def floods(folder: Path, *, seconds: int) -> list[dict[str, Any]]:
    """Bring a ring up, let some of it turn evil, and call through each flood."""
    rows: list[dict[str, Any]] = []
    async with Cast(folder=folder) as cast:
        await cast.start_bootstrap(k=3, n=7)
        for user in NAMES:
            await cast.start_adapter(user)
            await cast.register(user)
        bundle = load_or_create(Path(cast.state("bob")), "bob").user.public
        callee = Party(aor="bob", generation=1, thumbprint=bundle.thumbprint())
        evil = [await turn_evil(cast, user) for user in NAMES[HONEST:]]

        async def one(name: str, attack: Callable[[Peer], Any] | None) -> None:
            target = await start_anew(cast, "bob")
            known, first = GoodCaller(cast, "alice"), [GoodCaller(cast, user) for user in NAMES[2:HONEST]]
            await reachable(GoodCaller(cast, "alice"))
            before, busy = await looked_up(cast), cpu_s(cast.adapters["bob"].process.pid)
            attacking = asyncio.ensure_future(attack(target)) if attack else None
            later = [(number + 0.5) * seconds / len(first) for number in range(len(first))]
            await asyncio.gather(known.call_for(seconds), *map(GoodCaller.call_after, first, later))
            sent = await attacking if attacking else 0
            used = round(cpu_s(cast.adapters["bob"].process.pid) - busy, 2)
            more = {"sent": sent, "callee_cpu_s": used, "callee_lookups": await looked_up(cast) - before}
            rows.append(row_of(name, known, first) | more)
            show(rows[-1])

        def lines(names: Sequence[str]) -> list[bytes]:
            parties = [Party(aor=name, generation=1, thumbprint=bytes(16)) for name in names]
            now = int(time.time())
            return [
                forged(parties[number % len(parties)], EVE, callee, bundle, now=now + AHEAD_S)
                for number in range(PER_S * seconds)
            ]

        async def attack(name: str, rings: Sequence[KademliaRing], names: Sequence[str]) -> None:
            made: list[bytes] = []

            async def begin(target: Peer) -> int:
                return await flood_of_lines(rings, target, made)

            made += lines(names)
            await one(name, begin)

        others = [f"nobody{number}" for number in range(500)]
        try:
            await one("none", None)
            await attack("INVITEs of one node", evil[:1], ["alice"])
            await attack(f"INVITEs of {EVIL} nodes", evil, ["alice"])
            await attack(f"INVITEs of {EVIL} nodes, 500 names", evil, others)
            await one("SIP INVITEs of strangers", lambda _: flood_of_sip([cast.sip["alice"], cast.sip["bob"]], seconds))
            evil += await enrol_evil(cast, MANY - EVIL)
            await one(f"none, {MANY} evil nodes there", None)
            await attack(f"INVITEs of {MANY} nodes, 500 names", evil, others)
        finally:
            for ring in evil:
                await ring.close()
    return rows


async def start_anew(cast: Cast, user: str) -> Peer:
    """Start a user's adapter again, which forgets whom it knows, and return its node."""
    await cast.adapters.pop(user).stop()
    await cast.start_adapter(user)
    await cast.register(user)
    status = await cast.ask(user, "status")
    host, port = str(status["ring"]).rsplit(":", 1)
    return Peer(id=RingId(int(status["node"], 16)), host=host, port=int(port))


async def reachable(caller: GoodCaller) -> None:
    """Wait until calls to bob are set up quickly: his adapter has told the ring where it is."""
    end, quick = time.monotonic() + MAX_SETTLE_S, 0
    while quick < QUICK_CALLS:
        assert time.monotonic() < end, f"bob cannot be called quickly: {caller.statuses} {caller.setups_s}"
        await caller.call()
        quick = quick + 1 if caller.statuses[-1] == 302 and caller.setups_s[-1] < QUICK_S else 0
        await asyncio.sleep(CALL_EVERY_S)


async def looked_up(cast: Cast) -> int:
    """Return how many lookups bob's adapter has made for calls."""
    return int((await cast.ask("bob", "status"))["counters"].get("looked up", 0))


def show(row: dict[str, Any]) -> None:
    print("  ".join(f"{key}={value}" for key, value in row.items()), flush=True)  # noqa: T201


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("build/bench/flood.json"))
    args = parser.parse_args()
    refused = refusals(args.seed)
    with tempfile.TemporaryDirectory(prefix="flood-") as folder:
        flooded = asyncio.run(floods(Path(folder), seconds=args.seconds))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    report = {"v": 1, "cpus": os.cpu_count(), "load": os.getloadavg(), "refusals": refused, "floods": flooded}
    args.out.write_text(json.dumps(report, indent=1))
    return 0 if all(row["holds"] for row in (*refused, *flooded)) else 1


if __name__ == "__main__":
    sys.exit(main())
