"""How much the SIP port bears: sipp against a real adapter on loopback.  I/O: processes, udp.

Three loads, each for so many seconds: REGISTER -> 200 and INVITE -> 404 (what is dialled is no user's name, so the ring
is not asked) at 500 a second, INVITE -> 302 through the ring at 50 a second. The limits are raised by the configuration
file, as a person would. A call counts only with its exact answer, and none may have to be asked or answered twice.

Then the same INVITE -> 302 where sipp loses one datagram in ten of both directions: every call has to end in its 302,
and each of them to be asked once. Last, so many refreshes of one registration: 64*T1 later [RFC 3261 §17.2.2] the
adapter's memory has to be within 5 % of what it was. Exit code 0 only if all of that holds.

    python -m tests.benchmarks.sip_load [--seconds 20] [--refreshes 100000] [--out build/bench/sip.json]

Needs sipp (Debian: apt install sip-tester). The figures are of one machine and of what else it does meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import json
import os
import shutil
import socket
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.support.cast import HOST, NAMES, Cast

NODES = 6
LIMITS = """
[limits]
transactions = 200000
questions = 20000
calls = 500
calls_per_node = 1000
"""
LOST_PERCENT = 10
LOSSY_PER_S = 20
REFRESHES_PER_S = 500
SETTLED_S = 64 * 0.5 + 3.0
"""64*T1, when nothing of an answered request is kept any more, and a little for the sweep."""
MAX_GROWTH = 0.05
WARM_S = 2 * 64 * 0.5
"""How long the same load lasts before memory is looked at first: until as many requests are kept as ever will be. The
allocator gives little of that room back; what counts is that it asks for no more."""
LOOKUPS = ("looked up", "lookup joined", "proof shared")
"""What becomes of a call's question for a key; together they are the questions."""
GRACE_S = 60
"""What sipp gets beyond the load's own length for the last answers."""

HEADERS = """
      Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch]
      From: <sip:alice@[remote_ip]:[remote_port]>;tag=[pid]-[call_number]
      To: <{to}>
      Call-ID: [call_id]
      Max-Forwards: 70
      Contact: <sip:alice@[local_ip]:[local_port]>"""
REGISTER = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="REGISTER to 200">
  <send retrans="500" start_rtd="1"><![CDATA[
      REGISTER sip:[remote_ip]:[remote_port] SIP/2.0{headers}
      CSeq: 1 REGISTER
      Expires: 300
      Content-Length: 0

  ]]></send>
  <recv response="200" rtd="1"/>
</scenario>
"""
INVITE = """<?xml version="1.0" encoding="ISO-8859-1" ?>
<scenario name="INVITE to {status}">
  <send retrans="500" start_rtd="1"><![CDATA[
      INVITE {to} SIP/2.0{headers}
      CSeq: 1 INVITE
      Content-Length: 0

  ]]></send>
  <recv response="100" optional="true"/>
  <recv response="{status}" rtd="1"/>
  <send><![CDATA[
      ACK {to} SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];rport;branch=[branch-3]
      [last_From:]
      [last_To:]
      [last_Call-ID:]
      Max-Forwards: 70
      CSeq: 1 ACK
      Content-Length: 0

  ]]></send>{wait}
