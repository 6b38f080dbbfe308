"""What a call sounds through: devices, or files in their place.  I/O: reads and tries files, asks the sound server.

PJSIP would find the same flaws when the call stands already and somebody listens. What it plays: PCM of 16 bits, any
usual rate, stereo mixed to mono, and at least 400 bytes of it; it records to names that end in .wav alone.
"""

import argparse
import shlex
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from adapter.config import Settings
from adapter.problems import UsageProblem
from adapter.screen import Screen
from adapter.softphone.devices import Device
from adapter.softphone.soundserver import INSTALL, NONE, Devices, choose, list_devices
from adapter.sound_checkup import canceller

ECHO: Final = "use a headset, or the other side hears itself: this phone cancels no echo"
ECHO_CURE: Final = "use a headset, or the sound server's echo canceller: --mic {mic} --speaker {speaker}"
SAMPLE_BYTES: Final = 2
MAX_CHANNELS: Final = 2
RATES_HZ: Final = range(8_000, 48_001)
MIN_BYTES: Final = 400
"""PJSIP calls less sound than this too short."""
_PLAYS: Final = "--play takes a WAV file: 16 bits, best mono with 8 or 16 kHz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """What a call sounds through; each is empty for none."""

    microphone: str = ""
    speaker: str = ""
    missing: str = ""
    """Why silence will be sent though nobody asked for it."""
    hint: str = ""
    """What to do about that."""
    echo: str = ECHO
    """What to do about echo; empty where there will be none."""

    def tell(self, screen: Screen) -> None:
        """Say what a person has to know before he speaks."""
        if self.missing:
            text = f"no microphone: silence is sent ({self.missing})"
            screen.show({"event": "warning", "text": text, "hint": f"--play FILE.wav, or {self.hint}"})
        if self.microphone and self.speaker and self.echo:
            screen.show({"event": "keys", "text": self.echo})


async def choose_devices(args: argparse.Namespace, settings: Settings) -> Sound:
    """Return microphone and speaker for the phone: a file stands in place of the device that nobody named.

    Raises UsageProblem where a device is named that is not there.
    """
    wanted = (
        NONE if args.mic is None and args.play else settings.mic or None,
        NONE if args.speaker is None and args.record else settings.speaker or None,
    )
    if wanted == (NONE, NONE):
        return Sound()
    found = await list_devices()
    microphone = choose(wanted[0], found.microphones, what="microphone")
    speaker = choose(wanted[1], found.speakers, what="speaker")
    is_missing = not microphone and wanted[0] is None
    return Sound(
        microphone=microphone,
        speaker=speaker,
        missing=(found.why or "none is there") if is_missing else "",
        hint=found.hint or INSTALL,
        echo=_echo(microphone, speaker, found),
    )


def _echo(microphone: str, speaker: str, found: Devices) -> str:
    """Return what to do about echo with these two, or nothing."""
    mic, loud = _of(microphone, found.microphones), _of(speaker, found.speakers)
    if loud is not None and (loud.is_headset or (loud.cancels_echo and mic is not None and mic.cancels_echo)):
        return ""
    near, far = canceller(found.microphones), canceller(found.speakers)
    if near is None or far is None:
        return ECHO
    return ECHO_CURE.format(mic=near.end.device, speaker=far.end.device)


def _of(end: str, devices: tuple[Device, ...]) -> Device | None:
    return next((d for d in devices if str(d.end) == end or (d.is_default and d.end.backend == end)), None)


def check_sound(play: Path | None, record: Path | None) -> None:
    """Refuse files that cannot be what they are for. Raises UsageProblem."""
    if play is not None:
        _check_play(play)
    if record is not None:
        _check_record(record)
        if play is not None and record.exists() and record.samefile(play):
            raise UsageProblem(f"{record} cannot be played and recorded to", hint="choose another --record")


def _check_play(path: Path) -> None:
    if not path.is_file():
        raise UsageProblem(f"there is no file {path}", hint=_PLAYS)
    convert = f"{_PLAYS}; to make one: sox {shlex.quote(str(path))} -r 16000 -c 1 -b 16 speech.wav"
    try:
        with wave.open(str(path), "rb") as file:
            fits = file.getsampwidth() == SAMPLE_BYTES and file.getnchannels() <= MAX_CHANNELS
            fits = fits and file.getframerate() in RATES_HZ
            has_sound = len(file.readframes(MIN_BYTES)) >= MIN_BYTES
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {_reason(error)}", hint=_PLAYS) from None
    except (EOFError, wave.Error):
        raise UsageProblem(f"{path} is no WAV file of plain PCM", hint=convert) from None
    if not fits:
        raise UsageProblem(f"{path} is a WAV file that the phone cannot play", hint=convert)
    if not has_sound:
        raise UsageProblem(f"there is no sound in {path}", hint=_PLAYS)


def _check_record(path: Path) -> None:
    if path.suffix.lower() != ".wav":
        raise UsageProblem(f"the recording '{path}' does not end in .wav", hint="--record writes a WAV file")
    if not path.absolute().parent.is_dir():
        raise UsageProblem(f"there is no directory for {path}", hint="make it first, or choose another --record")
    is_new = not path.exists()
    if not is_new and not path.is_file():
        raise UsageProblem(f"{path} is there and is no file", hint="choose another --record")
    try:
        path.open("ab").close()
    except OSError as error:
        raise UsageProblem(f"{path} cannot be written: {_reason(error)}", hint="choose another --record") from None
    if is_new:
        path.unlink()


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
