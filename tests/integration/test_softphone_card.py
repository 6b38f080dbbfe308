"""A call between two virtual headsets of a private sound server: microphone to speaker, both ways, and its keys."""

import asyncio
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from adapter.softphone import events
from adapter.softphone.audio import GOOD_MEDIAN, RATE_HZ, compare, read
from adapter.softphone.phone import PhoneError
from adapter.softphone.soundserver import choose, list_devices
from tests.integration.test_softphone_call import ALICE, BOB, last, phone, until
from tests.interop.sound import SoundServer
from tests.interop.tool import Tool
from tests.support.programs import Program, command

__all__ = ["phone"]
WAV_HEADER_BYTES = 44
RECORDED_HZ = 16_000
WHOSE_VOICE = 0.6
"""Whom one hears: another voice, or none, comes to 0.3. How well is measured by `make interop-sound`, on a machine that
keeps up; three phones on a busy one lose some frames."""
PROGRAMS = ("pulseaudio", "pactl", "parec", "pacat", "paplay", "sox")
missing = [program for program in PROGRAMS if shutil.which(program) is None]
pytestmark = [
    pytest.mark.audio,
    pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)} (make interop-setup)"),
]


@pytest.fixture
async def sound(tmp_path, monkeypatch):
    """A sound server of our own, where phones and tools of this test find it."""
    server = SoundServer(tmp_path / "pulse")
    await server.start()
    monkeypatch.setenv("PULSE_SERVER", f"unix:{server.socket}")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "pulse"))
    try:
        async with asyncio.timeout(15):
            while not (await list_devices()).speakers:  # noqa: ASYNC110 -- another program's doing
                await asyncio.sleep(0.1)
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def tools(tmp_path):
    """Give a starter of programs; all of them are ended at the end."""
    started = []

    async def start(*argv):
        tool = await Tool.start(argv[0], list(argv), log=tmp_path / f"{argv[0]}-{len(started)}.log")
        started.append(tool)
        return tool

    yield start
    for tool in started:
        await tool.stop()


async def recording(tools, folder, name):
    """Record what a speaker plays; the file and the recorder, once it runs."""
    path = folder / f"{name}.wav"
    argv = ("--file-format=wav", f"--rate={RECORDED_HZ}", "--channels=1", "--format=s16le", "--latency-msec=100")
    tool = await tools("parec", *argv, f"--device={name}.monitor", str(path))
    await holds(path, 0)
    return path, tool


async def holds(path, seconds):
    """Wait until so much sound is in a recording."""
    async with asyncio.timeout(10 + seconds):
        wanted = WAV_HEADER_BYTES + 2 * seconds * RECORDED_HZ
        while not path.exists() or path.stat().st_size <= wanted:  # noqa: ASYNC110 -- another program's doing
            await asyncio.sleep(0.05)


async def headsets(phone, **bob):
    alice = await phone("alice", microphone="pulse:mic_a.monitor", speaker="pulse:spk_a", levels=True)
    bob = await phone("bob", microphone="pulse:mic_b.monitor", speaker="pulse:spk_b", **bob)
    return alice, bob


async def test_what_is_said_into_one_microphone_comes_out_of_the_other_speaker(sound, tools, phone, tmp_path):
    alice, bob = await headsets(phone, auto_answer=True)
    await alice.call(f"sip:bob@{bob.address}")
    await until(alice, events.Established)
    recorders = [await recording(tools, tmp_path, name) for name in ("spk_a", "spk_b")]
    await asyncio.gather(
        *[
            (await tools("paplay", f"--device={name}", str(voice))).wait(20)
            for name, voice in (("mic_a", ALICE), ("mic_b", BOB))
        ]
    )
    loud = [event for event in drained(alice) if isinstance(event, events.Levels)]
    await alice.hangup()
    for _, recorder in recorders:
        await recorder.stop()
    assert compare(ALICE, tmp_path / "spk_b.wav").median >= GOOD_MEDIAN
    assert compare(BOB, tmp_path / "spk_a.wav").median >= GOOD_MEDIAN
    assert max(event.microphone for event in loud) > 0.1
    assert max(event.speaker for event in loud) > 0.1


