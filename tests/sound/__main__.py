# ruff: noqa: T201 - a program that says what it found
"""`make interop-sound`: a call through a virtual sound card, both ways at once, by the product's own commands.

    python -m tests.sound [--seconds S] [--drift PPM] [--out FILE]

Two adapters, `secp2psip listen` and `secp2psip call` with microphone and speaker of the card; two mouths speak for
a minute each, at the same time. Exit code 0 only if every bound holds, both ways.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import shutil
import sys
import tempfile
import time
import wave
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from adapter.softphone import audio, devices
from tests.interop.tool import InteropFailed
from tests.sound.card import CHANNELS, PROGRAMS, VirtualCard
from tests.sound.ear import Hearing, hear
from tests.sound.stalls import Stalls
from tests.support.cast import Cast, is_event
from tests.support.programs import Program, ProgramFailed, command

if TYPE_CHECKING:
    from adapter.softphone.audio import Samples

OUT: Final = Path("build/bench/sound.json")
SECONDS: Final = 62.0
CORRELATION: Final = 0.9
LATENCY_MS: Final = 200.0
DROPOUTS: Final = 1.0
"""The bounds: median correlation, median mouth-to-ear latency, dropouts of 5 ms and more in a minute."""
UP_S: Final = 30.0
BEGIN_S: Final = 3.7
"""By how much each round of a voice begins later than the one before."""
LEAD_IN_S: Final = 2.0
"""How long the call is up before anybody speaks: microphone and speaker are opened with it, and take a second."""
TAIL_S: Final = 2.0
"""What is recorded after the mouths have said all."""
LEAD_S: Final = 5.0
"""How much longer the call may be up than the mouths speak: programs that start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One direction of the call."""

    name: str
    mouth: str
    ear: str


WAYS: Final = (
    Way(name="alice to bob", mouth="mouth_a", ear="ear_b"),
    Way(name="bob to alice", mouth="mouth_b", ear="ear_a"),
)


async def play(
    folder: Path, stalls: Stalls, *, seconds: float, drift_ppm: float, codec: str, server: str = ""
) -> tuple[Path, dict[str, Any]]:
    """Play the call; the recording of the card, and what both phones and the machine have to say of it."""
    for name, mouth in (("alice", "mouth_a"), ("bob", "mouth_b")):
        _stretch(Path(str(files("adapter.softphone") / "data" / f"{name}.wav")), folder / f"{mouth}.wav", seconds)
    async with VirtualCard(folder / "pulse", server) as card:
        os.environ.update(card.environment)
        async with Cast(folder=folder) as cast:
            await cast.start_bootstrap(k=3, n=7)
            for user in ("alice", "bob"):
                await cast.start_adapter(user)
            bob = await _phone(cast, "bob", ["listen", "--auto-answer"], side="b", codec=codec)
            await bob.expect(is_event("listening"), within_s=UP_S, what="listening")
            alice = await _phone(cast, "alice", ["call", "bob"], side="a", codec=codec, drift_ppm=drift_ppm)
            await asyncio.gather(
                *(phone.expect(is_event("established"), within_s=UP_S, what="a call") for phone in (alice, bob))
            )
            recorder = await card.record(folder / "card.wav")
            began = time.monotonic()
            await recorder.caught_up(LEAD_IN_S)
            mouths = [await card.say(way.mouth, folder / f"{way.mouth}.wav") for way in WAYS]
            for mouth in mouths:
                if await mouth.wait(seconds + LEAD_S) != 0:
                    raise InteropFailed(f"a mouth fell silent: {mouth.text()[-200:]}")
            machine = stalls.between(began, time.monotonic())
            await recorder.caught_up(TAIL_S)
            await recorder.stop()
            await alice.stop()
            ended = {}
            for name, phone in (("alice", alice), ("bob", bob)):
                ended[name] = await phone.expect(is_event("ended"), within_s=UP_S, what="the end of the call")
    return folder / "card.wav", {"phones": ended, "machine": machine}


async def _phone(cast: Cast, user: str, words: list[str], *, side: str, codec: str, drift_ppm: float = 0.0) -> Program:
    argv = [
        *(command("secp2psip"), *words, "--user", user, "--state", cast.state(user), "--json"),
        *("--mic", f"pulse:mic_{side}", "--speaker", f"pulse:ear_{side}", *(["--codec", codec] if codec else [])),
    ]
    if drift_ppm:
        argv = ["env", f"PATH={_drifting(cast.folder / 'drifting', drift_ppm)}:{os.environ['PATH']}", *argv]
    phone = await Program.start(f"phone {user}", argv, folder=cast.folder)
    cast.phones.append(phone)
    return phone


def _drifting(folder: Path, ppm: float) -> Path:
    """Make parec and pacat whose card's crystal is off by so many millionths: they take its rate for another."""
    folder.mkdir()
    rate = round(devices.RATE_HZ * (1 + ppm / 1e6))
    for program in ("parec", "pacat"):
        real, shim = shutil.which(program), folder / program
        shim.write_text(f'#!/bin/bash\nexec {real} "${{@/--rate={devices.RATE_HZ}/--rate={rate}}}"\n')
        shim.chmod(0o755)
    return folder


