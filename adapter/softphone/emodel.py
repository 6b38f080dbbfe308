"""How good a call sounds, by the E-model: the rating R of 0 to 100, and the mean opinion score of it.

I/O: none. The whole of the narrowband model is computed, with the default of every quantity that a softphone cannot
know (loudness, noise in the room, echo): they alone make R 93.2. What is measured comes in as delay and loss
[ITU-T G.107 §7]. G.722 has no value on this scale, which ends at the telephone's 3.4 kHz: it is rated as if it
were G.711, and sounds better than its score says.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SLR: Final = 8.0
RLR: Final = 2.0
"""Loudness of sending and receiving, dB [ITU-T G.107, table 2], like all below."""
STMR: Final = 15.0
LSTR: Final = 18.0
"""Side tone, dB: how loud one hears oneself, and the room."""
DS: Final = 3.0
TELR: Final = 65.0
WEPL: Final = 110.0
"""Echo of the talker and of the listener, dB: those of a headset. Who hears himself in the other's loudspeaker hears
worse than this says."""
QDU: Final = 1.0
"""Quantizing distortion: one conversion to 8 bits and back."""
NOISE_DBM0P: Final = -70.0
FLOOR_DBMP: Final = -64.0
ROOM_DB: Final = 35.0
"""Noise of the circuit, of the receiver, and of either room."""
DELAY_FREE_MS: Final = 100.0
"""mT: what a conversation does not notice."""
LOWEST_MOS: Final = 1.0
HIGHEST_MOS: Final = 4.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Impairment:
    """What a codec costs by itself, and how it bears loss."""

    ie: float
    """Equipment impairment factor: points of R lost with no packet lost."""
    bpl: float
    """Packet-loss robustness: the percentage of loss that costs half of what is left of 95 points."""


CONCEALED: Final = Impairment(ie=0.0, bpl=25.1)
"""G.711 where lost packets are concealed, as PJSIP does, by another method than the one that was rated
[ITU-T G.113, appendix I]."""
IMPAIRMENTS: Final[Mapping[str, Impairment]] = {"PCMU": CONCEALED, "PCMA": CONCEALED, "G722": CONCEALED}
"""By the codec names of commands.CODECS; other codecs are off."""


def rating(*, delay_ms: float, loss: float, impairment: Impairment = CONCEALED, burst: float = 1.0) -> float:
    """Return R, 0.0 to 100.0.

    `delay_ms` is from mouth to ear, one way; `loss` is the share of packets that never became sound, 0.0 to 1.0;
    `burst` is 1.0 where losses fall independently, more where they come in clusters.
    """
    worth = _SIGNAL_TO_NOISE - _SIMULTANEOUS - _delay_impairment(delay_ms) - effective(impairment, loss, burst)
    return min(100.0, max(0.0, worth))


def effective(impairment: Impairment, loss: float, burst: float = 1.0) -> float:
    """Return Ie,eff: what the codec costs at that loss [ITU-T G.107 §7.5]."""
    percent = 100.0 * min(1.0, max(0.0, loss))
    return impairment.ie + (95.0 - impairment.ie) * percent / (percent / burst + impairment.bpl)


def mean_opinion(value: float) -> float:
    """Return the mean opinion score, 1.0 to 4.5, that people would give a call of this R [ITU-T G.107, annex B]."""
    if value <= 0.0:
        return LOWEST_MOS
    if value >= 100.0:  # noqa: PLR2004 -- the end of the scale
        return HIGHEST_MOS
    return max(LOWEST_MOS, 1.0 + 0.035 * value + value * (value - 60.0) * (100.0 - value) * 7e-6)


def too_late(delay_ms: float) -> float:
    """Return Idd: what a delay of one way costs where nobody hears an echo."""
    if delay_ms <= DELAY_FREE_MS:
        return 0.0
    x = math.log2(delay_ms / DELAY_FREE_MS)
    return 25.0 * (_root(x, 6) - 3.0 * _root(x / 3.0, 6) + 2.0)


def _delay_impairment(delay_ms: float) -> float:
    """Return Id: talker echo, listener echo, and plain lateness; the echo comes back after twice the delay."""
    one_way, around = max(0.0, delay_ms), 2.0 * max(0.0, delay_ms)
    audible = TELR - 40.0 * math.log10((1.0 + one_way / 10.0) / (1.0 + one_way / 150.0))
    audible += 6.0 * math.exp(-0.3 * one_way**2)
    gap = (_NOISELESS - (80.0 + 2.5 * (audible - 14.0))) / 2.0
    talker = (gap + math.sqrt(gap**2 + 100.0) - 1.0) * (1.0 - math.exp(-one_way))
    gap = (_SIGNAL_TO_NOISE - 10.5 * (WEPL + 7.0) * math.pow(around + 1.0, -0.25)) / 2.0
    listener = gap + math.sqrt(gap**2 + 169.0)
    return talker + listener + too_late(delay_ms)


def _root(x: float, power: int) -> float:
    """Return the model's soft maximum of 1 and x."""
    return math.pow(1.0 + math.pow(x, power), 1.0 / power)


def _power_sum(*levels_db: float) -> float:
    return 10.0 * math.log10(sum(math.pow(10.0, level / 10.0) for level in levels_db))


def _noise() -> float:
    """Return No: every noise as if it were made at the 0 dBr point, dBm0p [ITU-T G.107 §7.2]."""
    loudness = SLR + RLR
    sent = ROOM_DB - SLR - DS - 100.0 + 0.004 * (ROOM_DB - loudness - DS - 14.0) ** 2
    heard = ROOM_DB + 10.0 * math.log10(1.0 + math.pow(10.0, (10.0 - LSTR) / 10.0))
    received = RLR - 121.0 + heard + 0.008 * (heard - 35.0) ** 2
    return _power_sum(NOISE_DBM0P, sent, received, RLR + FLOOR_DBMP)


def _simultaneous(noise: float, signal_to_noise: float) -> float:
    """Return Is: too loud, side tone, and quantizing, which come with the voice itself [ITU-T G.107 §7.3]."""
    excess = (SLR + RLR + 0.2 * (64.0 + noise - RLR)) / 8.0
    loud = 20.0 * (_root(excess, 8) - excess)
    side_tone = -_power_sum(-STMR, -TELR)  # at no delay
    side = 12.0 * _root((side_tone - 13.0) / 6.0, 8)
    side -= 28.0 * _root((side_tone + 1.0) / 19.4, 35)
    side += 29.0 - 13.0 * _root((side_tone - 3.0) / 33.0, 13)
    ratio = 37.0 - 15.0 * math.log10(QDU)
    clear = 1.07 + 0.258 * ratio + 0.0602 * ratio**2
    y, z = (signal_to_noise - 100.0) / 15.0 + 46.0 / 8.4 - clear / 9.0, 46.0 / 30.0 - clear / 40.0
    return loud + side + 15.0 * math.log10(1.0 + math.pow(10.0, y) + math.pow(10.0, z))


_NOISE: Final = _noise()
_SIGNAL_TO_NOISE: Final = 15.0 - 1.5 * (SLR + _NOISE)
_SIMULTANEOUS: Final = _simultaneous(_NOISE, _SIGNAL_TO_NOISE)
_NOISELESS: Final = -1.5 * (_NOISE - RLR)
