"""Which microphones and speakers this host has, and which are meant by what a person says.  I/O: processes.

A sound server is asked first (`pactl`, of PulseAudio or of PipeWire in its place), then the bare cards (`arecord`,
`aplay`). Neither may be there: a call then sends silence unless a file is played, and says so.
"""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from typing import Final

from adapter.problems import UsageProblem
from adapter.softphone.devices import BACKENDS, Device, SoundEnd, read_alsa, read_pulse
from overlay.errors import RemoteError

ASK_S: Final = 3.0
"""How long a program may take to list devices."""
MAX_LIST_BYTES: Final = 1 << 20
NONE: Final = "none"
INSTALL: Final = "Debian and Ubuntu: apt install pulseaudio-utils (with PulseAudio or PipeWire) or alsa-utils"


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    """What there is to choose from."""

    microphones: tuple[Device, ...] = ()
    speakers: tuple[Device, ...] = ()
    why: str = ""
    """Why there are none, for a person; empty where there are."""


async def list_devices() -> Devices:
    """Return the devices of the sound server, else of the sound cards. Raises nothing."""
    info = await _ask("pactl", "info")
    if info:
        names = dict(line.split(": ", 1) for line in info.splitlines() if ": " in line)
        with contextlib.suppress(RemoteError):
            sources, sinks = await asyncio.gather(
                _ask("pactl", "--format=json", "list", "sources"), _ask("pactl", "--format=json", "list", "sinks")
            )
            return Devices(
                microphones=read_pulse(sources, names.get("Default Source", ""), speakers=False),
                speakers=read_pulse(sinks, names.get("Default Sink", ""), speakers=True),
            )
    microphones, speakers = await asyncio.gather(_alsa("arecord"), _alsa("aplay"))
    if microphones or speakers:
        return Devices(microphones=microphones, speakers=speakers)
    return Devices(why="no sound server answers, and there is no sound card")


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


async def _alsa(program: str) -> tuple[Device, ...]:
    # -l names real cards, -L every plug-in that could be one
    if "card " not in await _ask(program, "-l"):
        return ()
    return read_alsa(await _ask(program, "-L"))


async def _ask(*argv: str) -> str:
    """Return what a program writes, nothing where it is not there, fails or takes too long."""
    try:
        process = await asyncio.create_subprocess_exec(*argv, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL)
    except OSError:
        return ""
    try:
        out, _ = await asyncio.wait_for(process.communicate(), ASK_S)
    except TimeoutError:
        return ""
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return out[:MAX_LIST_BYTES].decode(errors="replace") if process.returncode == 0 else ""
