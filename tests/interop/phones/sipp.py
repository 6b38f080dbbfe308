"""sipp: registers, then plays one scenario as callee, or as caller that follows the 302 by script.  I/O: processes."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from tests.interop.phones.base import Phone
from tests.interop.tool import InteropFailed, Tool

SCENARIOS = Path(str(files("tests.interop") / "sipp"))


class Sipp(Phone):
    kind = "sipp"
    program = "sipp"
    records = False
    role = "uas"

    async def start(self) -> None:
        await self._register(self.seat.expires_s)
        if self.role == "uas":
            await self._play("uas")

    async def _play(self, name: str, *, callee: str = "") -> None:
        self._tool = await self._sipp(name, service=callee or self.seat.user)

    async def _sipp(self, name: str, *, service: str, expires_s: int = 0) -> Tool:
        seat = self.seat
        scenario = seat.folder / f"{name}.xml"
        text = (SCENARIOS / f"{name}.xml").read_text()
        values = {"@RAW@": str(seat.voice.raw), "@USER@": seat.user, "@EXPIRES@": str(expires_s)}
        for key, value in values.items():
            text = text.replace(key, value)
        scenario.write_text(text)
        return await Tool.start(
            f"sipp {name}",
            [
                *(*seat.prefix, "sipp", seat.domain, "-sf", str(scenario), "-s", service, "-i", seat.host),
                *("-mi", seat.host, "-p", str(seat.port), "-m", "1", "-nostdin", "-trace_err"),
            ],
            log=seat.folder / f"sipp-{name}.log",
            env={"TERM": "dumb"},
            cwd=seat.folder,
        )

    async def _register(self, expires_s: int) -> None:
        tool = await self._sipp("register", service=self.seat.user, expires_s=expires_s)
        if await tool.wait(15) != 0:
            await tool.stop()
            raise InteropFailed("sipp could not register")

    async def call(self, name: str) -> None:
        await self._play("uac302", callee=name)

    async def hang_up(self) -> None:
        """Its scenario says when."""

    async def stop(self) -> None:
        await super().stop()


class SippCaller(Sipp):
    """The same, calling."""

    role = "uac"
