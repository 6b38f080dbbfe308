"""What the doctor makes of microphone, speaker and echo.  I/O: none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from adapter.checkup import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapter.softphone.devices import Device

SILENT: Final = "calls with the built-in softphone go with --play FILE.wav, or in silence"
LOAD: Final = "pactl load-module module-echo-cancel aec_method=webrtc"
"""PipeWire's server for PulseAudio's programs takes it too."""


def nothing(why: str, hint: str) -> Finding:
    """Judge a host without any device: phones of other makes do not care."""
    return Finding(check="sound", level="doubtful", text=f"{why}: {SILENT}", hint=hint)


def sound(
    microphones: Sequence[Device], speakers: Sequence[Device], *, users: Sequence[tuple[str, str]] = ()
) -> list[Finding]:
    """Judge the devices that a call would take by itself, and what there is against echo.

    `users`: where no sound server shares the cards, which kind is in use, and by what program.
    """
    microphone, speaker = _usual(microphones), _usual(speakers)
    taken = dict(users)
    found = [
        _device("microphone", microphone, len(microphones), taken.get("microphone", "")),
        _device("speaker", speaker, len(speakers), taken.get("speaker", "")),
    ]
    if microphone is not None and speaker is not None:
        found.append(_echo(microphone, speaker, microphones, speakers))
    return found


def canceller(devices: Sequence[Device]) -> Device | None:
    """Return the device that the sound server's echo canceller offers, where it runs."""
    return next((device for device in devices if device.cancels_echo), None)


def _usual(devices: Sequence[Device]) -> Device | None:
    return next((device for device in devices if device.is_default), None)


def _device(kind: str, device: Device | None, count: int, user: str) -> Finding:
    option = "--mic" if kind == "microphone" else "--speaker"
    if device is None:
        none = f"none is the usual one of {count}" if count else "there is none"
        hint = f"choose one: secp2psip devices, then {option} NAME" if count else "plug one in, or use --play FILE.wav"
        return Finding(check=kind, level="doubtful", text=none, hint=hint)
    if user:
        text = f"{device.about} is in use by {user}, and without a sound server only one program has it at a time"
        hint = "end that program, or install a sound server (apt install pipewire-pulse)"
        return Finding(check=kind, level="doubtful", text=text, hint=hint)
    if device.is_muted:
        what = "nobody will hear you" if kind == "microphone" else "you will hear nobody"
        end = "source" if kind == "microphone" else "sink"
        hint = f"pactl set-{end}-mute {device.end.device} 0; pactl set-{end}-volume {device.end.device} 80%"
        return Finding(check=kind, level="doubtful", text=f"{device.about} is muted: {what}", hint=hint)
    return Finding(check=kind, level="good", text=f"{device.about} ({device.end})")


def _echo(microphone: Device, speaker: Device, microphones: Sequence[Device], speakers: Sequence[Device]) -> Finding:
    if microphone.cancels_echo and speaker.cancels_echo:
        return Finding(check="echo", level="good", text="the sound server cancels it")
    if speaker.is_headset:
        return Finding(check="echo", level="good", text="none from a headset")
    text = "the softphone cancels none: with a loudspeaker the other side hears itself"
    near, far = canceller(microphones), canceller(speakers)
    if near is not None and far is not None:
        hint = f"use the sound server's: --mic {near.end.device} --speaker {far.end.device}"
    elif microphone.end.backend == "pulse":
        hint = f"use a headset, or the sound server's canceller: {LOAD}, then choose it (secp2psip devices)"
    else:
        hint = "use a headset"
    return Finding(check="echo", level="doubtful", text=text, hint=hint)
