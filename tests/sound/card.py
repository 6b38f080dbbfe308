"""A private PulseAudio with one virtual card of four channels: two mouths, two ears, one clock.  I/O: processes.

A null sink is a card whose clock is the machine's. All four channels are of the same sink, so one recording of its
monitor holds what both mouths said and both ears heard sample by sample: nothing has to be lined up afterwards. Two
headsets are cut out of it: `mic_a` hears what is played on `mouth_a`, `ear_a` is alice's speaker, and `b` the same.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from tests.interop.tool import InteropFailed, Tool, run

if TYPE_CHECKING:
    from pathlib import Path

PROGRAMS: Final = ("pulseaudio", "pactl", "parec", "pacat")
CHANNELS: Final = {"mouth_a": "front-left", "mouth_b": "front-right", "ear_a": "rear-left", "ear_b": "rear-right"}
"""Where on the card each of them is, in the order of the recording."""
RATE_HZ: Final = 48_000
SLACK_MS: Final = 500
"""What recorder and mouths ask the server to hold back: it serves the shortest wish, so the phones' own decides."""
RECORDED_HZ: Final = 16_000
WAV_HEADER_BYTES: Final = 100
UP_S: Final = 15.0
POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """A program that records the card."""

    tool: Tool
    path: Path

    async def caught_up(self, seconds: float) -> None:
        """Wait until that much more of the card is in the file."""
        wanted = self._size() + int(seconds * RECORDED_HZ) * 2 * len(CHANNELS)
        async with asyncio.timeout(UP_S + seconds):
            while self._size() <= max(wanted, WAV_HEADER_BYTES):  # noqa: ASYNC110 -- another program's doing
                await asyncio.sleep(POLL_S)

    async def stop(self) -> None:
        """End it; the file is complete then."""
        await self.tool.stop()

    def _size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0


class VirtualCard:
    """The sound server; an asynchronous context manager that ends what it started."""

    def __init__(self, folder: Path) -> None:
        """Keep everything in `folder`, which is made."""
        self._folder = folder
        self._tools: list[Tool] = []

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def environment(self) -> dict[str, str]:
        """What a program needs to find this server and no other."""
        return {"PULSE_SERVER": f"unix:{self._folder}/native", "XDG_RUNTIME_DIR": str(self._folder)}

    async def close(self) -> None:
        """End the server and all that plays and records, by their process ids."""
        for tool in reversed(self._tools):
            await tool.stop()
        self._tools.clear()

    async def record(self, path: Path) -> Recorder:
        """Write what happens on the card to a WAV file of four channels of 16 bits; returns once it has begun."""
        places = ",".join(CHANNELS.values())
        tool = await self._tool(
            *("parec", "--file-format=wav", f"--rate={RECORDED_HZ}", "--format=s16le", "--device=card.monitor"),
            *(f"--channels={len(CHANNELS)}", f"--channel-map={places}", f"--latency-msec={SLACK_MS}", str(path)),
        )
        recorder = Recorder(tool=tool, path=path)
        await recorder.caught_up(0.0)
        return recorder

    async def say(self, mouth: str, voice: Path) -> Tool:
        """Play a WAV file on `mouth_a` or `mouth_b`; the program ends with it."""
        return await self._tool(
            "pacat", "--playback", "--file-format=wav", f"--device={mouth}", f"--latency-msec={SLACK_MS}", str(voice)
        )

    async def _start(self) -> None:
        self._folder.mkdir(mode=0o700)
        home = str(self._folder)
        channels = ",".join(CHANNELS.values())
        loads = [
            f"module-native-protocol-unix socket={home}/native auth-anonymous=1",
            f"module-null-sink sink_name=card rate={RATE_HZ} channels={len(CHANNELS)} channel_map={channels}",
        ]
        loads += [
            f"module-remap-sink sink_name={name} master=card channels=1 channel_map=mono master_channel_map={place}"
            " remix=no"
            for name, place in CHANNELS.items()
        ]
        loads += [
            f"module-remap-source source_name=mic_{side} master=card.monitor channels=1 channel_map=mono"
            f" master_channel_map={CHANNELS[f'mouth_{side}']} remix=no"
            for side in "ab"
        ]
        await self._tool(
            *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--realtime=no"),
            *("--high-priority=no", "--log-target=stderr", *(word for load in loads for word in ("-L", load))),
            env={"HOME": home, "XDG_CONFIG_HOME": home, "DBUS_SESSION_BUS_ADDRESS": "disabled:"},
        )
        async with asyncio.timeout(UP_S):
            while "mic_b" not in await self._sources():  # noqa: ASYNC110 -- as above
                await asyncio.sleep(POLL_S)

    async def _sources(self) -> str:
        try:
            return await run("env", *(f"{k}={v}" for k, v in self.environment.items()), "pactl", "list", "short")
        except InteropFailed:
            if not self._tools[0].running:
                raise InteropFailed(f"pulseaudio: {self._tools[0].text()[-300:]}") from None
            return ""

    async def _tool(self, *argv: str, env: dict[str, str] | None = None) -> Tool:
        log = self._folder / f"{argv[0]}-{len(self._tools)}.log"
        tool = await Tool.start(argv[0], argv, log=log, env=self.environment | (env or {}))
        self._tools.append(tool)
        return tool
