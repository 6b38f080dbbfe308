"""What a flood costs the callee, and what it does to a good call.  I/O: processes, udp on loopback.

*Refusals*: a thousand forged SECP2PSIP INVITEs of each kind are put before the real answering machine, limits lifted so
that each is looked at as far as it gets; the processor time of all is counted. Their making is not counted.

*Floods*: a real ring of adapters; enrolled nodes that turned evil send bob's adapter a thousand INVITEs a second which
name alice and are signed by somebody else, or strangers as many SIP INVITEs. Meanwhile alice's phone calls bob over and
over: her set-up time, INVITE to 302, is counted.

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
from overlay.ring.ids import Peer, RingId
from overlay.ring.kademlia_ring import KademliaRing
from overlay.ring.sessions import RingIdentity
from overlay.ring.storage import RecordStore
from overlay.wire.envelope import seal_invite
from overlay.wire.messages import Invite, Party
from tests.benchmarks.sip_load import HOST, cpu_s
from tests.support.cast import NAMES, Cast
from tests.support.people import ALICE, BOB, EVE, party
from tests.support.sip_client import SipClient, status_of
from tests.unit.calls.call_desk import Phone, found

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from overlay.trust.identity import KeyBundle, PrivateBundle

FORGED = 1000
MAX_CPU_S = 1.0
PER_S = 1000
MAX_SETUP_S = 1.0
CALL_EVERY_S = 0.25
HONEST = 7
EVIL = len(NAMES) - HONEST
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
    """Alice's phone, which calls bob every quarter of a second and keeps the times."""

    def __init__(self, cast: Cast, phone: SipClient) -> None:
        self._cast, self._phone = cast, phone
        self.setups_s: list[float] = []
        self.statuses: list[int] = []

    async def call(self, seconds: float) -> None:
        """Call for so long; each call begins when the one before it was answered."""
        server, end = self._cast.sip["alice"], time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.monotonic()
            self._phone._call_id = secrets.token_hex(8)
            invite = self._phone.request("INVITE", f"sip:bob@{server[0]}:{server[1]}", "alice")
            self._phone.send(invite, server)
            answer = await self._phone.final()
            self.setups_s.append(time.monotonic() - began)
            self.statuses.append(status_of(answer))
            self._phone.send(self._phone.ack(invite, answer), server)
            await asyncio.sleep(max(0.0, began + CALL_EVERY_S - time.monotonic()))

    def row(self, name: str) -> dict[str, Any]:
        """Return what became of the calls."""
        setups = sorted(self.setups_s)
        good = self.statuses.count(302)
        return {
            "flood": name,
            "calls": len(setups),
            "ok": good,
            "statuses": sorted(set(self.statuses)),
            "p50_ms": round(1000 * statistics.median(setups), 1),
            "max_ms": round(1000 * setups[-1], 1),
            "holds": good == len(setups) and setups[-1] < MAX_SETUP_S,
        }


async def turn_evil(cast: Cast, user: str) -> KademliaRing:
    """Stop an adapter and come back with its keys and credential, as a node that does what it likes."""
    await cast.adapters.pop(user).stop()
    state = StateDir(Path(cast.state(user)))
    keys, enrolment = load_or_create(Path(cast.state(user)), user), state.load_enrolment(user)
    assert enrolment is not None
    ring = KademliaRing(
        RingIdentity(
            node_key=keys.node,
            credential=enrolment.credential,
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
        bob = await cast.ask("bob", "status")
        host, port = str(bob["ring"]).rsplit(":", 1)
        target = Peer(id=RingId(int(bob["node"], 16)), host=host, port=int(port))
        bundle = load_or_create(Path(cast.state("bob")), "bob").user.public
        callee = Party(aor="bob", generation=1, thumbprint=bundle.thumbprint())
        alice = Party(aor="alice", generation=1, thumbprint=bytes(16))
        evil = [await turn_evil(cast, user) for user in NAMES[HONEST:]]

        async def one(name: str, attack: Callable[[], Any] | None) -> None:
            caller, busy = GoodCaller(cast, cast.plain_phones[0]), cpu_s(cast.adapters["bob"].process.pid)
            attacking = asyncio.ensure_future(attack()) if attack else None
            await caller.call(seconds)
            sent = await attacking if attacking else 0
            used = round(cpu_s(cast.adapters["bob"].process.pid) - busy, 2)
            rows.append(caller.row(name) | {"sent": sent, "callee_cpu_s": used})
            show(rows[-1])

        def lines() -> list[bytes]:
            return [forged(alice, EVE, callee, bundle, now=int(time.time())) for _ in range(PER_S * seconds)]

        try:
            await one("none", None)
            for name, rings in (("INVITEs of one node", evil[:1]), (f"INVITEs of {EVIL} nodes", evil)):
                made = lines()
                await one(name, lambda rings=rings, made=made: flood_of_lines(rings, target, made))
            both = [cast.sip["alice"], cast.sip["bob"]]
            await one("SIP INVITEs of strangers", lambda: flood_of_sip(both, seconds))
        finally:
            for ring in evil:
                await ring.close()
    return rows


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
