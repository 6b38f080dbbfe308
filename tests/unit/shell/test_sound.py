"""Sound files are judged before a call begins: what PJSIP would refuse in the middle of it is refused here."""

import os
import wave
from pathlib import Path

import pytest

from adapter.commands.sound import check_sound
from adapter.problems import UsageProblem


def wav(path, *, rate=16_000, channels=1, width=2, frames=1_000):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(bytes(frames * channels * width))
    return path


@pytest.mark.parametrize("form", [{}, {"rate": 8_000}, {"rate": 44_100, "channels": 2}, {"rate": 48_000}])
def test_sound_that_the_phone_plays_is_taken(tmp_path, form):
    check_sound(wav(tmp_path / "speech.wav", **form), None)


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"width": 1}, "cannot play"),
        ({"width": 4}, "cannot play"),
        ({"channels": 6}, "cannot play"),
        ({"rate": 96_000}, "cannot play"),
        ({"frames": 0}, "no sound"),
        ({"frames": 100}, "no sound"),
    ],
)
def test_sound_that_the_phone_does_not_play_is_refused(tmp_path, form, why):
    with pytest.raises(UsageProblem, match=why):
        check_sound(wav(tmp_path / "speech.wav", **form), None)


@pytest.mark.parametrize("content", [b"", b"hello\n", b"RIFF\x00\x00\x00\x00WAVE"])
def test_what_is_no_wav_file_is_refused_with_the_way_to_make_one(tmp_path, content):
    path = tmp_path / "a tune.mp3"
    path.write_bytes(content)
    with pytest.raises(UsageProblem, match="is no WAV file") as caught:
        check_sound(path, None)
    assert f"sox '{path}' -r 16000" in caught.value.hint


def test_a_file_cut_short_has_no_sound_whatever_its_header_says(tmp_path):
    path = wav(tmp_path / "speech.wav")
    os.truncate(path, 60)
    with pytest.raises(UsageProblem, match="no sound"):
        check_sound(path, None)


def test_a_recording_leaves_nothing_behind_before_the_call(tmp_path):
    check_sound(None, tmp_path / "heard.wav")
    assert list(tmp_path.iterdir()) == []


def test_an_older_recording_is_untouched_before_the_call(tmp_path):
    path = wav(tmp_path / "heard.wav")
    before = path.read_bytes()
    check_sound(None, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["", ".", "heard.mp3", "heard", "nowhere/heard.wav", "folder.wav"])
def test_a_recording_that_cannot_be_made_is_refused(tmp_path, name):
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(UsageProblem):
        check_sound(None, tmp_path / name)


def test_a_place_that_cannot_be_written_says_why():
    # /proc takes no new files, not even from root
    with pytest.raises(UsageProblem, match="cannot be written: "):
        check_sound(None, Path("/proc/heard.wav"))


def test_what_is_played_is_not_recorded_over(tmp_path):
    path = wav(tmp_path / "speech.wav")
    with pytest.raises(UsageProblem, match="played and recorded"):
        check_sound(path, tmp_path / "." / "speech.wav")
