"""A thousand calls in a row and a hundred killed children: what is lost, what grows, how long the phone is away.

I/O: processes, udp and tcp on loopback. All of it is the real path: a bootstrap server, two adapters, bob's
`secp2psip listen` as a process of its own, and alice's phone in this one, registered with her adapter. Each call is
looked up on the ring, announced, redirected, encrypted and verified; sound runs both ways until both ends have counted
packets of the other.

*Calls*: one after the other. Lost is one that was not established, or in which either end heard nothing.

*Kills*: SIGKILL to a child of `listen` at a random moment while calls come and go: idle, while it rings, in a call,
while it starts. The time from the kill to `phone-back` is counted, and alice's next call has to be established.

    python -m tests.benchmarks.endurance [--calls 1000] [--kills 100] [--seed 1] [--out build/bench/endurance.json]

Exit code 0 only if every promise of PROMISES holds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import adapter.softphone
from adapter.config import format_address
from adapter.softphone import events
from adapter.softphone.phone import PhoneError, Softphone
from tests.support.cast import HOST, Cast, is_event
from tests.support.programs import Program, command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SPEECH = Path(adapter.softphone.__file__).parent / "data" / "alice.wav"
TALK_S = 0.3
"""Some fifteen packets each way."""
SET_UP_S = 8.0
WARM_CALLS = 20
"""Calls before memory is looked at for the first time: code is loaded and caches are filled."""
GROWTH = 1.10
CHILD_KB = 80 * 1024
BACK_S = 2.0
KILL_WITHIN_S = 0.9
"""A round of calling, talking and hanging up takes about that long, so that any moment of it may be hit."""
AGAIN_EVERY = 5
"""Each so many kills a second one follows, into the start of the new child."""
BACK_PATIENCE_S = 20.0


@dataclass(slots=True, kw_only=True)
class Story:
    """What is measured."""

    lost: list[dict[str, Any]] = field(default_factory=list)
    setup_ms: list[float] = field(default_factory=list)
    children_kb: dict[int, int] = field(default_factory=dict)
    """Peak of each child that was seen, by process id."""
    back_s: list[float] = field(default_factory=list)
    kills: int = 0
    said: int = 0
    """Kills that the app told of."""
    hit: dict[str, int] = field(default_factory=dict)
    """What went on at bob's when he was hit."""
    lost_after: int = 0
    """Calls that failed after `phone-back`."""


def memory_kb(pid: int, what: str = "VmRSS") -> int:
    """Return what a process holds in memory, 0 for one that is gone [proc(5)]."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1])
    return 0


def children(pid: int) -> Iterator[int]:
    """Give the softphone's child processes of a process."""
    with contextlib.suppress(OSError):
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            with contextlib.suppress(OSError):
                if b"adapter.softphone.agent" in Path(f"/proc/{child}/cmdline").read_bytes():
                    yield child