</scenario>
"""
TIMEWAIT = '\n  <timewait milliseconds="8000"/>'
"""A phone that lost datagrams takes the answer again, and acknowledges it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One of them."""

    name: str
    scenario: str
    per_s: int
    lost_percent: int = 0


def register_scenario() -> str:
    return REGISTER.format(headers=HEADERS.format(to="sip:alice@[remote_ip]:[remote_port]"))


def invite_scenario(callee: str, status: int, *, wait: str = "") -> str:
    to = f"sip:{callee}@[remote_ip]:[remote_port]"
    return INVITE.format(status=status, to=to, wait=wait, headers=HEADERS.format(to=to))


LOADS = (
    Load(name="REGISTER -> 200", scenario=register_scenario(), per_s=500),
    Load(name="INVITE -> 404", scenario=invite_scenario("+49301234", 404), per_s=500),
    Load(name="INVITE -> 302 through the ring", scenario=invite_scenario("bob", 302), per_s=50),
    Load(
        name=f"INVITE -> 302, {LOST_PERCENT} % lost",
        scenario=invite_scenario("bob", 302, wait=TIMEWAIT),
        per_s=LOSSY_PER_S,
        lost_percent=LOST_PERCENT,
    ),
)


async def sipp(
    folder: Path, load: Load, server: tuple[str, int], *, port: int, calls: int, per_s: int
) -> dict[str, Any]:
    """Run sipp from `port` and return the last line of its statistics."""
    scenario, stats = folder / "scenario.xml", folder / "stats.csv"
    scenario.write_text(load.scenario)
    stats.unlink(missing_ok=True)
    process = await asyncio.create_subprocess_exec(
        *("sipp", f"{server[0]}:{server[1]}", "-sf", str(scenario), "-i", HOST, "-p", str(port)),
        *("-r", str(per_s), "-m", str(calls), "-l", str(max(100, 40 * per_s)), "-nostdin"),
        *("-trace_stat", "-stf", str(stats), "-fd", "1", "-timeout", str(calls // per_s + GRACE_S)),
        *(("-lost", str(load.lost_percent)) if load.lost_percent else ()),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=os.environ | {"TERM": "dumb"},
    )
    try:
        await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    with stats.open() as file:
        return list(csv.DictReader(file, delimiter=";"))[-1]


async def measure(cast: Cast, load: Load, *, port: int, seconds: int) -> dict[str, Any]:
    """Put one load on alice's adapter and tell what became of it."""
    before = (await cast.ask("alice", "status"))["counters"]
    seen = len(cast.adapters["alice"].events)
    busy = [cpu_s(program.process.pid) for program in cast.adapters.values()]
    folder = cast.folder / "sipp"
    folder.mkdir(exist_ok=True)
    row = await sipp(folder, load, cast.sip["alice"], port=port, calls=load.per_s * seconds, per_s=load.per_s)
    after = (await cast.ask("alice", "status"))["counters"]
    grown: Counter[str] = Counter(
        {key: value - before.get(key, 0) for key, value in after.items() if value != before.get(key, 0)}
    )
    return {
        "load": load.name,
        "asked_per_s": load.per_s,
        "seconds": seconds,
        "reached_per_s": float(row["CallRate(C)"]),
        "calls": int(row["TotalCallCreated"]),
        "ok": int(row["SuccessfulCall(C)"]),
        "failed": int(row["FailedCall(C)"]),
        "retransmitted_by_sipp": int(row["Retransmissions(C)"]),
        "resent_by_adapter": grown.get("resent by timer", 0),
        "mean_answer_ms": mean_ms(row.get("ResponseTime1(C)", "")),
        "lost_percent": load.lost_percent,
        "questions": sum(grown[what] for what in LOOKUPS),
        "adapter": grown,
        "outcomes": dict(outcomes(cast.adapters["alice"].events[seen:])),
        "cpu_s": [round(cpu_s(p.process.pid) - b, 2) for p, b in zip(cast.adapters.values(), busy, strict=True)],
    }


