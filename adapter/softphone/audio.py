"""How well what was heard is what was said: a score for two WAV files.

I/O: reads WAV files. Needs numpy, so nothing that a plain call runs through imports this module. A correlation of whole
files would be ruined by one slip of the jitter buffer, and a tone would be ruined by some codecs; so speech is compared
in windows of a second, each of which may shift by half a second [docs/conformance.md].
"""

import math
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from overlay.errors import RemoteError

RATE_HZ: Final = 8000
"""Both files are resampled to it: the narrowest codec's rate."""
WINDOW_S: Final = 1.0
LAG_S: Final = 0.5
"""How far a window may be off, either way."""
GOOD_PEAK: Final = 0.8
"""A window whose peak is lower is bad."""
GOOD_MEDIAN: Final = 0.9
MAX_BAD_SHARE: Final = 0.1
"""One window in ten, begun tens counted: a single slip of the jitter buffer spoils no short call."""
MIN_WINDOWS: Final = 3
"""Fewer prove nothing."""
MAX_START_S: Final = 5.0
"""Silence at the beginning of a recording that counts as the call's start; the rest of it counts as lost speech."""
SPEECH_SHARE: Final = 0.2
"""A window is speech if it has this share of the loudness (RMS) of the loudest windows said."""
SILENCE_SHARE: Final = 1e-6
"""What was heard with less than this share of the energy said is silence, however well it matches."""
MAX_FILE_S: Final = 3600.0
SAMPLE_BYTES: Final = 2
FINER: Final = 4
"""Lags are looked at in quarters of a sample: half a sample off costs a bright voice a tenth of its score."""

Samples = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowScore:
    """One second of speech."""

    at_s: float
    """Where it should begin in the recording."""
    peak: float
    """Highest normalised cross-correlation over all lags, 0.0 to 1.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioScore:
    """The verdict on a recording."""

    median: float
    """Of the windows' peaks; 0.0 without any."""
    windows: int
    """Windows of speech that were compared."""
    bad: int
    """How many of them are below GOOD_PEAK."""
    ok: bool
    """Enough windows, a median of GOOD_MEDIAN or more, and no more than one window in ten bad."""
    start_s: float
    """Where the file's first sample lies in the recording; negative where the recording began later."""
    track: tuple[WindowScore, ...]
    """Every window, in order of time."""

    def good_from(self, at_s: float) -> float:
        """Count the seconds of good speech that the recording holds from `at_s` on."""
        return WINDOW_S * sum(window.peak >= GOOD_PEAK for window in self.track if window.at_s >= at_s)


def compare(said: Path, heard: Path, *, loop: bool = True) -> AudioScore:
    """Score a recording against the file that was played, again and again (`loop`) or once.

    RemoteError where a file is no WAV of 16-bit PCM, is empty, or is longer than MAX_FILE_S.
    """
    return score(read(said), read(heard), loop=loop)


def score(said: Samples, heard: Samples, *, loop: bool = True) -> AudioScore:
    """Score samples at RATE_HZ; see `compare`."""
    start = _start(said, heard, loop=loop)
    end = len(heard) if loop else min(len(heard), start + len(said))
    window = int(WINDOW_S * RATE_HZ)
    loudest = np.percentile([_rms(said[at : at + window]) for at in range(0, max(1, len(said) - window), window)], 90)
    track: list[WindowScore] = []
    for at in range(max(0, start), end - window + 1, window):
        expected = np.take(said, np.arange(at - start, at - start + window), mode="wrap")
        if loudest > 0 and _rms(expected) >= SPEECH_SHARE * loudest:
            track.append(WindowScore(at_s=at / RATE_HZ, peak=round(_peak(expected, heard, at), 4)))
    peaks = [window.peak for window in track]
    bad = sum(peak < GOOD_PEAK for peak in peaks)
    median = round(float(np.median(peaks)), 4) if peaks else 0.0
    enough = len(peaks) >= MIN_WINDOWS
    return AudioScore(
        median=median,
        windows=len(peaks),
        bad=bad,
        ok=enough and median >= GOOD_MEDIAN and bad <= math.ceil(MAX_BAD_SHARE * len(peaks)),
        start_s=round(start / RATE_HZ, 3),
        track=tuple(track),
    )


