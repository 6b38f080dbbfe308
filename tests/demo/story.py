"""The demo in acts: register all, call, call with no bootstrap server, call while the ring dies.  I/O: processes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from adapter.softphone.audio import compare
from tests.support.cast import NAMES, Cast, is_event, together
from tests.support.programs import Program, ProgramFailed
from tests.support.proof import cut, family_of, owns_udp_port

if TYPE_CHECKING:
    from tests.demo.report import Report

PLACED_WITHIN_S = 30.0
"""How long bob's pieces may take to lie on n distinct nodes."""
TALK_S = 8.0
"""Length of the first two calls."""
OUTLIVE_S = 14.0
"""How long the third call goes on after the last ring node died."""
ANSWERED_WITHIN_S = 20.0
GOOD_AUDIO = 0.9
SETTLE_S = 1.0
"""The first second after the ring's death is left out of the tail that is judged."""

ALICE, BOB = NAMES[:2]


@dataclass(slots=True, kw_only=True)
class Call:
    """One call of alice to bob, with everything both phones said."""

    phone: Program
    """Alice's program."""
    callee: Program
    """Bob's program."""
    since: int
    """Index of bob's first event of this call."""
    played: tuple[Path, Path]
    """What alice and bob played."""
    recorded: tuple[Path, Path]
    """What alice and bob heard."""
    established: dict[str, Any] = field(default_factory=dict)
    ended: dict[str, Any] = field(default_factory=dict)
    media_direct: bool = False

    def event(self, name: str) -> dict[str, Any] | None:
        """Return alice's first event of that name."""
        return next((event for event in self.phone.events if event.get("event") == name), None)

    def steps(self) -> list[dict[str, Any]]:
        """Return the protocol steps of the call at alice's adapter."""
        return [event for event in self.phone.events if event.get("event") == "step" and event.get("flow") == "call"]

    def at_ms(self, step: str) -> float | None:
        """Return when a step was reached, in milliseconds after the INVITE."""
        return next((float(event["at_ms"]) for event in self.steps() if event["step"] == step), None)

    @property
    def redirected(self) -> bool:
        """A 302 came, and the INVITE that bob's phone answered went to its Contact."""
        redirect = self.event("redirected")
        return redirect is not None and _authority(redirect["contact"]) == _authority(self.established["remote_uri"])

    @property
    def verified(self) -> bool:
        """The adapter says that bob's key was borne by 2k-1 nodes and signed the REDIRECT."""
        return bool(self.established.get("verified")) and self.established.get("basis") == "polynomial"


def _authority(uri: str) -> str:
    return uri.strip("<>").split("@", 1)[-1].split(";", 1)[0]


