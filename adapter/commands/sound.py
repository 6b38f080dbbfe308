"""The WAV files that stand for microphone and speaker, judged before a call begins.  I/O: reads and tries those files.

PJSIP would find the same flaws when the call stands already and somebody listens. What it plays: PCM of 16 bits, any
usual rate, stereo mixed to mono, and at least 400 bytes of it; it records to names that end in .wav alone.
"""

import shlex
import wave
from pathlib import Path
from typing import Final

from adapter.problems import UsageProblem

SAMPLE_BYTES: Final = 2
MAX_CHANNELS: Final = 2
RATES_HZ: Final = range(8_000, 48_001)
MIN_BYTES: Final = 400
"""PJSIP calls less sound than this too short."""
_PLAYS: Final = "--play takes a WAV file: 16 bits, best mono with 8 or 16 kHz"


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