def read(path: Path) -> Samples:
    """Read a WAV file of 16-bit PCM, mix it to one channel, resample it to RATE_HZ and take its mean away."""
    try:
        with wave.open(str(path), "rb") as file:
            if file.getsampwidth() != SAMPLE_BYTES:
                raise RemoteError(f"{path.name} is not 16-bit PCM")
            rate, channels, frames = file.getframerate(), file.getnchannels(), file.getnframes()
            if not 0 < frames <= MAX_FILE_S * rate:
                raise RemoteError(f"{path.name} is empty or too long")
            data = file.readframes(frames)
    except (OSError, EOFError, wave.Error) as flaw:
        raise RemoteError(f"{path.name} cannot be read as a WAV file ({flaw})") from None
    samples = np.frombuffer(data[: len(data) // (SAMPLE_BYTES * channels) * SAMPLE_BYTES * channels], dtype="<i2")
    mono: Samples = samples.reshape(-1, channels).mean(axis=1) / 32768.0
    resampled = _resample(mono, rate)
    resampled -= resampled.mean()
    return resampled


def _resample(samples: Samples, rate_hz: int) -> Samples:
    """Change the rate by cutting or padding the spectrum: exact for what lies below both rates' halves."""
    if rate_hz == RATE_HZ:
        return samples
    whole = rate_hz // math.gcd(rate_hz, RATE_HZ)  # padded to it, or rounding the length would stretch the time
    samples = np.pad(samples, (0, -len(samples) % whole))
    length = len(samples) * RATE_HZ // rate_hz
    spectrum = np.fft.rfft(samples)
    bins = length // 2 + 1
    kept = spectrum[:bins] if len(spectrum) >= bins else np.pad(spectrum, (0, bins - len(spectrum)))
    result: Samples = np.fft.irfft(kept, length) * (length / len(samples))
    return result


def _start(said: Samples, heard: Samples, *, loop: bool) -> int:
    """Find where in `heard` the first sample of `said` lies, from a correlation of the whole files."""
    size = 1 << (len(said) + len(heard) - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)), size)
    lags = np.concatenate((product[: len(heard)], product[size - len(said) + 1 :]))
    best = int(np.argmax(np.abs(lags)))  # a phone may turn the sign of the wave, no ear hears that
    lag = best if best < len(heard) else best - len(lags)
    if not loop:
        return lag
    lag %= len(said)  # the loudest agreement may be a later round of the loop
    return lag if lag <= MAX_START_S * RATE_HZ else lag - len(said)


def _peak(expected: Samples, heard: Samples, at: int) -> float:
    """Give the highest normalised correlation of a window with what was heard around `at`."""
    lag = int(LAG_S * RATE_HZ)
    around = np.zeros(len(expected) + 2 * lag)
    low, high = max(0, at - lag), min(len(heard), at + len(expected) + lag)
    around[low - (at - lag) : high - (at - lag)] = heard[low:high]
    size = 1 << (len(around) - 1).bit_length()
    spectrum = np.fft.rfft(around, size) * np.conj(np.fft.rfft(expected, size))
    product = np.fft.irfft(spectrum, size * FINER)[: 2 * lag * FINER + 1] * FINER
    power = np.concatenate(([0.0], np.cumsum(around**2)))
    energy = np.repeat(power[len(expected) :] - power[: -len(expected)], FINER)[: len(product)]
    own = float(np.sum(expected**2))
    peaks = np.abs(product) / np.sqrt(own * np.maximum(energy, SILENCE_SHARE * own))
    return min(1.0, float(np.max(peaks)))


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
