"""Which microphones and speakers this host has, and which are meant by what a person says.  I/O: processes.

A sound server is asked first (`pactl`, of PulseAudio or of PipeWire in its place), then the bare cards (`arecord`,
`aplay`). Neither may be there: a call then sends silence unless a file is played, and says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from adapter.problems import UsageProblem
from adapter.softphone.devices import BACKENDS, Device, SoundEnd, read_alsa, read_pulse
from overlay.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Sequence

ASK_S: Final = 3.0
"""How long a program may take to list devices."""
MAX_LIST_BYTES: Final = 1 << 20
NONE: Final = "none"
PROGRAMS: Final = ("pactl", "arecord")
"""One of each package that records and plays."""
START: Final = "systemctl --user start pipewire-pulse, or pulseaudio --start"
INSTALL: Final = "Debian and Ubuntu: apt install pulseaudio-utils (with PulseAudio or PipeWire) or alsa-utils"


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """What there is to choose from."""

    microphones: tuple[Device, ...] = ()
    speakers: tuple[Device, ...] = ()
    why: str = ""
    """Why there are none, for a person; empty where there are."""
    hint: str = ""
    """What to do about that."""


async def list_devices() -> Devices:
    """Return the devices of the sound server, else of the sound cards. Raises nothing."""
    info, refused = await _ask("pactl", "info")
    if info:
        names = dict(line.split(": ", 1) for line in info.splitlines() if ": " in line)
        with contextlib.suppress(RemoteError):
            (sources, _), (sinks, _) = await asyncio.gather(
                _ask("pactl", "--format=json", "list", "sources"), _ask("pactl", "--format=json", "list", "sinks")
            )
            found = Devices(
                microphones=read_pulse(sources, names.get("Default Source", ""), speakers=False),
                speakers=read_pulse(sinks, names.get("Default Sink", ""), speakers=True),
            )
            if found.microphones or found.speakers:
                return found
            return Devices(why="the sound server knows no sound card", hint="is one plugged in? pactl list cards short")
    microphones, speakers = await asyncio.gather(_alsa("arecord"), _alsa("aplay"))
    if microphones or speakers:
        return Devices(microphones=microphones, speakers=speakers)
    why, hint = why_none(
        installed=frozenset(program for program in PROGRAMS if shutil.which(program)),
        refused=refused,
        cards=_cards(),
    )
    return Devices(why=why, hint=hint)


def why_none(*, installed: frozenset[str], refused: str, cards: Sequence[bool]) -> tuple[str, str]:
    """Say why there is no device, and what to do.

    `installed` of PROGRAMS, what pactl complained of, and for each sound card's stream whether it may be opened.
    """
    if not installed:
        return "no program is installed that records and plays", INSTALL
    if "denied" in refused.casefold():
        return "the sound server refuses this user", "run it as the user who is logged in: the sound server is theirs"
    if cards and not any(cards):
        return "this user may not open the sound card", "sudo usermod -aG audio $USER, then log in anew"
    if cards and "arecord" not in installed:
        return "no sound server answers", f"start it: {START}; or use the card without one: apt install alsa-utils"
    if "pactl" in installed:
        return "no sound server answers, and there is no sound card", f"start it: {START}"
    return "there is no sound card, and nothing that speaks to a sound server", INSTALL


def users_of_cards() -> tuple[tuple[str, str], ...]:
    """Return what is in use of the sound cards, `microphone` or `speaker`, and by what program."""
    found = []
    for status in sorted(Path("/proc/asound").glob("card*/pcm*/sub*/status")):
        with contextlib.suppress(OSError):
            if (owner := read_owner(status.read_text(errors="replace"))) is not None:
                name = Path(f"/proc/{owner}/comm").read_text(errors="replace").strip()
                kind = "microphone" if status.parts[-3].endswith("c") else "speaker"
                found.append((kind, f"{name} (pid {owner})"))
    return tuple(found)


def read_owner(status: str) -> int | None:
    """Return the process that has a sound card's stream open, from its `status` below /proc/asound; None for nobody."""
    match = re.search(r"^owner_pid\s*:\s*([0-9]{1,10})$", status, re.MULTILINE)
    return int(match[1]) if match else None


def choose(wanted: str | None, devices: tuple[Device, ...], *, what: str) -> str:
    """Return the end that `wanted` names, as SoundEnd writes it; the default one for None, and empty where none is.

    A name as `secp2psip devices` shows it, or a part of one or of its description that no other has. UsageProblem
    where it is none or several.
    """
    if wanted == NONE:
        return ""
    if wanted is None:
        best = next((device for device in devices if device.is_default), None)
        return "" if best is None else best.end.backend if best.end.backend == "pulse" else str(best.end)
    if wanted.partition(":")[0] in BACKENDS:
        try:
            return str(SoundEnd.parse(wanted))
        except RemoteError as error:
            raise UsageProblem(str(error), hint="secp2psip devices lists them") from None
    exact = [device for device in devices if device.end.device == wanted]
    part = wanted.casefold()
    found = exact or [d for d in devices if part in d.end.device.casefold() or part in d.about.casefold()]
    if len(found) == 1:
        return str(found[0].end)
    many = f"{len(found)} {what}s have {wanted!r} in their names" if found else f"there is no {what} {wanted!r}"
    raise UsageProblem(many, hint="secp2psip devices lists them; none is silence")


def _cards() -> list[bool]:
    """Return for each stream of each sound card whether this user may open it."""
    return [os.access(card, os.R_OK | os.W_OK) for card in Path("/dev/snd").glob("pcm*")]


async def _alsa(program: str) -> tuple[Device, ...]:
    # -l names real cards, -L every plug-in that could be one
    if "card " not in (await _ask(program, "-l"))[0]:
        return ()
    return read_alsa((await _ask(program, "-L"))[0])


async def _ask(*argv: str) -> tuple[str, str]:
    """Return what a program writes, nothing where it is not there, fails or takes too long; and what it complains of.

    Both in the plain words of the C locale.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=os.environ | {"LC_ALL": "C.UTF-8"}
        )
    except OSError:
        return "", ""
    try:
        out, flaw = await asyncio.wait_for(process.communicate(), ASK_S)
    except TimeoutError:
        return "", ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    told = out[:MAX_LIST_BYTES].decode(errors="replace") if process.returncode == 0 else ""
    return told, flaw[:MAX_LIST_BYTES].decode(errors="replace")
