"""A ring that never rests, in virtual time: can users still be found, and do their pieces and records stay readable?

Nodes live for an exponential time of 10 minutes on average and come back after two, as the same node at the same
address with what they had stored and the peers they knew; half of them go without a word. Half of them have a user,
whose real upkeep runs while the node is up. The bootstrap's node dies after 5 minutes for ever. Nothing is a model:
members, stores, upkeep and lookups are the product's own.

    python -m tests.benchmarks.churn --nodes 30 --minutes 15
"""

from __future__ import annotations

import argparse
import asyncio
import bisect
import gc
import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adapter.acquaintances import JOIN_CONTACTS
from adapter.directory import Directory
from adapter.membership import REJOIN_EVERY_S
from adapter.upkeep import Upkeep
from overlay.errors import Secp2psipError
from overlay.ring.chord import RingUnreachable
from overlay.ring.storage import RecordStore
from overlay.trust.identity import PrivateBundle
from tests.support.members import TestOverlay
from tests.support.network import Network
from tests.support.warmed import fill

if TYPE_CHECKING:
    from overlay.ring.ids import Peer
    from overlay.ring.kademlia_ring import KademliaRing
    from overlay.ring.sessions import RingIdentity
    from overlay.trust.pieces import KeyPiece
    from overlay.trust.records import ShareList

K, N = 3, 7
HOST = "10.0.0.1"
FIRST_PORT = 5000
SESSION_S, AWAY_S = 600.0, 120.0
SUDDEN = 0.5
"""The part of all ends that nobody is told of."""
SETTLE_S = 90.0
BOOTSTRAP_DIES_S = 300.0
REPAIR_S = 30.0
CHECK_EVERY_S = 10.0
"""Several nodes change in this time: one check counts for all of them."""
LOOKUP_EVERY_S = 2.0
PROGRESS_EVERY_S = 600.0
CPU_LIMIT_S = 1200.0
WORK = ("ring: asked ", "ring: sent again", "ring: silent")
"""What begins the names of the counters that tell what a ring's datagrams are for."""
FULL, QUICK = (200, 120.0), (24, 10.0)
"""Nodes up on average, minutes of virtual time."""


@dataclass
class Home:
    """One node through all its lives, with its user if it has one."""

    number: int
    identity: RingIdentity
    store: RecordStore
    user: PrivateBundle | None
    pieces: tuple[KeyPiece, ...] = ()
    share_list: ShareList | None = None
    cache: list[Peer] = field(default_factory=list)
    ring: KademliaRing | None = None
    upkeep: Upkeep | None = None
    running: asyncio.Task[None] | None = None
    since: float | None = None
    """When it joined last; None while it is away or joining."""
    record_until: float = 0.0

    @property
    def aor(self) -> str:
        return f"user-{self.number}"


