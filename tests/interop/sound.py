"""What the phones say and what they must have heard: a tone and speech in turn.  I/O: WAV files; PulseAudio by process.

Every six seconds each phone says two seconds of a tone (440 Hz the caller, 1000 Hz the callee) and four of speech, at 8
kHz, so one call proves both: the tone by its spectrum, the speech by correlation with the file that was played.
"""

from __future__ import annotations

import wave
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from adapter.softphone.audio import RATE_HZ, read, score
from overlay.errors import RemoteError
from tests.interop.tool import Tool, run

if TYPE_CHECKING:
    from numpy.typing import NDArray

TONES_HZ = {"alice": 440.0, "bob": 1000.0}
"""What the caller's and the callee's phone hum."""
TONE_S, SPEECH_S, ROUNDS = 2, 4, 20
NEAR_HZ, AROUND_HZ, PURE = 5.0, 15.0, 0.8
"""A window is the tone if its peak is that near and that share of its energy lies around it."""
WINDOW_S = 0.5
QUIET = 0.01
"""Of full scale: below it nothing is being said."""
MIN_TONE_S = 1.0
MIN_SPEECH = 0.8
MIN_WINDOWS = 6
"""Windows of one second that must have been compared, and the median of their correlations."""
SINKS = ("mic_a", "spk_a", "mic_b", "spk_b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice:
    """What one phone says, in every form a phone wants."""

    tone_hz: float
    pattern: Path
    """Six seconds, once."""
    long: Path
    """The same for two minutes, for players that do not begin again."""
    raw: Path
    """The long one as bare mu-law, for sipp."""


async def make_voice(name: str, folder: Path) -> Voice:
    """Write the files of `alice` or `bob`."""
    time = np.arange(TONE_S * RATE_HZ) / RATE_HZ
    tone = 0.25 * np.sin(2 * np.pi * TONES_HZ[name] * time)
    speech = read(Path(str(files("adapter.softphone") / "data" / f"{name}.wav")))[: SPEECH_S * RATE_HZ]
    pattern = np.concatenate((tone, speech * (0.6 / np.max(np.abs(speech)))))
    voice = Voice(
        tone_hz=TONES_HZ[name],
        pattern=folder / f"{name}.wav",
        long=folder / f"{name}-long.wav",
        raw=folder / f"{name}.ul",
    )
    _write(voice.pattern, pattern)
    _write(voice.long, np.tile(pattern, ROUNDS))
    await run("sox", str(voice.long), "-t", "ul", "-r", str(RATE_HZ), "-c", "1", str(voice.raw))
    return voice


def _write(path: Path, samples: NDArray[np.float64]) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((samples * 32767).astype("<i2").tobytes())


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a recording holds of a voice."""

    tone_s: float
    speech: float
    """Median correlation of the windows of a second."""
    windows: int
    why: str = ""

    @property
    def ok(self) -> bool:
        """Whether tone and speech both arrived."""
        return self.tone_s >= MIN_TONE_S and self.speech >= MIN_SPEECH and self.windows >= MIN_WINDOWS

    def __str__(self) -> str:
        return self.why or f"tone {self.tone_s:.1f} s, speech {self.speech:.2f} in {self.windows} windows"


def judge(voice: Voice, recording: Path) -> Heard:
    """Look for the voice in the recording."""
    try:
        said, heard = read(voice.pattern), _sounding(read(recording))
        # a phone may begin anywhere in the voice: its first sample is where the recording begins
        begins = round(score(said, heard).start_s * RATE_HZ)
        found = score(np.roll(said, begins), heard)
        return Heard(tone_s=_tone_s(heard, voice.tone_hz), speech=found.median, windows=found.windows)
    except RemoteError as error:
        return Heard(tone_s=0.0, speech=0.0, windows=0, why=str(error))


def _sounding(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut the silence before and after the call: some phones record for longer than it lasts."""
    loud = np.flatnonzero(np.abs(samples) >= QUIET)
    return samples[loud[0] : loud[-1] + 1] if len(loud) else samples


def _tone_s(samples: NDArray[np.float64], tone_hz: float) -> float:
    size = int(WINDOW_S * RATE_HZ)
    bins = np.fft.rfftfreq(size, 1 / RATE_HZ)
    found = 0
    for at in range(0, len(samples) - size, size // 2):
        power = np.abs(np.fft.rfft(samples[at : at + size] * np.hanning(size))) ** 2
        total = float(power.sum())
        if total < 1.0:
            continue  # silence
        near = abs(bins[int(np.argmax(power))] - tone_hz) <= NEAR_HZ
        found += near and float(power[np.abs(bins - tone_hz) <= AROUND_HZ].sum()) >= PURE * total
    return found * WINDOW_S / 2


class SoundServer:
    """A private PulseAudio with two virtual headsets, for phones that want a sound card."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "native"
        self._tool: Tool | None = None

    async def start(self) -> None:
        """Start it; its socket is a file, which every namespace can reach."""
        self.folder.mkdir(mode=0o700)
        home = str(self.folder)
        env = {"HOME": home, "XDG_RUNTIME_DIR": home, "XDG_CONFIG_HOME": home, "PULSE_RUNTIME_PATH": f"{home}/pulse"}
        loads = [f"module-native-protocol-unix socket={self.socket} auth-anonymous=1"]
        loads += [
            f"module-null-sink sink_name={name} rate=48000 channels=1 sink_properties=device.description={name}"
            for name in SINKS
        ]
        self._tool = await Tool.start(
            "pulseaudio",
            [
                *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--realtime=no"),
                *("--high-priority=no", "--log-target=stderr", *(word for load in loads for word in ("-L", load))),
            ],
            log=self.folder / "pulse.log",
            env=env | {"DBUS_SESSION_BUS_ADDRESS": "disabled:"},
        )

    async def stop(self) -> None:
        """End it."""
        if self._tool is not None:
            await self._tool.stop()

    def asoundrc(self) -> str:
        """Return the ALSA names of the headsets, for ~/.asoundrc."""
        server = f'server "unix:{self.socket}"'
        lines = []
        for name in SINKS:
            device = f"{name}.monitor" if name.startswith("mic") else name
            lines.append(f'pcm.{name} {{ type pulse {server} device "{device}" }}')
        lines += [f"pcm.!default {{ type pulse {server} }}", f"ctl.!default {{ type pulse {server} }}"]
        return "\n".join(lines) + "\n"