class Endurance:
    """Alice calls bob, over and over."""

    def __init__(self, cast: Cast, alice: Softphone, bob: Program, *, say: Callable[[str], None]) -> None:
        self._cast, self._alice, self._bob, self._say = cast, alice, bob, say
        self.story = Story()

    async def call(self) -> str:
        """Place one call, talk, hang up; return why it counts as lost, or nothing."""
        seen = len(self._bob.events)
        try:
            await self._alice.call(f"sip:bob@{format_address(self._cast.sip['alice'])}")
        except PhoneError as error:
            return str(error)
        established = await self._until(events.Established)
        if isinstance(established, str):
            await self._hang_up()
            return established
        self.story.setup_ms.append(established.setup_ms)
        await asyncio.sleep(TALK_S)  # the length of the talk
        ended = await self._hang_up()
        if ended is None or not ended.packets_received:
            return "alice heard nothing"
        try:
            there = await self._bob.expect(is_event("ended"), within_s=5, what="ended", since=seen)
        except Exception as error:  # noqa: BLE001 -- whatever it was, the call counts as lost
            return str(error).splitlines()[0]
        return "" if there["packets_received"] else "bob heard nothing"

    async def _until(self, kind: type[events.Established]) -> events.Established | str:
        try:
            async with asyncio.timeout(SET_UP_S):
                while not isinstance(event := await self._alice.events.get(), kind):
                    if isinstance(event, events.Ended | events.ChildDied):
                        return f"not established: {event.reason}"
                return event
        except TimeoutError:
            return f"not established within {SET_UP_S:.0f} s"

    async def _hang_up(self) -> events.Ended | None:
        """End the call; None where there was none, or no end of it."""
        with contextlib.suppress(PhoneError, TimeoutError):
            await self._alice.hangup()
            async with asyncio.timeout(5):
                while not isinstance(event := await self._alice.events.get(), events.Ended | events.ChildDied):
                    pass
            return event if isinstance(event, events.Ended) else None
        return None

    def look(self) -> None:
        """Note the peaks of the children, and let go of what was said."""
        for parent in (os.getpid(), self._bob.process.pid):
            for child in children(parent):
                self.story.children_kb[child] = max(self.story.children_kb.get(child, 0), memory_kb(child, "VmHWM"))
        for program in (self._bob, *self._cast.adapters.values()):
            program.events.clear()
        while not self._alice.events.empty():
            self._alice.events.get_nowait()

    # ------------------------------------------------------------------ calls in a row

    def memory(self) -> dict[str, int]:
        """Return what each parent holds, in KB."""
        return {"listen": memory_kb(self._bob.process.pid), "caller": memory_kb(os.getpid())} | {
            f"adapter {user}": memory_kb(program.process.pid) for user, program in self._cast.adapters.items()
        }

    async def many(self, calls: int) -> dict[str, Any]:
        """Call so many times and tell what was lost and what grew."""
        warm, began = self.memory(), time.monotonic()
        first = dict(warm)
        for number in range(1, calls + 1):
            if why := await self.call():
                self.story.lost.append({"call": number, "why": why})
                self._say(f"call {number} lost: {why}")
            self.look()
            if number == min(WARM_CALLS, calls):
                warm = self.memory()
            if number % 50 == 0:
                rate = number / (time.monotonic() - began)
                self._say(f"{number} calls, {len(self.story.lost)} lost, {rate:.1f} a second, {self.memory()}")
        last, seconds = self.memory(), time.monotonic() - began
        return {
            "calls": calls,
            "lost": self.story.lost,
            "seconds": round(seconds, 1),
            "per_s": round(calls / seconds, 2),
            "setup_ms": spread(self.story.setup_ms),
            "memory_kb": {
                who: {"first": first[who], "warm": warm[who], "last": last[who], "growth": last[who] / warm[who]}
                for who in warm
            },
            "children": {"count": len(self.story.children_kb), "peak_kb": max(self.story.children_kb.values())},
        }

    # ------------------------------------------------------------------ kills

    async def killing(self, kills: int, rng: random.Random) -> dict[str, Any]:
        """Kill the child of `listen` so many times, calling all the while."""
        while self.story.kills < kills:
            calling = asyncio.create_task(self.call())
            await asyncio.sleep(rng.uniform(0.0, KILL_WITHIN_S))  # the random moment
            await self._kill(again=self.story.kills + 1 < kills and len(self.story.back_s) % AGAIN_EVERY == 0, rng=rng)
            await calling  # how it went is the kill's doing
            if why := await self.call():
                self.story.lost_after += 1
                self._say(f"after kill {self.story.kills}: {why}")
            self.look()
            if len(self.story.back_s) % 10 == 0:
                self._say(f"{self.story.kills} kills, back within {max(self.story.back_s):.2f} s at most")
        return {
            "kills": self.story.kills,
            "recoveries": len(self.story.back_s),
            "said": self.story.said,
            "hit": dict(sorted(self.story.hit.items())),
            "back_s": spread(self.story.back_s, digits=3),
            "calls_lost_after_it": self.story.lost_after,
        }

    async def _kill(self, *, again: bool, rng: random.Random) -> None:
        seen = len(self._bob.events)
        going_on = next(
            (event["event"] for event in reversed(self._bob.events) if event["event"] in MOMENTS), "listening"
        )
        self._note(MOMENTS[going_on])
        for victim in list(children(self._bob.process.pid)):
            os.kill(victim, signal.SIGKILL)
            self.story.kills += 1
        killed_at = time.monotonic()
        if again:
            await self._bob.expect(is_event("child-died"), within_s=5, what="child-died", since=seen)
            await asyncio.sleep(rng.uniform(0.0, 0.5))  # the random moment
            for victim in list(children(self._bob.process.pid)):
                os.kill(victim, signal.SIGKILL)
                self.story.kills += 1
                self._note("starting or just back")
                killed_at = time.monotonic()
        await self._back(killed_at, seen)

    async def _back(self, killed_at: float, seen: int) -> None:
        while True:
            back = await self._bob.expect(
                is_event("phone-back"), within_s=BACK_PATIENCE_S, what="phone-back", since=seen
            )
            if back["seen"] >= killed_at:
                break
            seen = self._bob.events.index(back) + 1
        self.story.back_s.append(back["seen"] - killed_at)
        self.story.said += any(
            event["event"] == "child-died" and "SIGKILL" in event["reason"] for event in self._bob.events
        )

    def _note(self, moment: str) -> None:
        self.story.hit[moment] = self.story.hit.get(moment, 0) + 1


