"""The score of a recording: high for the same speech whatever a call did to it, low for anything else."""

import wave
from pathlib import Path

import numpy as np
import pytest

import adapter.softphone
from adapter.softphone.audio import GOOD_PEAK, RATE_HZ, compare, read, score
from overlay.errors import RemoteError

DATA = Path(adapter.softphone.__file__).parent / "data"
RNG = np.random.default_rng(7)


@pytest.fixture(scope="module")
def alice():
    return read(DATA / "alice.wav")


@pytest.fixture(scope="module")
def bob():
    return read(DATA / "bob.wav")


def seconds(count):
    return int(count * RATE_HZ)


def silence(count):
    return np.zeros(seconds(count))


def test_the_shipped_speeches_are_small_and_nearly_all_speech(alice, bob):
    for name, samples in (("alice", alice), ("bob", bob)):
        assert (DATA / f"{name}.wav").stat().st_size < 400_000
        assert 8.0 <= len(samples) / RATE_HZ <= 12.5
        assert score(samples, samples).windows >= 10


def test_the_same_is_perfect(alice):
    result = score(alice, alice)
    assert result.ok
    assert result.median == 1.0
    assert result.bad == 0
    assert result.start_s == 0.0


@pytest.mark.parametrize("delay_s", [0.013, 0.5, 1.7, 4.9])
def test_a_delayed_beginning_is_found(alice, delay_s):
    result = score(alice, np.concatenate([silence(delay_s), alice]), loop=False)
    assert result.ok
    assert result.median > 0.99
    assert result.start_s == pytest.approx(delay_s, abs=0.002)


def test_a_cut_end_costs_nothing(alice):
    result = score(alice, np.concatenate([silence(1.0), alice[: seconds(5)]]))
    assert result.ok
    assert result.windows == 5


def test_a_cut_beginning_costs_nothing(alice):
    result = score(alice, alice[seconds(1.3) :])
    assert result.ok
    assert result.start_s == pytest.approx(-1.3, abs=0.002)


def test_a_file_played_again_and_again_is_followed(alice):
    result = score(alice, np.concatenate([silence(0.8), alice, alice, alice[: seconds(4)]]))
    assert result.ok
    assert result.median > 0.99
    assert result.windows >= 25
    assert result.start_s == pytest.approx(0.8, abs=0.002)


def test_a_loud_clipped_wave_is_still_the_same_speech(alice):
    clipped = np.clip(alice, -0.3 * np.max(alice), 0.3 * np.max(alice))
    result = score(alice, np.concatenate([silence(0.4), clipped]), loop=False)
    assert result.ok


def test_a_quieter_and_noisy_line_is_still_the_same_speech(alice):
    noise = RNG.normal(0, 0.1 * np.std(alice), len(alice))
    assert score(alice, 0.1 * (alice + noise)).ok


def test_slips_of_the_jitter_buffer_cost_a_window_or_two(alice):
    slipped = np.concatenate(
        [alice[: seconds(4)], silence(0.06), alice[seconds(4) : seconds(8)], alice[seconds(8.04) :]]
    )
    result = score(alice, slipped, loop=False)
    assert result.median > 0.99
    assert result.bad <= 2


def test_half_a_sample_costs_next_to_nothing(bob):
    shift = np.exp(-1j * np.pi * np.arange(len(bob) // 2 + 1) / len(bob))
    late = np.fft.irfft(np.fft.rfft(bob) * shift, len(bob))
    assert score(bob, late).median > 0.99


def test_other_speech_scores_low(alice, bob):
    for said, heard in ((alice, bob), (bob, alice)):
        result = score(said, heard)
        assert not result.ok
        assert result.median < 0.5
        assert result.bad == result.windows


def test_noise_scores_low(alice):
    result = score(alice, RNG.normal(0, 0.1, len(alice)))
    assert not result.ok
    assert result.median < 0.3


def test_silence_scores_nothing(alice):
    result = score(alice, silence(12))
    assert not result.ok
    assert result.median == 0.0


def test_speech_backwards_scores_low(alice):
    assert score(alice, alice[::-1]).median < 0.5


def test_a_hole_in_the_middle_counts_as_bad_windows(alice):
    holed = np.concatenate([alice, alice])
    holed[seconds(6) : seconds(11)] = 0.0
    result = score(alice, holed)
    assert not result.ok
    assert result.bad >= 4


def test_a_second_speaker_over_the_first_scores_low(alice, bob):
    length = min(len(alice), len(bob))
    assert not score(alice, alice[:length] + 1.5 * bob[:length]).ok


def test_a_long_silence_before_the_speech_is_lost_speech(alice):
    heard = np.concatenate([silence(9), alice[seconds(9) :], alice])
    result = score(alice, heard)
    assert not result.ok
    assert result.bad >= 7


def test_too_few_windows_prove_nothing(alice):
    assert not score(alice, alice[: seconds(2)]).ok


def test_the_seconds_of_good_speech_from_a_moment_on_are_counted(alice):
    heard = np.concatenate([alice, alice])
    result = score(alice, heard)
    good = [window for window in result.track if window.peak >= GOOD_PEAK and window.at_s >= 10.0]
    assert result.good_from(10.0) == len(good) >= 12


def write(path, samples, rate_hz, channels=1):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes((np.repeat(samples, channels) * 32767).astype("<i2").tobytes())


@pytest.mark.parametrize(("rate_hz", "channels"), [(8000, 2), (16000, 1), (44100, 1), (48000, 2)])
def test_any_rate_and_stereo_can_be_compared(tmp_path, rate_hz, channels):
    with wave.open(str(DATA / "alice.wav"), "rb") as file:
        original = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    times = np.arange(int(len(original) / 16000 * rate_hz)) / rate_hz
    write(tmp_path / "other.wav", np.interp(times, np.arange(len(original)) / 16000, original), rate_hz, channels)
    assert compare(DATA / "alice.wav", tmp_path / "other.wav").ok


def test_a_file_that_is_no_sound_is_refused(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF not really")
    write(tmp_path / "empty.wav", np.zeros(0), 8000)
    for name in ("a.wav", "empty.wav", "missing.wav"):
        with pytest.raises(RemoteError):
            read(tmp_path / name)
