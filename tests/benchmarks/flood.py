"""What a flood costs the callee, and what it does to a good call.  I/O: processes, udp on loopback.

*Refusals*: a thousand forged SECP2PSIP INVITEs of each kind are put before the real answering machine, limits lifted so
that each is looked at as far as it gets; the processor time of all is counted. Their making is not counted.

*Floods*: a real ring of adapters; enrolled nodes that turned evil send bob's adapter a thousand INVITEs a second which
name alice, or many others, and are signed by somebody else, or strangers as many SIP INVITEs. The evil nodes live in
processes of their own, and serve the ring meanwhile. Alice's phone calls bob over and over, and five other people call
him for the first time: bob's adapter was started anew before each flood, and knows nobody. Set-up times, INVITE to 302,
are counted, the lookups that bob's adapter makes, and what the kernel drops before its ring socket. The last row is for
comparison and counts for nothing: 40 of 48 nodes are stopped and answer nothing, as flooders would that are too busy.

    python -m tests.benchmarks.flood [--seconds 10] [--out build/bench/flood.json]

Exit code 0 only if each thousand is refused in less than 1 s, every good call is set up in less than 1 s, and every
flood was as fast as it says.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import secrets
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter.calls.answering import Answering
from adapter.calls.door import LocalUser
from adapter.calls.events import LookUp
from adapter.keystore import load_or_create
from overlay.ring.ids import Peer, RingId
from overlay.wire.envelope import seal_invite
from overlay.wire.messages import Invite
from tests.benchmarks.evil_processes import Evil
from tests.benchmarks.flooders import TICK_S, forged
from tests.benchmarks.sip_load import HOST, cpu_s
from tests.support.cast import NAMES, Cast
from tests.support.people import ALICE, BOB, EVE, party
from tests.support.sip_client import SipClient, status_of
from tests.unit.calls.call_desk import Phone, found

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Attack = Callable[[], Awaitable[dict[str, Any]]]

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
LOST = "dropped by the kernel"
MIN_RATE = 0.95
"""A flood that its senders do not manage to this part is no measurement."""


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


async def flood_of_sip(servers: Sequence[tuple[str, int]], seconds: float) -> dict[str, Any]:
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
    return {"sent": sent, "sent_per_s": round(sent / (time.monotonic() - began))}


async def floods(folder: Path, *, seconds: int, only: str = "") -> list[dict[str, Any]]:
    """Bring a ring up, let some of it turn evil, and call through each flood."""
    rows: list[dict[str, Any]] = []
    async with Cast(folder=folder) as cast:
        await cast.start_bootstrap(k=3, n=7)
        for user in NAMES:
            await cast.start_adapter(user)
            await cast.register(user)
        bundle = load_or_create(Path(cast.state("bob")), "bob").user.public
        evil = Evil(cast)

        async def one(name: str, attack: Attack | None = None, *, counts: bool = True) -> None:
            if only not in name:
                return
            known, first = GoodCaller(cast, "alice"), [GoodCaller(cast, user) for user in NAMES[2:HONEST]]
            before, busy, theirs = await counted(cast), cpu_s(cast.adapters["bob"].process.pid), evil.cpu_s()
            attacking = asyncio.ensure_future(attack()) if attack else None
            later = [(number + 0.5) * seconds / len(first) for number in range(len(first))]
            await asyncio.gather(known.call_for(seconds), *map(GoodCaller.call_after, first, later))
            went = await attacking if attacking else {}
            used = round(cpu_s(cast.adapters["bob"].process.pid) - busy, 2)
            met = await counted(cast) - before
            more = {"callee_cpu_s": used, "callee_lookups": met["looked up"], "callee_lost": met[LOST]}
            more |= {"evil_cpu_s": round(evil.cpu_s() - theirs, 2)}
            row = row_of(name, known, first) | went | more
            row["holds"] &= went.get("sent_per_s", PER_S) >= MIN_RATE * PER_S
            row["counts"] = counts
            rows.append(row | {"callee_counters": met})
            show(row)

        async def invites(name: str, nodes: int, names: Sequence[str]) -> None:
            if only not in name:
                return
            target = await anew()
            await evil.arm(PER_S * seconds, "bob", bundle, names, nodes=nodes)
            await one(name, lambda: evil.flood(target, nodes=nodes, per_s=PER_S))

        async def anew() -> Peer:
            target = await start_anew(cast, "bob")
            await reachable(GoodCaller(cast, "alice"))
            return target

        others = [f"nobody{number}" for number in range(500)]
        try:
            await evil.start()
            for user in NAMES[HONEST:]:
                await evil.turn(user)
            await anew()
            await one("none")
            await invites("INVITEs of one node", 1, ["alice"])
            await invites(f"INVITEs of {EVIL} nodes", EVIL, ["alice"])
            await invites(f"INVITEs of {EVIL} nodes, 500 names", EVIL, others)
            await anew()
            servers = [cast.sip["alice"], cast.sip["bob"]]
            await one("SIP INVITEs of strangers", lambda: flood_of_sip(servers, seconds))
            await evil.enrol(MANY - EVIL)
            await anew()
            await one(f"none, {MANY} evil nodes there")
            await invites(f"INVITEs of {MANY} nodes, 500 names", MANY, others)
            await anew()
            evil.pause(signal.SIGSTOP)
            await one(f"none, {MANY} nodes that answer nothing", counts=False)
        finally:
            await evil.stop()
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


async def counted(cast: Cast) -> Counter[str]:
    """Return what bob's adapter has counted, and what the kernel dropped before its ring socket [proc(5)]."""
    status = await cast.ask("bob", "status")
    port = int(str(status["ring"]).rsplit(":", 1)[1])
    return Counter(status["counters"]) + Counter({LOST: lost_before(port)})


def lost_before(port: int) -> int:
    """Return how many datagrams the kernel dropped because the socket at a UDP port was full [proc(5)]."""
    rows = (line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:])
    return sum(int(row[-1]) for row in rows if int(row[1].rpartition(":")[2], 16) == port)


def show(row: dict[str, Any]) -> None:
    print("  ".join(f"{key}={value}" for key, value in row.items()), flush=True)  # noqa: T201


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--only", default="", metavar="WORDS", help="the floods that have these words in their name")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path("build/bench/flood.json"))
    args = parser.parse_args()
    refused = refusals(args.seed)
    with tempfile.TemporaryDirectory(prefix="flood-") as folder:
        flooded = asyncio.run(floods(Path(folder), seconds=args.seconds, only=args.only))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    report = {"v": 1, "cpus": os.cpu_count(), "load": os.getloadavg(), "refusals": refused, "floods": flooded}
    args.out.write_text(json.dumps(report, indent=1))
    return 0 if all(row["holds"] for row in (*refused, *flooded) if row.get("counts", True)) else 1


if __name__ == "__main__":
    sys.exit(main())
