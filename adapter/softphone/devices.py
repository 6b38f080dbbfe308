"""Microphones and speakers by name, and the programs that read and write them.

I/O: none. An end of the sound is written BACKEND or BACKEND:DEVICE. Two backends, each a pair of programs that every
desktop has or can have: `pulse` (parec and pacat, which PipeWire serves too) and `alsa` (arecord and aplay), for hosts
without a sound server. Pipes to them were the best of what was measured [docs/adr/0013]. Sound is 16 bits, mono.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from overlay.errors import RemoteError

RATE_HZ: Final = 16_000
FRAME_MS: Final = 20
FRAME_SAMPLES: Final = RATE_HZ * FRAME_MS // 1000
FRAME_BYTES: Final = FRAME_SAMPLES * 2
RECORDED_MS: Final = 20
"""What the sound server is asked to hand over of the microphone at once."""
PLAYED_MS: Final = 30
"""What it is asked to hold of the speaker's sound; with 20 it ran dry twenty times as often on a busy machine."""
PLAYED_AT_ONCE_MS: Final = 10
"""In what pieces it asks for that, or it would leave no time for the sound card itself."""
ALSA_BUFFER_US: Final = 60_000
MAX_DEVICE_CHARS: Final = 256
MAX_DEVICES: Final = 64
ECHO_CANCELLER: Final = "echo-cancel"
"""Part of the name of PulseAudio's module, and of PipeWire's node, that cancels echo."""
HEADSETS: Final = ("headset", "headphone", "handset", "hands-free", "handsfree")
"""Form factors and ports of what is worn; never to be taken for sure."""
BACKENDS: Final = ("pulse", "alsa")
MONITOR: Final = ".monitor"
"""What PulseAudio calls the sound of a speaker that can be listened to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundEnd:
    """One microphone or speaker."""

    backend: str
    """One of BACKENDS."""
    device: str = ""
    """The backend's name for it; empty for the default one."""

    @classmethod
    def parse(cls, text: str) -> SoundEnd:
        """Read BACKEND or BACKEND:DEVICE; RemoteError on anything else."""
        backend, _, device = text.partition(":")
        if backend not in BACKENDS:
            raise RemoteError(f"{backend or 'nothing'} is no way to sound: there are {' and '.join(BACKENDS)}")
        if len(device) > MAX_DEVICE_CHARS or not device.isprintable():
            raise RemoteError("a sound device has a printable name of at most 256 characters")
        return cls(backend=backend, device=device)

    def __str__(self) -> str:
        return f"{self.backend}:{self.device}" if self.device else self.backend

    def recording(self) -> tuple[str, ...]:
        """Return the program that writes the microphone's sound to its standard output, with its arguments."""
        if self.backend == "alsa":
            return ("arecord", *self._alsa())
        return ("parec", *self._pulse(), f"--latency-msec={RECORDED_MS}")

    def playing(self) -> tuple[str, ...]:
        """Return the program that plays its standard input on the speaker, with its arguments."""
        if self.backend == "alsa":
            return ("aplay", *self._alsa())
        held = (f"--latency-msec={PLAYED_MS}", f"--process-time-msec={PLAYED_AT_ONCE_MS}")
        return ("pacat", "--playback", *self._pulse(), *held)

    def _pulse(self) -> tuple[str, ...]:
        named = (f"--device={self.device}",) if self.device else ()
        form = ("--raw", "--format=s16le", f"--rate={RATE_HZ}", "--channels=1")
        return (*form, "--client-name=secp2psip", "--stream-name=call", *named)

    def _alsa(self) -> tuple[str, ...]:
        form = ("-q", "-t", "raw", "-f", "S16_LE", "-r", str(RATE_HZ), "-c", "1", f"--buffer-time={ALSA_BUFFER_US}")
        return (*form, "-D", self.device or "default")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What a person may choose as microphone or speaker."""

    end: SoundEnd
    about: str
    """What people call it."""
    is_default: bool
    is_muted: bool = False
    """Nothing comes through, as the sound server says."""
    cancels_echo: bool = False
    """The sound server takes what its speaker plays out of what this microphone hears."""
    is_headset: bool = False
    """It sits on a head: no microphone hears this speaker."""


def read_pulse(listed: str, default: str, *, speakers: bool) -> tuple[Device, ...]:
    """Read what `pactl --format=json list sources` (or `sinks`) wrote; RemoteError where it is not that.

    `default` is the name of the default one. The monitors of speakers are no microphones that a person would choose.
    """
    try:
        rows = json.loads(listed)
    except (ValueError, RecursionError):
        raise RemoteError("the sound server's list cannot be read") from None
    if not isinstance(rows, list):
        raise RemoteError("the sound server's list is none")
    found = [row for row in rows[:MAX_DEVICES] if isinstance(row, Mapping) and _name(row)]
    return tuple(
        Device(
            end=SoundEnd(backend="pulse", device=_name(row)),
            about=str(row.get("description") or _name(row))[:MAX_DEVICE_CHARS],
            is_default=_name(row) == default,
            is_muted=row.get("mute") is True or _volume(row) == 0,
            cancels_echo=ECHO_CANCELLER in _words(row),
            is_headset=any(word in _words(row) for word in HEADSETS),
        )
        for row in found
        if speakers or not _name(row).endswith(MONITOR) or _name(row) == default
    )


def read_alsa(listed: str) -> tuple[Device, ...]:
    """Read what `arecord -L` (or `aplay -L`) wrote: a name at the start of a line, words about it indented below."""
    found: list[Device] = []
    name, about = "", ""
    for line in [*listed.splitlines(), "end"]:
        if line[:1].isspace():
            about = about or line.strip()
            continue
        if name == "default" or name.startswith(("plughw:", "sysdefault:")):
            end = SoundEnd(backend="alsa", device=name)
            found.append(Device(end=end, about=about or name, is_default=name == "default"))
        name, about = line.strip(), ""
    return tuple(found[:MAX_DEVICES])


def _name(row: Mapping[str, Any]) -> str:
    name = row.get("name")
    return name if isinstance(name, str) and name.isprintable() and len(name) <= MAX_DEVICE_CHARS else ""


def _words(row: Mapping[str, Any]) -> str:
    """Return what says of a device what it is, in lower case."""
    known = row.get("properties")
    properties = known if isinstance(known, Mapping) else {}
    said = (row.get("driver"), row.get("name"), row.get("active_port"), properties.get("device.form_factor"))
    return " ".join(str(word) for word in said if word)[: 4 * MAX_DEVICE_CHARS].casefold()


def _volume(row: Mapping[str, Any]) -> int:
    """Return the loudest channel's volume, or -1 where the list tells of none."""
    channels = row.get("volume")
    told = channels.values() if isinstance(channels, Mapping) else ()
    values = [channel.get("value") for channel in told if isinstance(channel, Mapping)]
    return max((value for value in values if isinstance(value, int)), default=-1)