async def refresh(cast: Cast, *, port: int, count: int) -> dict[str, Any]:
    """Refresh alice's registration so often, and tell what her adapter keeps of it when all has ended."""
    pid = cast.adapters["alice"].process.pid
    load = replace(LOADS[0], per_s=REFRESHES_PER_S)
    await measure(cast, load, port=port, seconds=min(int(WARM_S), max(1, count // REFRESHES_PER_S)))
    await asyncio.sleep(SETTLED_S)
    before_kb = memory_kb(pid)
    row = await measure(cast, load, port=port, seconds=max(1, count // REFRESHES_PER_S))
    loaded_kb = memory_kb(pid)
    await asyncio.sleep(SETTLED_S)
    after_kb = memory_kb(pid)
    memory = {"before_kb": before_kb, "loaded_kb": loaded_kb, "after_kb": after_kb}
    return row | memory | {"load": f"{count} refreshes", "growth": round(after_kb / before_kb - 1, 4)}


def holds(row: dict[str, Any]) -> bool:
    """Whether a load brought what it has to."""
    whole = row["ok"] == row["calls"] == row["asked_per_s"] * row["seconds"]
    if "growth" in row:
        return bool(whole and row["growth"] <= MAX_GROWTH)
    if row["lost_percent"]:
        return bool(whole and row["questions"] == row["calls"])
    return bool(whole and row["retransmitted_by_sipp"] == row["resent_by_adapter"] == 0)


def memory_kb(pid: int) -> int:
    """Return what a process holds in memory, in KB [proc(5)]."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def mean_ms(text: str) -> float:
    """Read sipp's HH:MM:SS:microseconds."""
    hours, minutes, seconds, micros = (int(part) for part in text.split(":"))
    return round(((hours * 60 + minutes) * 60 + seconds) * 1000 + micros / 1000, 3)


def outcomes(events: list[dict[str, Any]]) -> Counter[str]:
    """Count the receipts of calls by status and reason."""
    return Counter(f"{event['status']} {event['reason']}" for event in events if event["event"] == "receipt")


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has taken, in seconds [proc(5)]."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


async def run(folder: Path, *, seconds: int, calls_per_s: int, refreshes: int) -> list[dict[str, Any]]:
    """Bring a ring up and put every load on it."""
    config = folder / "config" / "secp2psip" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text(LIMITS)
    os.environ["XDG_CONFIG_HOME"] = str(folder / "config")
    rows = []
    async with Cast(folder=folder) as cast:
        await cast.start_bootstrap(k=3, n=7)
        for user in NAMES[:NODES]:
            await cast.start_adapter(user)
        for user in NAMES[:NODES]:
            await cast.register(user)
        port = free_port()
        # the caller is the phone that registered from there
        registered = await sipp(cast.folder, LOADS[0], cast.sip["alice"], port=port, calls=1, per_s=1)
        assert registered["SuccessfulCall(C)"] == "1", registered
        for load in (*LOADS[:2], replace(LOADS[2], per_s=calls_per_s), LOADS[3]):
            rows.append(await measure(cast, load, port=port, seconds=seconds))
            show(rows[-1])
        if refreshes:
            rows.append(await refresh(cast, port=port, count=refreshes))
            show(rows[-1])
    return rows


def show(row: dict[str, Any]) -> None:
    """Print what a person wants to know of a load."""
    row["holds"] = holds(row)
    shown = ("load", "holds", "reached_per_s", "ok", "failed", "retransmitted_by_sipp", "resent_by_adapter")
    more = ("mean_answer_ms", "questions", "before_kb", "after_kb", "growth")
    print("  ".join(f"{key}={row[key]}" for key in (*shown, *more) if key in row), flush=True)  # noqa: T201


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=Path("build/bench/sip.json"))
    parser.add_argument("--calls", type=int, default=50, help="INVITE -> 302 a second")
    parser.add_argument("--refreshes", type=int, default=100_000, help="of one registration; 0 leaves that out")
    args = parser.parse_args()
    if shutil.which("sipp") is None:
        print("sipp is missing: apt install sip-tester (Debian, Ubuntu)", file=sys.stderr)  # noqa: T201
        return 2
    with tempfile.TemporaryDirectory(prefix="sip-load-") as folder:
        rows = asyncio.run(run(Path(folder), seconds=args.seconds, calls_per_s=args.calls, refreshes=args.refreshes))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps({"v": 1, "cpus": os.cpu_count(), "load": os.getloadavg(), "rows": rows}, indent=1))
    return 0 if all(row["holds"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