class Churn:
    """The run: who is up, what is counted."""

    def __init__(self, nodes: int, minutes: float, *, cpu_limit_s: float, seed: int) -> None:
        self.nodes, self.minutes, self.cpu_limit_s = nodes, minutes, cpu_limit_s
        self.network = Network(seed=seed)
        self.overlay = TestOverlay(clock=self.network.clock, seed=seed)
        self.rng = random.Random(seed)
        self.homes: list[Home] = []
        self.bootstrap: KademliaRing | None = None
        self.ends: dict[str, list[tuple[float, int]]] = {}
        """By user: when a node ended that held a piece, and which."""
        self.readable_at: dict[str, float] = {}
        self.counts: Counter[str] = Counter()
        self.why: Counter[str] = Counter()
        self.examples: list[dict[str, Any]] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self.work: Counter[str] = Counter()
        """What nodes that ended have asked of others."""
        self.work_before: Counter[str] = Counter()
        self.periods: list[dict[str, Any]] = []

    def run(self) -> dict[str, Any]:
        begun = time.process_time()
        virtual_s = self.network.run(self._program(begun))
        return {
            "nodes": self.nodes,
            "users": sum(home.user is not None for home in self.homes),
            "minutes_wanted": self.minutes,
            "minutes": round(virtual_s / 60, 1),
            "cpu_s": round(time.process_time() - begun, 1),
            **{
                name: self.counts[name]
                for name in (
                    "joins",
                    "joins that failed",
                    "goodbyes",
                    "sudden deaths",
                    "lookups",
                    "found",
                    "lookups not counted",
                    "lookups settled",
                    "found settled",
                    "checks",
                    "checked users",
                    "unreadable",
                    "unreadable excused",
                    "checked records",
                    "no record",
                    "no record excused",
                    "rounds",
                    "looks",
                    "datagrams",
                )
            },
            "per_node_s": self.periods,
            "why_not_found": dict(self.why),
            "examples": self.examples[:20],
        }

    async def _program(self, begun: float) -> float:
        loop = asyncio.get_running_loop()
        await self._begin()
        await self._rest(SETTLE_S, begun)
        _keep_out_of_the_collector()
        self.start = start = loop.time()
        self._count_work(0.0, time.process_time() - begun)
        for home in self.homes:
            self._spawn(self._live(home))
        self._spawn(self._end_bootstrap())
        next_check, next_lookup, next_word = start + REPAIR_S, start, start + PROGRESS_EVERY_S
        while loop.time() < start + 60 * self.minutes and time.process_time() - begun < self.cpu_limit_s:
            if loop.time() >= next_check:
                self._check(loop.time())
                next_check += CHECK_EVERY_S
            if loop.time() >= next_lookup:
                self._spawn(self._look_up())
                next_lookup += LOOKUP_EVERY_S
            if loop.time() >= next_word:
                self._count_work(loop.time() - start, time.process_time() - begun)
                self._say_how_far(loop.time() - start, time.process_time() - begun)
                _keep_out_of_the_collector()
                next_word += PROGRESS_EVERY_S
            await asyncio.sleep(max(0.0, min(next_check, next_lookup) - loop.time()))
        ended = loop.time() - start
        self.counts["datagrams"] = sum(self.network.sent.values())
        await self._finish()
        return ended

    def _count_work(self, virtual_s: float, cpu_s: float) -> None:
        """Keep what one node asked of others per second in the last period, and what it keeps at its end."""
        up = [home.ring for home in self.homes if home.ring]
        so_far = self.work + Counter(datagrams=sum(self.network.sent.values()))
        for ring in up:
            so_far.update(_work_of(ring))
        before, self.work_before = self.work_before, so_far
        if not virtual_s:  # what the ring did before the run began is no part of it
            return
        node_s = PROGRESS_EVERY_S * self.nodes
        rates = {name: round((so_far[name] - before[name]) / node_s, 3) for name in sorted(so_far)}
        wall = self.network.clock()
        held = [len(home.store.held(wall)) for home in self.homes if home.ring]
        self.periods.append(
            {
                "minute": round(virtual_s / 60),
                "cpu_s": round(cpu_s, 1),
                "pieces held": round(sum(held) / max(1, len(up)), 1),
                "contacts": round(sum(len(ring.peers()) for ring in up) / max(1, len(up)), 1),
                **rates,
            }
        )

    def _say_how_far(self, virtual_s: float, cpu_s: float) -> None:
        counts = self.counts
        unreadable = counts["unreadable"] + counts["no record"]
        print(  # noqa: T201 -- a benchmark reports as it goes
            f"churn: {virtual_s / 60:.0f} of {self.minutes:.0f} minutes, {cpu_s:.0f} s of CPU, "
            f"{counts['found']} of {counts['lookups']} look-ups, {unreadable} unreadable",
            file=sys.stderr,
            flush=True,
        )

    async def _rest(self, seconds: float, begun: float) -> None:
        """Let the first pieces find their places; no longer than the CPU's limit allows."""
        for _ in range(int(seconds)):
            if time.process_time() - begun < self.cpu_limit_s:
                await asyncio.sleep(1.0)

    async def _finish(self) -> None:
        """End everything, and raise what failed in the run itself."""
        counted = self.counts.copy()
        for task in self.tasks:
            task.cancel()
        outcomes = await asyncio.gather(*self.tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        for home in self.homes:
            if home.ring is not None:
                await self._end(home, sudden=True)
            home.store.close()
        # the end of the run is no part of it, but for the rounds that only the last owners know of
        counted.update({name: self.counts[name] for name in ("rounds", "looks")})
        self.counts = counted

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)

        def done(ended: asyncio.Task[None]) -> None:
            # a failure of the run itself is kept, and raised at the end
            if ended.cancelled() or ended.exception() is None:
                self.tasks.discard(ended)

        task.add_done_callback(done)

    async def _begin(self) -> None:
        """Everybody who is up at the beginning, with warm tables, and the bootstrap's node among them."""
        self.bootstrap = self.overlay.ring()
        await self.bootstrap.open(HOST, FIRST_PORT)
        total = round(self.nodes * (SESSION_S + AWAY_S) / SESSION_S)
        for number in range(1, total + 1):
            user = PrivateBundle.from_bytes(self.overlay.random_bytes(64)) if number <= self.nodes // 2 else None
            home = Home(number, self.overlay.identity(), RecordStore(), user)
            if user is not None:
                home.pieces = self.overlay.pieces(user, home.aor, k=K, n=N)
                home.share_list = self.overlay.share_list(user, home.aor, k=K, n=N)
            self.homes.append(home)
        first = [home for home in self.homes if home.user] + [home for home in self.homes if not home.user]
        for home in first[: self.nodes]:
            await self._open(home)
        fill([self.bootstrap, *(home.ring for home in self.homes if home.ring)], self.rng)
        await self.bootstrap.join([])
        for home in self.homes:
            if home.ring:
                await home.ring.join([])
                self._settle(home)

    async def _open(self, home: Home) -> None:
        home.ring = self.overlay.ring(home.identity, store=home.store)
        await home.ring.open(HOST, FIRST_PORT + home.number)

    def _settle(self, home: Home) -> None:
        home.since = asyncio.get_running_loop().time()
        if home.user is None:
            return
        assert home.ring is not None
        assert home.share_list is not None
        home.upkeep = upkeep = Upkeep(
            home.ring, user=home.user, pieces=home.pieces, share_list=home.share_list, clock=self.network.clock
        )
        home.ring.on_change = upkeep.changed
        home.running = asyncio.create_task(upkeep.run())

    async def _live(self, home: Home) -> None:
        """One session after the other."""
        dice = random.Random(self.rng.random())
        if home.ring is None:
            await asyncio.sleep(dice.expovariate(1 / AWAY_S))
            await self._come(home)
        while True:
            await asyncio.sleep(dice.expovariate(1 / SESSION_S))
            await self._end(home, sudden=dice.random() < SUDDEN)
            await asyncio.sleep(dice.expovariate(1 / AWAY_S))
            await self._come(home)

    async def _come(self, home: Home) -> None:
        await self._open(home)
        assert home.ring is not None
        assert self.bootstrap is not None
        # the first time through the bootstrap, afterwards through the peers known when it went
        contacts = home.cache[:JOIN_CONTACTS] or [self.bootstrap.me]
        while True:
            self.counts["joins"] += 1
            try:
                await home.ring.join(contacts)
                break
            except RingUnreachable:
                self.counts["joins that failed"] += 1
                if not home.cache:  # somebody new asks a neighbour where the bootstrap is gone
                    contacts = [self.rng.choice([one for one in self._up() if one.ring]).ring.me]
                await asyncio.sleep(REJOIN_EVERY_S)
        self._settle(home)

    async def _end(self, home: Home, *, sudden: bool) -> None:
        ring, upkeep, running = home.ring, home.upkeep, home.running
        assert ring is not None
        home.cache = ring.peers()
        self.work.update(_work_of(ring))
        now = asyncio.get_running_loop().time()
        for aor in {aor for aor, _ in home.store.held(self.network.clock())}:
            self.ends.setdefault(aor, []).append((now, home.number))
        home.ring, home.upkeep, home.running, home.since = None, None, None, None
        if upkeep is not None and running is not None:
            self.counts["rounds"] += upkeep.counters["rounds"]
            self.counts["looks"] += upkeep.counters["looks"]
            home.record_until = upkeep.record.expires_at if upkeep.record else 0.0
            upkeep.stop()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        self.counts["sudden deaths" if sudden else "goodbyes"] += 1
        await (ring.close() if sudden else ring.leave())

    async def _end_bootstrap(self) -> None:
        assert self.bootstrap is not None
        await asyncio.sleep(BOOTSTRAP_DIES_S)
        await self.bootstrap.close()

    def _up(self) -> list[Home]:
        return [home for home in self.homes if home.since is not None]

    async def _look_up(self) -> None:
        """A random node looks a random user up whose node is up, before and after."""
        up = self._up()
        asker, callee = self.rng.choice(up), self.rng.choice([home for home in up if home.user])
        ring, begun = asker.ring, asyncio.get_running_loop().time()
        callee_since, asker_since = callee.since, asker.since
        assert ring is not None
        assert callee.user is not None
        assert asker_since is not None
        assert callee_since is not None
        directory = Directory(
            ring,
            dealing_public=self.overlay.dealing.public,
            k=K,
            n=N,
            rng=random.Random(self.rng.random()),
            clock=self.network.clock,
        )
        why = ""
        try:
            found = await directory.find(callee.aor)
            if found.bundle != callee.user.public:
                why = "wrong key"
            elif found.contact is None or found.contact.address != (HOST, FIRST_PORT + callee.number):
                why = "wrong address"
        except Secp2psipError as error:
            why = type(error).__name__
        if asker.since != asker_since or callee.since != callee_since:
            # one of the two went away meanwhile: then it was no lookup of a living user by a living node
            self.counts["lookups not counted"] += 1
            return
        settled = begun - max(asker_since, callee_since) >= REPAIR_S
        for suffix in ("", " settled") if settled else ("",):
            self.counts["lookups" + suffix] += 1
            self.counts["found" + suffix] += not why
        if why:
            self.why[why] += 1
            self._note(
                callee,
                why=why,
                at_s=round(begun - self.start),
                asker_up_s=round(begun - asker_since),
                callee_up_s=round(begun - callee_since),
                took_s=round(asyncio.get_running_loop().time() - begun, 2),
            )

    def _note(self, home: Home, **what: Any) -> None:
        now = self.network.clock()
        held = {other.number: [i for aor, i in other.store.held(now) if aor == home.aor] for other in self._up()}
        self.examples.append({**what, "held": {number: indices for number, indices in held.items() if indices}})

    def _check(self, now: float) -> None:
        """Whether k pieces and a fresh record of every user lie on nodes that are up."""
        self.counts["checks"] += 1
        wall = self.network.clock()
        indices: dict[str, set[int]] = {}
        holders: dict[str, list[Home]] = {}
        for home in self._up():
            for aor, index in home.store.held(wall):
                indices.setdefault(aor, set()).add(index)
                holders.setdefault(aor, []).append(home)
        for home in self.homes:
            if home.user is None:
                continue
            aor = home.aor
            excused = self._lost_too_many(aor, self.readable_at.get(aor, 0.0) - REPAIR_S)
            self.counts["checked users"] += 1
            is_readable = len(indices.get(aor, ())) >= K
            # the owner alone can renew a record: of one who has been away too long there is none
            last = home.upkeep.record if home.upkeep else None
            until = last.expires_at if last else home.record_until
            is_due = (home.since is not None and now - home.since >= REPAIR_S) or until > wall
            has_record = not is_due or any(self._has_record(one, aor, wall) for one in holders.get(aor, ()))
            self.counts["checked records"] += is_due
            if not is_readable:
                self.counts["unreadable excused" if excused else "unreadable"] += 1
            elif not has_record:
                self.counts["no record excused" if excused else "no record"] += 1
            if not excused and not (is_readable and has_record):
                self._note(home, why="unreadable" if not is_readable else "no record", at_s=round(now - self.start))
            if is_readable and has_record:
                self.readable_at[aor] = now

    @staticmethod
    def _has_record(home: Home, aor: str, wall: float) -> bool:
        record = home.store.get(aor, wall).record
        return record is not None and record.expires_at > wall

    def _lost_too_many(self, aor: str, since: float) -> bool:
        """Whether more than n-k holders ended within one repair period, at any time after `since`."""
        ends = self.ends.get(aor, [])
        times = [when for when, _ in ends]
        for first in range(bisect.bisect_left(times, since), len(ends)):
            last = bisect.bisect_right(times, times[first] + REPAIR_S)
            if len({number for _, number in ends[first:last]}) > N - K:
                return True
        return False