def _stretch(voice: Path, path: Path, seconds: float) -> None:
    """Write a voice again and again, until it is so long; each round begins elsewhere, so that none is another."""
    with wave.open(str(voice), "rb") as file:
        parameters, once = file.getparams(), file.readframes(file.getnframes())
    frame = parameters.sampwidth * parameters.nchannels
    wanted = int(seconds * parameters.framerate) * frame
    rounds = []
    for number in range(math.ceil(wanted / len(once))):
        begin = int(number * BEGIN_S * parameters.framerate) * frame % len(once)
        rounds.append(once[begin:] + once[:begin])
    with wave.open(str(path), "wb") as file:
        file.setparams(parameters)
        file.writeframes(b"".join(rounds)[:wanted])


def channels(recording: Path) -> dict[str, Samples]:
    """Return the card's channels at audio.RATE_HZ, by name."""
    with wave.open(str(recording), "rb") as file:
        count, rate = file.getnchannels(), file.getframerate()
        data = file.readframes(1 << 31)
    together = np.frombuffer(data[: len(data) // (2 * count) * 2 * count], dtype="<i2").reshape(-1, count)
    found = {}
    for place, name in enumerate(CHANNELS):
        one = recording.with_name(f"{name}-heard.wav")
        with wave.open(str(one), "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", ""))
            file.writeframes(np.ascontiguousarray(together[:, place]).tobytes())
        found[name] = audio.read(one)
    return found


def flaws(name: str, heard: Hearing) -> list[str]:
    """Say which bounds one direction breaks."""
    found = []
    if not heard.correlation >= CORRELATION:
        found.append(f"{name}: correlation {heard.correlation:.3f}, wanted {CORRELATION}")
    if not heard.latency_ms(0.5) <= LATENCY_MS:
        found.append(f"{name}: {heard.latency_ms(0.5):.0f} ms from mouth to ear, at most {LATENCY_MS:.0f} wanted")
    if not heard.dropouts_per_minute <= DROPOUTS:
        found.append(f"{name}: {heard.dropouts_per_minute:.1f} dropouts a minute, at most {DROPOUTS:g} wanted")
    return found


def main() -> int:
    """Play one call and judge it."""
    parser = argparse.ArgumentParser(prog="make interop-sound", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"how long both speak ({SECONDS:g})")
    parser.add_argument(
        "--drift", type=float, default=0.0, metavar="PPM", help="alice's card is off by so many millionths"
    )
    parser.add_argument("--codec", default="", help="one of the phone's codecs (default: its own choice)")
    parser.add_argument(
        "--server",
        default="",
        metavar="ADDRESS",
        help="a sound server that runs, such as PipeWire's, as PULSE_SERVER names it (default: a private PulseAudio)",
    )
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE", help=f"figures ({OUT})")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep recordings and logs there")
    arguments = parser.parse_args()
    needed = PROGRAMS[1:] if arguments.server else PROGRAMS
    if absent := [program for program in needed if shutil.which(program) is None]:
        print(f"make interop-sound cannot run: {', '.join(absent)} not installed: make interop-setup", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="secp2psip-sound-"))
    try:
        with Stalls() as stalls:
            recording, told = asyncio.run(
                play(
                    folder,
                    stalls,
                    seconds=arguments.seconds,
                    drift_ppm=arguments.drift,
                    codec=arguments.codec,
                    server=arguments.server,
                )
            )
        sound = channels(recording)
    except (InteropFailed, ProgramFailed, TimeoutError) as error:
        print(f"the call could not be played: {error}", file=sys.stderr)
        return 1
    finally:
        if arguments.keep:
            shutil.copytree(
                folder, arguments.keep, dirs_exist_ok=True, ignore=shutil.ignore_patterns("native", "*.sock")
            )
        shutil.rmtree(folder, ignore_errors=True)
    heard = {way.name: hear(sound[way.mouth], sound[way.ear]) for way in WAYS}
    wrong = [flaw for name, one in heard.items() for flaw in flaws(name, one)]
    report = {
        "ok": not wrong,
        "drift_ppm": arguments.drift,
        "bounds": {"correlation": CORRELATION, "latency_ms_median": LATENCY_MS, "dropouts_per_minute": DROPOUTS},
        "ways": {name: one.as_json() for name, one in heard.items()},
        **told,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, indent=1) + "\n")
    for name, one in heard.items():
        print(
            f"{name}: correlation {one.correlation:.3f} ({one.bad_windows} of {one.windows} seconds bad),"
            f" latency {one.latency_ms(0.5):.0f} ms (p95 {one.latency_ms(0.95):.0f}, growth {one.growth_ms:+.1f}),"
            f" {len(one.dropouts)} dropouts in {one.seconds:.0f} s"
        )
    machine = told["machine"]
    print(f"this machine stood still {machine['stalls']} times, {machine['longest_ms']:.0f} ms at the longest")
    print("\n".join(wrong) or "every bound holds")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
