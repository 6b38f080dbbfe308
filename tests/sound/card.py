"""A sound server with one virtual card of four channels: two mouths, two ears, one clock.  I/O: processes.

The server is a private PulseAudio, or one that runs. A null sink is a card whose clock is the machine's. All four
channels are of the same sink, so one recording of its monitor holds what both mouths said and both ears heard sample by
sample: nothing has to be lined up afterwards. Two headsets are cut out of it: `mic_a` hears what is played on
`mouth_a`, `ear_a` is alice's speaker, and `b` the same.
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

    def __init__(self, folder: Path, server: str = "") -> None:
        """Keep everything in `folder`, which is made; `server` is one that runs, as PULSE_SERVER names it."""
        self._folder = folder
        self._server = server
        self._modules: list[str] = []
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
        if self._server:
            return {"PULSE_SERVER": self._server}
        return {"PULSE_SERVER": f"unix:{self._folder}/native", "XDG_RUNTIME_DIR": str(self._folder)}

    async def close(self) -> None:
        """End the server and all that plays and records, by their process ids; leave one that ran as it was."""
        own = self._tools[:1] if not self._server else []
        for tool in reversed(self._tools[len(own) :]):
            await tool.stop()
        for module in reversed(self._modules if self._server else []):
            await self._pactl("unload-module", module)
        for tool in own:
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
        if not self._server:
            await self._start_server()
        channels = ",".join(CHANNELS.values())
        form = (f"rate={RATE_HZ}", f"channels={len(CHANNELS)}", f"channel_map={channels}")
        await self._load("module-null-sink", "sink_name=card", *form)
        cut = ("channels=1", "channel_map=mono", "remix=no")
        for name, place in CHANNELS.items():
            ends = (f"sink_name={name}", "master=card", f"master_channel_map={place}")
            await self._load("module-remap-sink", *ends, *cut)
        for side in "ab":
            place = CHANNELS[f"mouth_{side}"]
            ends = (f"source_name=mic_{side}", "master=card.monitor", f"master_channel_map={place}")
            await self._load("module-remap-source", *ends, *cut)

    async def _start_server(self) -> None:
        home = str(self._folder)
        load = f"module-native-protocol-unix socket={home}/native auth-anonymous=1"
        await self._tool(
            *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--realtime=no"),
            *("--high-priority=no", "--log-target=stderr", "-L", load),
            env={"HOME": home, "XDG_CONFIG_HOME": home, "DBUS_SESSION_BUS_ADDRESS": "disabled:"},
        )
        async with asyncio.timeout(UP_S):
            while not await self._answers():  # noqa: ASYNC110 -- another program's doing
                await asyncio.sleep(POLL_S)

    async def _answers(self) -> bool:
        try:
            await self._pactl("info")
        except InteropFailed:
            if not self._tools[0].running:
                raise InteropFailed(f"pulseaudio: {self._tools[0].text()[-300:]}") from None
            return False
        return True

    async def _load(self, *module: str) -> None:
        self._modules.append((await self._pactl("load-module", *module)).strip())

    async def _pactl(self, *words: str) -> str:
        return await run("env", *(f"{name}={value}" for name, value in self.environment.items()), "pactl", *words)

    async def _tool(self, *argv: str, env: dict[str, str] | None = None) -> Tool:
        log = self._folder / f"{argv[0]}-{len(self._tools)}.log"
        tool = await Tool.start(argv[0], argv, log=log, env=self.environment | (env or {}))
        self._tools.append(tool)
        return tool