def _keep_out_of_the_collector() -> None:
    """Spare the garbage collector's rounds what is there now: hundreds of nodes share one collector here."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _work_of(ring: KademliaRing) -> dict[str, int]:
    return {name: count for name, count in ring.counters().items() if name.startswith(WORK)}


def measure(*, quick: bool) -> dict[str, Any]:
    """Run it and return what was counted; it stops early where it would take more than `CPU_LIMIT_S` of CPU."""
    nodes, minutes = QUICK if quick else FULL
    return Churn(nodes, minutes, cpu_limit_s=CPU_LIMIT_S, seed=5).run()


def held(figures: dict[str, Any]) -> dict[str, bool | None]:
    """Return each promise and whether it held; None where it did not fail but the run was shorter or smaller."""
    is_whole = figures["nodes"] >= FULL[0] and figures["minutes"] >= FULL[1]

    def judged(counted: int, *, is_kept: bool) -> bool | None:
        if counted and not is_kept:
            return False
        return True if counted and is_whole else None

    return {
        "churn: 99.9 % of the lookups of living users succeed": judged(
            figures["lookups"], is_kept=figures["found"] >= 0.999 * figures["lookups"]
        ),
        "churn: every user's pieces and record readable": judged(
            figures["checks"], is_kept=not figures["unreadable"] + figures["no record"]
        ),
    }


def main() -> None:
    """Measure a ring of any size by itself."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--nodes", type=int, default=FULL[0])
    parser.add_argument("--minutes", type=float, default=FULL[1])
    parser.add_argument("--cpu-limit", type=float, default=CPU_LIMIT_S, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    run = Churn(arguments.nodes, arguments.minutes, cpu_limit_s=arguments.cpu_limit, seed=arguments.seed)
    figures = run.run()
    json.dump({**figures, "held": held(figures)}, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
