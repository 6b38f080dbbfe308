"""What the doctor says of microphone, speaker and echo, each with its cure."""

from __future__ import annotations

import dataclasses

from adapter import sound_checkup
from adapter.softphone.devices import Device, SoundEnd

MIC = Device(end=SoundEnd(backend="pulse", device="usb-in"), about="USB Microphone", is_default=True)
SPEAKER = Device(end=SoundEnd(backend="pulse", device="hdmi"), about="Screen", is_default=True)
NEAR = Device(end=SoundEnd(backend="pulse", device="in.echo-cancel"), about="Near", is_default=False, cancels_echo=True)
FAR = dataclasses.replace(NEAR, end=SoundEnd(backend="pulse", device="out.echo-cancel"))


def judged(microphones, speakers, **more):
    return {one.check: one for one in sound_checkup.sound(microphones, speakers, **more)}


def test_nothing_there_is_said_with_its_cure_and_is_no_fault_of_other_phones():
    found = sound_checkup.nothing("no sound server answers", "start it")
    assert (found.level, found.hint) == ("doubtful", "start it")
    assert "--play" in found.text


def test_a_microphone_and_a_loudspeaker_are_good_and_echo_is_not():
    found = judged([MIC], [SPEAKER])
    assert (found["microphone"].level, found["speaker"].level) == ("good", "good")
    assert "USB Microphone (pulse:usb-in)" in found["microphone"].text
    assert found["echo"].level == "doubtful"
    assert "headset" in found["echo"].hint
    assert "module-echo-cancel" in found["echo"].hint


def test_a_canceller_that_runs_is_offered_and_one_that_is_used_is_good():
    offered = judged([MIC, NEAR], [SPEAKER, FAR])["echo"]
    assert (offered.level, "--mic in.echo-cancel --speaker out.echo-cancel" in offered.hint) == ("doubtful", True)
    used = [dataclasses.replace(one, is_default=True) for one in (NEAR, FAR)]
    assert judged(used[:1], used[1:])["echo"].level == "good"


def test_a_headset_needs_no_canceller():
    assert judged([MIC], [dataclasses.replace(SPEAKER, is_headset=True)])["echo"].level == "good"


def test_what_is_muted_is_named_with_the_command_that_ends_it():
    found = judged([dataclasses.replace(MIC, is_muted=True)], [dataclasses.replace(SPEAKER, is_muted=True)])
    assert "nobody will hear you" in found["microphone"].text
    assert "pactl set-source-mute usb-in 0" in found["microphone"].hint
    assert "you will hear nobody" in found["speaker"].text
    assert "pactl set-sink-mute hdmi 0" in found["speaker"].hint


def test_a_card_that_another_program_has_is_named_with_that_program():
    end = SoundEnd(backend="alsa", device="default")
    found = judged(
        [dataclasses.replace(MIC, end=end)],
        [dataclasses.replace(SPEAKER, end=end)],
        users=[("microphone", "zoom (pid 7)")],
    )
    assert "in use by zoom (pid 7)" in found["microphone"].text
    assert (found["microphone"].level, found["speaker"].level) == ("doubtful", "good")
    assert found["echo"].hint == "use a headset"


def test_where_one_end_is_missing_it_is_said_and_echo_is_no_matter():
    found = judged([], [dataclasses.replace(SPEAKER, is_default=False)])
    assert set(found) == {"microphone", "speaker"}
    assert found["microphone"].text == "there is none"
    assert "--speaker" in found["speaker"].hint
