"""Microphones and speakers: how they are named, listed and chosen."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.problems import UsageProblem
from adapter.softphone.devices import Device, SoundEnd, read_alsa, read_pulse
from adapter.softphone.soundserver import choose, read_owner, why_none
from overlay.errors import RemoteError

SOURCES = [
    {"name": "alsa_input.usb-Acme.mono", "description": "Acme Headset Mono"},
    {"name": "alsa_input.pci.stereo", "description": "Built-in Microphone"},
    {"name": "alsa_output.pci.stereo.monitor", "description": "Monitor of Built-in Speakers"},
]


def microphones(default="alsa_input.pci.stereo"):
    return read_pulse(json.dumps(SOURCES), default, speakers=False)


@pytest.mark.parametrize("text", ["pulse", "alsa", "pulse:alsa_input.usb-Acme.mono", "alsa:plughw:CARD=USB,DEV=0"])
def test_an_end_reads_as_it_is_written(text):
    assert str(SoundEnd.parse(text)) == text


@pytest.mark.parametrize("text", ["", "oss", ":x", "pulse:" + "x" * 257, "alsa:a\nb"])
def test_other_ends_are_refused(text):
    with pytest.raises(RemoteError):
        SoundEnd.parse(text)


def test_the_programs_get_device_and_form():
    assert "--device=usb" in SoundEnd.parse("pulse:usb").recording()
    assert SoundEnd.parse("pulse").playing()[:2] == ("pacat", "--playback")
    assert SoundEnd.parse("alsa").recording()[-2:] == ("-D", "default")
    assert SoundEnd.parse("alsa:hw:1").playing()[0] == "aplay"


def test_monitors_of_speakers_are_no_microphones_unless_somebody_made_one_the_default():
    assert [device.about for device in microphones()] == ["Acme Headset Mono", "Built-in Microphone"]
    assert len(microphones("alsa_output.pci.stereo.monitor")) == 3


def test_a_list_tells_who_is_muted_who_cancels_echo_and_what_is_worn():
    rows = [
        {"name": "usb", "mute": True, "volume": {"mono": {"value": 65536}}},
        {"name": "low", "mute": False, "volume": {"front-left": {"value": 0}, "front-right": {"value": 0}}},
        {"name": "x.echo-cancel", "mute": False, "driver": "module-echo-cancel.c", "volume": {"mono": {"value": 1}}},
        {"name": "bt", "properties": {"device.form_factor": "headset"}},
        {"name": "jack", "active_port": "analog-output-headphones"},
        {"name": "odd", "properties": [], "volume": {"mono": 7}, "mute": 1, "driver": 5},
    ]
    found = read_pulse(json.dumps(rows), "usb", speakers=True)
    assert [device.is_muted for device in found] == [True, True, False, False, False, False]
    assert [device.cancels_echo for device in found] == [False, False, True, False, False, False]
    assert [device.is_headset for device in found] == [False, False, False, True, True, False]


ALL = frozenset({"pactl", "arecord"})


@pytest.mark.parametrize(
    ("installed", "refused", "cards", "why", "hint"),
    [
        (frozenset(), "", [], "no program is installed", "apt install"),
        (ALL, "Connection failure: Access denied", [True], "refuses this user", "logged in"),
        (ALL, "Connection failure: Connection refused", [False, False], "may not open", "usermod -aG audio"),
        ({"pactl"}, "Connection failure: Connection refused", [True], "no sound server answers", "alsa-utils"),
        (ALL, "Connection failure: Connection refused", [], "no sound card", "systemctl --user"),
        ({"arecord"}, "", [], "no sound card", "apt install"),
    ],
)
def test_where_there_is_no_device_the_cause_and_its_cure_are_told(installed, refused, cards, why, hint):
    told = why_none(installed=frozenset(installed), refused=refused, cards=cards)
    assert why in told[0]
    assert hint in told[1]


def test_who_has_a_card_open_is_read_from_its_status():
    assert read_owner("state: RUNNING\nowner_pid   : 2345\ntrigger_time: 1.5\n") == 2345
    assert read_owner("closed\n") is None


def test_alsa_lists_what_a_person_would_choose():
    listed = (
        "null\n    Discard\ndefault\n    Playback\nplughw:CARD=USB,DEV=0\n    Acme, USB\n    more\n"
        "hw:CARD=USB,DEV=0\n    raw\n"
    )
    found = read_alsa(listed)
    assert [(device.end.device, device.about) for device in found] == [
        ("default", "Playback"),
        ("plughw:CARD=USB,DEV=0", "Acme, USB"),
    ]
    assert found[0].is_default


@given(st.text(max_size=200))
def test_any_list_gives_devices_or_a_remote_error(text):
    assert all(isinstance(device, Device) for device in read_alsa(text))
    with contextlib.suppress(RemoteError):
        read_pulse(text, "x", speakers=True)


def test_a_device_is_chosen_by_a_part_of_its_name_that_no_other_has():
    assert choose("headset", microphones(), what="microphone") == "pulse:alsa_input.usb-Acme.mono"
    assert choose(None, microphones(), what="microphone") == "pulse"
    assert choose("none", microphones(), what="microphone") == ""
    assert choose("alsa:hw:1", (), what="microphone") == "alsa:hw:1"
    assert choose(None, (), what="microphone") == ""


@pytest.mark.parametrize(("wanted", "why"), [("input", "2 microphones have 'input'"), ("xyz", "no microphone 'xyz'")])
def test_several_or_none_are_refused_with_what_to_do(wanted, why):
    with pytest.raises(UsageProblem, match=why):
        choose(wanted, microphones(), what="microphone")
