"""What an ear heard of a mouth: how well, how late, and what was missing.  I/O: none; numpy.

Both are samples of one recording at audio.RATE_HZ, so the same place in both is the same moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from adapter.softphone.audio import RATE_HZ, score

if TYPE_CHECKING:
    from adapter.softphone.audio import Samples

WINDOW_S: Final = 0.3
HOP_S: Final = 0.15
EARLIEST_S, LATEST_S = -0.02, 0.8
"""Where a window of what was said is looked for in what was heard."""
LOW_HZ: Final = 1500
"""Lags and dropouts are looked for in what is below, where most of a voice is."""
SAME: Final = 0.8
"""Normalised correlation from which a window tells how late it is."""
BLOCK: Final = RATE_HZ // 200
"""Samples of 5 ms, the shortest dropout that counts."""
AROUND: Final = BLOCK // 2
"""Samples before and after a block that are compared with it."""
LOUD_SHARE: Final = 0.3
"""A block is looked at if it has this share of the loudness (RMS) of the whole."""
ALIKE: Final = 0.5
"""Correlation under which a block is missing: codecs leave 0.9 and more, an unrelated one has 0.0."""
FARTHEST: Final = RATE_HZ // 40
"""Samples, 25 ms, that a block may be beside the last one though no window says so."""
FAITHFUL: Final = 0.1
"""How much more alike a block has to be elsewhere than where the last one was: a voice repeats itself at its pitch."""
FAINT: Final = 0.3
"""Share of its loudness under which a block is missing."""
NUDGE: Final = 2
"""Samples that a block may lie beside its window's place."""
DRIFTED: Final = RATE_HZ // 200
"""Windows whose lags differ by less, in samples, differ little by little, and a block's lag may be any between."""
APART: Final = 4
"""Missing blocks with less than so many good ones between them are one dropout."""
SLIP_S: Final = 0.004
"""A jump of the lag between two windows, with nothing missing and no pause between them: sound was put in."""
ONSET: Final = 4 * BLOCK
"""After a pause a voice may fit its old place that long by chance, since it repeats itself."""
PAUSE_SHARE: Final = 0.1
"""Of the loudness of the whole: quieter is a pause, and nobody misses a part of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hearing:
    """One direction of a call."""

    correlation: float
    """Median of the normalised correlations of seconds of speech, as audio.score."""
    bad_windows: int
    windows: int
    lags: tuple[tuple[float, float], ...]
    """When it was said and how much later it was heard, in seconds."""
    dropouts: tuple[tuple[float, float], ...]
    """When sound was missing or put in, and how long, in seconds."""
    seconds: float
    """Length of the speech, from its first sound to its last."""

    def latency_ms(self, quantile: float) -> float:
        """Return a quantile of the lags in milliseconds; NaN without any."""
        return round(float(np.quantile([lag for _, lag in self.lags], quantile)) * 1000, 1) if self.lags else np.nan

    @property
    def dropouts_per_minute(self) -> float:
        """Dropouts of 5 ms and more in a minute of speech."""
        return round(len(self.dropouts) / (self.seconds / 60), 2) if self.seconds else np.nan

    @property
    def growth_ms(self) -> float:
        """How much later the last fifth of the speech was heard than the first, in milliseconds, of medians."""
        lags = [lag for _, lag in self.lags]
        fifth = max(1, len(lags) // 5)
        return round(float(np.median(lags[-fifth:]) - np.median(lags[:fifth])) * 1000, 1) if lags else np.nan

    def as_json(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "correlation": self.correlation,
            "windows": self.windows,
            "bad_windows": self.bad_windows,
            "latency_ms": {name: self.latency_ms(q) for name, q in QUANTILES.items()},
            "growth_ms": self.growth_ms,
            "seconds": round(self.seconds, 1),
            "dropouts": [{"at_s": round(at, 3), "ms": round(long * 1000, 1)} for at, long in self.dropouts],
            "dropouts_per_minute": self.dropouts_per_minute,
        }


QUANTILES: Final = {"min": 0.0, "median": 0.5, "p95": 0.95, "max": 1.0}


def hear(mouth: Samples, ear: Samples) -> Hearing:
    """Compare what was said with what was heard."""
    whole = score(mouth, ear, loop=False)
    mouth, ear = _low(mouth), _low(ear)
    loud = float(np.sqrt(np.mean(mouth**2)))
    sounding = np.flatnonzero(np.abs(mouth) > loud)
    if not len(sounding):
        return Hearing(correlation=0.0, bad_windows=0, windows=0, lags=(), dropouts=(), seconds=0.0)
    first, last = int(sounding[0]), int(sounding[-1])
    loud = float(np.sqrt(np.mean(mouth[first:last] ** 2)))
    lags = _lags(mouth, ear, first, last, loud)
    return Hearing(
        correlation=whole.median,
        bad_windows=whole.bad,
        windows=whole.windows,
        lags=tuple((at / RATE_HZ, lag / RATE_HZ) for at, lag in lags),
        dropouts=tuple(
            (at / RATE_HZ, long / RATE_HZ) for at, long in _dropouts(mouth, ear, lags, span=(first, last), loud=loud)
        ),
        seconds=(last - first) / RATE_HZ,
    )


def _low(samples: Samples) -> Samples:
    """Take away what is above LOW_HZ: a codec turns its phase, and a quarter of a sample would too."""
    spectrum = np.fft.rfft(samples)
    spectrum[int(LOW_HZ / RATE_HZ * len(samples)) :] = 0.0
    low: Samples = np.fft.irfft(spectrum, len(samples))
    return low


def _lags(mouth: Samples, ear: Samples, first: int, last: int, loud: float) -> list[tuple[int, int]]:
    """Return where windows of speech begin and by how many samples later they were heard."""
    size, found = int(WINDOW_S * RATE_HZ), []
    earliest, latest = int(EARLIEST_S * RATE_HZ), int(LATEST_S * RATE_HZ)
    for at in range(first, last - size, int(HOP_S * RATE_HZ)):
        said = mouth[at : at + size]
        low, high = at + earliest, at + size + latest
        if low < 0 or high > len(ear) or np.sqrt(np.mean(said**2)) < LOUD_SHARE * loud:
            continue
        around = ear[low:high]
        width = 1 << (len(around) + size).bit_length()
        product = np.fft.irfft(np.fft.rfft(around, width) * np.conj(np.fft.rfft(said, width)), width)
        product = product[: len(around) - size + 1]
        power = np.concatenate(([0.0], np.cumsum(around**2)))
        energy = np.maximum(power[size:] - power[:-size], 1e-6 * np.sum(said**2))
        peaks = product / np.sqrt(np.sum(said**2) * energy)
        best = int(np.argmax(peaks))
        if peaks[best] >= SAME:
            found.append((at, best + earliest))
    return found


def _dropouts(
    mouth: Samples, ear: Samples, lags: list[tuple[int, int]], *, span: tuple[int, int], loud: float
) -> list[tuple[int, int]]:
    """Return where sound is missing in the ear, or was put in, and how long, in samples of the mouth."""
    first, last = span
    if not lags:
        return [(first, last - first)]
    starts = np.array([at for at, _ in lags])
    gain = _gain(mouth, ear, lags)
    found: list[tuple[int, int]] = []
    ends = lags[-1][0] + int(WINDOW_S * RATE_HZ) - ONSET
    good, well_at, lag = APART, first, lags[0][1]
    for at in range(first + AROUND, last - BLOCK - AROUND, BLOCK):
        said = mouth[at - AROUND : at + BLOCK + AROUND]
        if np.sqrt(np.mean(mouth[at : at + BLOCK] ** 2)) < LOUD_SHARE * loud:
            continue
        near = int(np.searchsorted(starts, at))
        alike = {
            place: _likeness(said, ear[at - AROUND + place : at + BLOCK + AROUND + place], gain)
            for place in _places(lag, [one for _, one in lags[max(0, near - 3) : near + 2]])
        }
        place = max(alike, key=lambda one: alike[one] + (FAITHFUL if abs(one - lag) <= NUDGE else 0.0))
        if alike[place] < ALIKE and at >= ends:
            place = _elsewhere(mouth, ear, at, lag, gain)
            alike[place] = SAME if place != lag else 0.0
        if alike[place] < ALIKE:
            if good < APART:
                found[-1] = (found[-1][0], at + BLOCK - found[-1][0])
            else:
                found.append((at, BLOCK))
            good = 0
            continue
        slip = abs(place - lag)
        since = max(0, min(well_at, at - ONSET))
        if slip >= SLIP_S * RATE_HZ and good >= APART and not _pauses(mouth[since : at + BLOCK], loud):
            found.append((at, slip))
        good, well_at, lag = good + 1, at, place
    return found


def _elsewhere(mouth: Samples, ear: Samples, at: int, lag: int, gain: float) -> int:
    """Look for a block of the last word, which is too short for a window of its own; `lag` where it is nowhere."""
    low, high = at - 2 * BLOCK, at + 3 * BLOCK
    if low < 0 or low + lag - FARTHEST < 0:
        return lag
    said = mouth[low:high]
    alike = {
        place: _likeness(said, ear[low + place : high + place], gain)
        for place in range(lag - FARTHEST, lag + FARTHEST + 1)
    }
    best = max(alike, key=lambda place: alike[place])
    return best if alike[best] >= SAME else lag


def _places(lag: int, around: list[int]) -> list[int]:
    """Return how much later a block may be heard: as the last one, as the windows around it, or near these."""
    apart = max(around) - min(around) > DRIFTED
    between = set(around) if apart else range(min(around), max(around) + 1)
    return sorted({one + nudge for one in (lag, *between) for nudge in range(-NUDGE, NUDGE + 1)})


def _pauses(said: Samples, loud: float) -> bool:
    """Tell whether nothing is said for a block of it."""
    power = np.concatenate(([0.0], np.cumsum(said**2)))
    return bool(np.sqrt(np.min(power[BLOCK:] - power[:-BLOCK]) / BLOCK) < PAUSE_SHARE * loud)


def _gain(mouth: Samples, ear: Samples, lags: list[tuple[int, int]]) -> float:
    size = int(WINDOW_S * RATE_HZ)
    shares = [
        np.sqrt(np.mean(ear[at + lag : at + lag + size] ** 2) / np.mean(mouth[at : at + size] ** 2)) for at, lag in lags
    ]
    return float(np.median(shares))


def _likeness(said: Samples, heard: Samples, gain: float) -> float:
    """Return the normalised correlation of a block with what was heard, 0.0 where that is much softer."""
    own, other = float(np.sqrt(np.sum(said**2))), float(np.sqrt(np.sum(heard**2)))
    if len(heard) < len(said) or other < FAINT * gain * own:
        return 0.0
    return float(np.dot(said, heard)) / (own * other)