async def test_keys_of_a_call_reach_the_other_side(sound, phone):
    alice, bob = await headsets(phone, auto_answer=True)
    with pytest.raises(PhoneError, match="no call is up"):
        await alice.mute(on=True)
    await alice.call(f"sip:bob@{bob.address}")
    await until(alice, events.Established)
    await last(bob, events.Established)
    await alice.digits("1#")
    assert (await last(bob, events.Digit)).digit == "1"
    assert (await last(bob, events.Digit)).digit == "#"
    with pytest.raises(PhoneError, match="dial pad"):
        await alice.digits("E")
    await alice.hold(on=True)
    assert (await last(alice, events.Held)).here
    there = await last(bob, events.Held)
    assert (there.on, there.here) == (True, False)
    await alice.hold(on=False)
    assert not (await last(bob, events.Held)).on
    await alice.mute(on=True)
    await alice.volume(150)
    with pytest.raises(PhoneError, match="percent"):
        await alice.volume(1000)
    await alice.hangup()
    ended = await last(bob, events.Ended)
    assert ended.cause == "hung up there"


async def test_a_phone_rings_and_the_caller_hears_that_it_does(sound, tools, phone, tmp_path):
    alice, bob = await headsets(phone)
    recorders = [await recording(tools, tmp_path, name) for name in ("spk_a", "spk_b")]
    await alice.call(f"sip:bob@{bob.address}")
    await last(bob, events.Incoming)
    await bob.ring()
    await asyncio.sleep(2)  # the length of a ring
    await alice.hangup()
    await last(bob, events.Ended)
    for path, recorder in recorders:
        await recorder.stop()  # writes how long the file is
        process = await asyncio.create_subprocess_exec("sox", str(path), "-n", "stat", stderr=asyncio.subprocess.PIPE)
        _, text = await process.communicate()
        loudest = next(line for line in text.decode().splitlines() if line.startswith("Maximum amplitude"))
        assert float(loudest.split()[-1]) > 0.05, path


async def test_who_calls_meanwhile_is_heard_to_wait_and_has_the_card_to_himself(sound, tools, phone, tmp_path):
    alice, bob = await headsets(phone, lines=2)
    carol = await phone("carol", play=ALICE)
    await alice.call(f"sip:bob@{bob.address}")
    first = await last(bob, events.Incoming)
    await bob.answer(call=first.call)
    await last(bob, events.Established)
    await carol.call(f"sip:bob@{bob.address}")
    second = await last(bob, events.Incoming)
    path, recorder = await recording(tools, tmp_path, "spk_b")
    await bob.ring(call=second.call)
    await asyncio.sleep(1)  # the length of the tone
    await recorder.stop()
    assert 400 < await loudest_hz(path) < 450

    await bob.answer(call=second.call)
    held = await last(bob, events.Held)
    assert (held.call, held.on, held.here) == (first.call, True, True)
    assert not (await last(alice, events.Held)).here
    await last(carol, events.Established)
    path, recorder = await recording(tools, tmp_path, "spk_b")
    await holds(path, 6)
    await recorder.stop()
    assert compare(ALICE, path).median >= WHOSE_VOICE

    await bob.hold(on=False, call=first.call)  # back to alice
    seen = [await last(bob, events.Held) for _ in range(2)]
    assert {(event.call, event.on) for event in seen} == {(first.call, False), (second.call, True)}
    assert not (await last(alice, events.Held)).on
    assert (await last(carol, events.Held)).on
    await carol.hangup()
    assert (await last(bob, events.Ended)).call == second.call
    path, recorder = await recording(tools, tmp_path, "spk_b")
    await tools("paplay", "--device=mic_a", str(ALICE))
    await holds(path, 8)
    await recorder.stop()
    assert compare(ALICE, path).median >= WHOSE_VOICE