MOMENTS = {"incoming": "being set up", "established": "in a call", "ended": "idle", "listening": "idle"}
MOMENTS |= {"phone-back": "idle", "quality": "in a call"}


def spread(values: list[float], *, digits: int = 1) -> dict[str, float]:
    """Return the middle, the 99th percentile and the worst of what was measured."""
    if not values:
        return {}
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    found = {"p50": statistics.median(ordered), "p99": p99, "max": ordered[-1]}
    return {name: round(value, digits) for name, value in found.items()}


def promises(report: dict[str, Any]) -> dict[str, bool]:
    """Tell which of what is promised holds."""
    held: dict[str, bool] = {}
    if row := report.get("calls"):
        held["no call is lost"] = not row["lost"]
        held["no parent grows by a tenth"] = all(one["growth"] < GROWTH for one in row["memory_kb"].values())
        held["no child above 80 MB"] = row["children"]["peak_kb"] <= CHILD_KB
    if row := report.get("kills"):
        held["every kill is recovered from within 2 s"] = row["back_s"]["max"] < BACK_S
        held["every kill is told of"] = row["said"] == row["recoveries"]
        held["the next call is established"] = row["calls_lost_after_it"] == 0
    return held


async def endure(
    folder: Path, *, calls: int, kills: int, seed: int = 1, say: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Run it all in `folder` and report."""
    report: dict[str, Any] = {"v": 1, "cpus": os.cpu_count(), "load": os.getloadavg(), "seed": seed}
    async with Cast(folder=folder) as cast, Softphone() as alice:
        await cast.start_bootstrap(k=3, n=7)
        for user in ("alice", "bob"):
            await cast.start_adapter(user)
        bob = await Program.start(
            "phone bob",
            [
                *(command("secp2psip"), "listen", "--user", "bob", "--state", cast.state("bob"), "--auto-answer"),
                *("--play", str(SPEECH), "--speaker", "none", "--require-encryption", "--json"),
            ],
            folder=folder,
        )
        cast.phones.append(bob)
        await bob.expect(is_event("listening"), within_s=30, what="listening")
        registrar = format_address(cast.sip["alice"])
        await alice.start(host=HOST, user="alice", registrar=registrar, play=SPEECH, require_encryption=True)
        await alice.register()
        endurance = Endurance(cast, alice, bob, say=say)
        if calls:
            report["calls"] = await endurance.many(calls)
        if kills:
            report["kills"] = await endurance.killing(kills, random.Random(seed))
        report["children_peak_kb"] = max(endurance.story.children_kb.values(), default=0)
    return report | {"promises": promises(report)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/bench/endurance.json"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="endurance-") as folder:
        report = asyncio.run(
            endure(
                Path(folder),
                calls=args.calls,
                kills=args.kills,
                seed=args.seed,
                say=lambda text: print(text, flush=True),  # noqa: T201
            )
        )
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(report, indent=1) + "\n")
    for promise, held in report["promises"].items():
        print(f"{'holds' if held else 'FAILS':<6} {promise}")  # noqa: T201
    return 0 if all(report["promises"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
