"""The ear of `make interop-sound` on speech that was spoilt on purpose: it must hear exactly that."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from adapter.softphone.audio import RATE_HZ, read
from tests.sound.__main__ import WAYS, flaws
from tests.sound.ear import hear

LATE = RATE_HZ // 8
"""125 ms."""


@pytest.fixture(scope="module")
def said():
    return read(Path(str(files("adapter.softphone") / "data" / "alice.wav")))


def later(sound, samples=LATE, loudness=0.5):
    return np.concatenate((np.zeros(samples), loudness * sound, np.zeros(RATE_HZ)))


def padded(sound):
    return np.concatenate((sound, np.zeros(LATE + RATE_HZ)))


def loud_place(sound):
    """The middle of the loudest 100 ms."""
    size = RATE_HZ // 10
    return max(range(0, len(sound) - size, size), key=lambda at: np.sum(sound[at : at + size] ** 2)) + size // 2


def test_sound_that_is_late_and_softer_is_whole(said):
    heard = hear(padded(said), later(said))
    assert heard.latency_ms(0.5) == heard.latency_ms(0.95) == 125.0
    assert heard.correlation > 0.99
    assert heard.dropouts == ()
    assert heard.growth_ms == 0.0
    assert flaws("x", heard) == []


def test_noise_of_a_codec_is_no_dropout(said):
    noisy = said + 0.1 * np.sqrt(np.mean(said**2)) * np.random.default_rng(1).standard_normal(len(said))
    assert hear(padded(said), later(noisy)).dropouts == ()


@pytest.mark.parametrize("ms", [5, 20, 60])
def test_a_hole_is_one_dropout_of_its_length(said, ms):
    spoilt, at, long = said.copy(), loud_place(said), RATE_HZ * ms // 1000
    spoilt[at - 20 : at + long + 20] = 0.0
    heard = hear(padded(said), later(spoilt))
    assert len(heard.dropouts) == 1
    assert heard.dropouts[0][1] * 1000 == pytest.approx(ms + 5, abs=10)
    assert any("dropouts" in flaw for flaw in flaws("x", heard))


def test_a_repeated_frame_is_a_dropout_and_makes_what_follows_later(said):
    at, frame = loud_place(said), RATE_HZ // 50
    heard = hear(padded(said), later(np.concatenate((said[:at], said[at - frame : at], said[at:]))))
    assert len(heard.dropouts) == 1
    assert heard.latency_ms(1.0) - heard.latency_ms(0.0) == 20.0


def test_a_frame_left_out_is_a_dropout(said):
    at, frame = loud_place(said), RATE_HZ // 50
    heard = hear(padded(said), later(np.concatenate((said[:at], said[at + frame :]))))
    assert len(heard.dropouts) == 1


def test_one_last_word_that_a_pause_made_later_is_no_dropout_unless_it_is_missing(said):
    at = loud_place(said)
    pause, word = np.zeros(RATE_HZ // 2), said[at : at + RATE_HZ // 8]
    whole = np.concatenate((said, pause, word))
    moved = np.concatenate((said, pause, np.zeros(RATE_HZ // 100), word))
    assert hear(padded(whole), later(moved)).dropouts == ()
    assert len(hear(padded(whole), later(np.concatenate((said, pause, 0 * word)))).dropouts) == 1


def test_another_voice_and_nothing_are_not_it(said):
    other = read(Path(str(files("adapter.softphone") / "data" / "bob.wav")))
    for ear in (later(other), np.zeros(len(said) + LATE + RATE_HZ)):
        heard = hear(padded(said), np.resize(ear, len(said) + LATE + RATE_HZ))
        assert heard.correlation < 0.7
        assert len(flaws(WAYS[0].name, heard)) == 3


def test_a_mouth_that_says_nothing_proves_nothing():
    assert len(flaws("x", hear(np.zeros(RATE_HZ), np.zeros(RATE_HZ)))) == 3