async def loudest_hz(path):
    """Give the frequency that a recording holds most of."""
    samples = read(path)
    return abs(np.fft.rfftfreq(len(samples), 1 / RATE_HZ)[np.argmax(np.abs(np.fft.rfft(samples)))])


async def test_a_sound_server_that_dies_leaves_the_call_alone(sound, phone):
    alice, bob = await headsets(phone, auto_answer=True)
    await alice.call(f"sip:bob@{bob.address}")
    await until(alice, events.Established)
    await sound.stop()
    lost = {(await last(alice, events.SoundLost)).what, (await last(alice, events.SoundLost)).what}
    assert lost == {"microphone", "speaker"}
    await alice.hangup()
    assert (await last(alice, events.Ended)).established


async def test_a_microphone_that_stops_for_a_moment_is_counted_and_sound_goes_on(sound, tools, phone):
    alice, bob = await headsets(phone, auto_answer=True)
    await alice.call(f"sip:bob@{bob.address}")
    await until(alice, events.Established)
    await tools("paplay", "--device=mic_a", str(ALICE))
    await heard(alice)
    recorder = child_called("parec", alice.pid)
    os.kill(recorder, signal.SIGSTOP)
    await asyncio.sleep(0.5)  # the length of the fault
    os.kill(recorder, signal.SIGCONT)
    drained(alice)
    await heard(alice)
    await alice.hangup()
    ended = await last(alice, events.Ended)
    assert 1 <= ended.microphone_holes <= 10
    assert (ended.established, ended.speaker_holes) == (True, 0)


async def heard(softphone):
    """Wait until its microphone hears something."""
    while (await last(softphone, events.Levels)).microphone < 0.1:
        pass


def child_called(program, parent):
    """The process id of a program that a process has started."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return next(int(child) for child in children if program in Path(f"/proc/{child}/cmdline").read_text())


async def test_devices_are_listed_and_chosen_by_name(sound):
    found = await list_devices()
    assert {device.end.device for device in found.speakers} == {"mic_a", "spk_a", "mic_b", "spk_b"}
    assert choose("spk_b", found.speakers, what="speaker") == "pulse:spk_b"
    assert choose(None, found.speakers, what="speaker") == "pulse"


async def test_the_doctor_sees_who_is_muted_and_offers_the_sound_servers_echo_canceller(sound, tools, tmp_path):
    assert await pactl("set-default-source", "mic_a.monitor") == ""
    assert await pactl("set-default-sink", "spk_a") == ""
    findings = await doctor(tmp_path)
    assert (findings["microphone"]["level"], findings["speaker"]["level"]) == ("good", "good")
    assert "module-echo-cancel" in findings["echo"]["hint"]
    await pactl("set-source-mute", "mic_a.monitor", "1")
    options = ("source_master=mic_b.monitor", "sink_master=spk_b", "aec_method=speex")
    assert (await pactl("load-module", "module-echo-cancel", *options)).isdigit()
    findings = await doctor(tmp_path)
    assert "pactl set-source-mute mic_a.monitor 0" in findings["microphone"]["hint"]
    assert "--mic mic_b.monitor.echo-cancel --speaker spk_b.echo-cancel" in findings["echo"]["hint"]


async def pactl(*words):
    process = await asyncio.create_subprocess_exec("pactl", *words, stdout=asyncio.subprocess.PIPE)
    return (await process.communicate())[0].decode().strip()


async def doctor(folder):
    """Run the command; its findings by what was looked at."""
    argv = [command("secp2psip"), "doctor", "--json", "--state", str(folder / "none"), "--bootstrap", "127.0.0.1:1"]
    program = await Program.start("doctor", [*argv, "--sip", "127.0.0.1:0"], folder=folder)
    try:
        await program.wait(20)
        return {event["check"]: event for event in program.events if event["event"] == "finding"}
    finally:
        await program.stop()


def drained(softphone):
    found = []
    while not softphone.events.empty():
        found.append(softphone.events.get_nowait())
    return found