class Story:
    """One run of the demo."""

    def __init__(self, cast: Cast, report: Report, *, k: int, n: int) -> None:
        self._cast, self._report = cast, report
        self._k, self._n = k, n
        self._users = [NAMES[i] if i < len(NAMES) else f"user{i}" for i in range(n)]
        self._speech = tuple(Path(str(files("adapter.softphone") / "data" / f"{name}.wav")) for name in (ALICE, BOB))
        self._calls = 0

    async def run(self) -> dict[str, Any]:
        """Play it all and return the figures of build/demo.json."""
        cast, report = self._cast, self._report
        report.act(f"A ring of {self._n + 1} nodes")
        await cast.start_bootstrap(k=self._k, n=self._n)
        report.say(f"bootstrap server at {cast.bootstrap_address}")
        await together([cast.start_adapter(user) for user in self._users])
        report.say(f"{self._n} adapters, one process each, none registered yet")
        for user in self._users:
            await cast.register(user)
        report.ladder(f"how {BOB} registered", self._registration(BOB))
        register_ms = [self._registration(user)[-1]["at_ms"] for user in self._users]
        holders = await self._wait_for_placement()

        report.act("Alice calls bob")
        await cast.unregister(BOB)
        listening = await cast.listen(BOB, play=self._speech[1], record=cast.folder / "bob-heard.wav")
        first = await self._call(listening, duration_s=TALK_S)
        await self._end(first)
        report.ladder("the call, as alice's adapter saw it", first.steps())
        report.say(f"302 to {(first.event('redirected') or {}).get('contact')}")
        report.say(f"sound straight between the phones: {_yes(first.media_direct)}")
        audio = self._audio(first)

        report.act("The bootstrap server is killed; alice calls bob again")
        assert cast.bootstrap is not None
        await cast.bootstrap.kill()
        second = await self._call(listening, duration_s=TALK_S)
        await self._end(second)
        without = self._audio(second)

        report.act("A third call; in the middle of it every node of the ring is killed")
        third = await self._call(listening, duration_s=TALK_S / 2 + OUTLIVE_S)
        await asyncio.sleep(TALK_S / 2)  # the talk before the ring dies; nothing is waited for
        await together([adapter.kill() for adapter in cast.adapters.values()])
        died = time.monotonic()
        report.say(f"all {len(cast.adapters)} adapters are dead; the two go on talking")
        await self._end(third)
        outlived_s = self._good_after(third, died)
        report.say(f"{outlived_s:.0f} s of good sound after the last node died")

        return {
            "nodes": self._n + 1,
            "k": self._k,
            "n": self._n,
            "distinct_holders": holders,
            "call": {
                "established": bool(first.established),
                "status": int(first.established.get("status", 0)),
                "redirected": first.redirected,
                "media_direct": first.media_direct,
                "verified": first.verified,
            },
            "audio": {"a_to_b": round(audio[0], 3), "b_to_a": round(audio[1], 3)},
            "timings_ms": {
                "register_p50": round(median(register_ms), 1),
                "invite_to_302": first.at_ms("302 Moved Temporarily"),
                "invite_to_200": round(float(first.established.get("setup_ms", 0.0)), 1),
            },
            "bootstrap_dead_call": bool(second.established)
            and second.redirected
            and second.verified
            and min(without) >= GOOD_AUDIO,
            "ring_dead_audio_s": int(outlived_s),
        }

    def _registration(self, user: str) -> list[dict[str, Any]]:
        return [
            event
            for event in self._cast.adapters[user].events
            if event.get("event") == "step" and event.get("flow") == "register"
        ]

    async def _wait_for_placement(self) -> int:
        """Ask alice's adapter for bob's pieces until n distinct nodes hold them."""
        deadline = time.monotonic() + PLACED_WITHIN_S
        while True:
            found = await self._cast.ask(ALICE, "lookup", BOB)
            good = [piece for piece in found["pieces"] if piece["ok"]]
            holders = {piece["node"] for piece in good}
            settled = len(good) == self._n == len({piece["index"] for piece in good})  # each piece once, no old copies
            if (len(holders) == self._n and settled) or time.monotonic() > deadline:
                break
        self._report.pieces(BOB, found)
        if len(holders) < self._n:
            self._report.fail(
                f"bob's pieces lie on {len(holders)} nodes after {PLACED_WITHIN_S:.0f} s, not on {self._n}"
            )
        return len(holders)

    async def _call(self, listening: Program, *, duration_s: float) -> Call:
        self._calls += 1
        since = len(listening.events)
        heard = self._cast.folder / f"alice-heard-{self._calls}.wav"
        phone = await self._cast.call(BOB, user=ALICE, play=self._speech[0], record=heard, duration_s=duration_s)
        call = Call(
            phone=phone,
            callee=listening,
            since=since,
            played=self._speech,
            recorded=(heard, self._cast.folder / "bob-heard.wav"),
        )
        call.established = await phone.expect(is_event("established"), within_s=ANSWERED_WITHIN_S, what="established")
        theirs = await listening.expect(
            is_event("established"), within_s=ANSWERED_WITHIN_S, what="established", since=since
        )
        # the kernel is asked whose ports the sound goes to
        call.media_direct = owns_udp_port(
            family_of(listening.process.pid), _port(call.established["media_remote"])
        ) and owns_udp_port(family_of(phone.process.pid), _port(theirs["media_remote"]))
        self._report.say(
            f"talking, {call.established.get('codec')}, {call.established.get('setup_ms', 0):.0f} ms after the INVITE"
        )
        return call

    async def _end(self, call: Call) -> None:
        code = await call.phone.wait(60.0)
        if code != 0:
            raise ProgramFailed(f"{call.phone.label} ended with {code}\n{call.phone.tail()}")
        call.ended = await call.phone.expect(is_event("ended"), within_s=1.0, what="ended")
        await call.callee.expect(is_event("ended"), within_s=15.0, what="ended", since=call.since)
        # bob's phone writes every call to the same file: keep this one
        kept = self._cast.folder / f"bob-heard-{self._calls}.wav"
        kept.write_bytes(call.recorded[1].read_bytes())
        call.recorded = (call.recorded[0], kept)

    def _audio(self, call: Call) -> tuple[float, float]:
        a_to_b = compare(call.played[0], call.recorded[1])
        b_to_a = compare(call.played[1], call.recorded[0])
        self._report.say(
            f"sound alice to bob {a_to_b.median:.2f}, bob to alice {b_to_a.median:.2f} (1.00 is identical)"
        )
        return (a_to_b.median if a_to_b.ok else 0.0, b_to_a.median if b_to_a.ok else 0.0)

    def _good_after(self, call: Call, died: float) -> float:
        """Return the seconds of good sound that both phones recorded after the ring's death."""
        seconds = []
        for sent, heard, events in (
            (call.played[1], call.recorded[0], call.phone.events),
            (call.played[0], call.recorded[1], call.callee.events[call.since :]),
        ):
            began = next(float(event["at"]) for event in events if event.get("event") == "established")
            tail = heard.with_name(f"{heard.stem}-tail.wav")
            length = cut(heard, from_s=died - began + SETTLE_S, to=tail)
            score = compare(sent, tail)
            self._report.say(f"after the ring's death: {length:.1f} s recorded, {score.median:.2f}")
            seconds.append(length if score.ok and score.median >= GOOD_AUDIO else 0.0)
        return min(seconds)


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])


def _yes(value: object) -> str:
    return "yes" if value else "NO"
