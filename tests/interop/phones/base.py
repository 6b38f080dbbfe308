"""What the cases ask of a phone, whichever it is.  I/O: processes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from tests.interop.tool import InteropFailed, Tool

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.interop.sound import SoundServer, Voice

MAX_TALK_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """Where a phone stands and what it is set to: all that a person would type into it."""

    prefix: tuple[str, ...]
    """Words before a command that put it on the host."""
    host: str
    """The host's address."""
    user: str
    registrar: tuple[str, int]
    """The adapter's SIP address; beside the phone, unless the case is another."""
    folder: Path
    """The phone's home, new for each case."""
    voice: Voice
    state: Path
    """The adapter's state directory, for the built-in softphone."""
    sound: SoundServer | None = None
    headset: str = "a"
    transport: str = "udp"
    port: int = 5060
    answers: bool = True
    """Whether it answers by itself; else it rings."""
    password: str = ""
    expires_s: int = 120
    plain: bool = True
    """Whether the built-in softphone encrypts nothing, so that the wire can be looked at."""
    srtp: bool = False
    """Whether the phone speaks SRTP and nothing else, its keys in SIP."""

    @property
    def domain(self) -> str:
        """The adapter as it is typed into a phone."""
        return authority(*self.registrar)


def authority(host: str, port: int) -> str:
    """Return host:port as a URI wants it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Phone(ABC):
    """One phone program on one host."""

    kind: ClassVar[str]
    program: ClassVar[str]
    """The command that must be there."""
    transports: ClassVar[frozenset[str]] = frozenset({"udp"})
    records: ClassVar[bool] = True
    """Whether it writes down what it hears; else the wire is looked at."""

    def __init__(self, seat: Seat) -> None:
        self.seat = seat
        self._tool: Tool | None = None
        seat.folder.mkdir(parents=True, exist_ok=True)

    @property
    def tool(self) -> Tool:
        """The running program."""
        if self._tool is None:
            raise InteropFailed(f"{self.kind} does not run")
        return self._tool

    async def run(self, *argv: str, env: Mapping[str, str] | None = None) -> Tool:
        """Start the program on its host."""
        home = {"HOME": str(self.seat.folder), "TERM": "dumb"}
        self._tool = await Tool.start(
            f"{self.kind} {self.seat.user}",
            [*self.seat.prefix, *argv],
            log=self.seat.folder / f"{self.kind}.log",
            env=home | dict(env or {}),
            cwd=self.seat.folder,
        )
        return self._tool

    def target(self, name: str) -> str:
        """Return what is dialled for a name."""
        return f"sip:{name}@{self.seat.domain}"

    @abstractmethod
    async def start(self) -> None:
        """Start it; it registers by itself."""

    @abstractmethod
    async def call(self, name: str) -> None:
        """Dial."""

    @abstractmethod
    async def hang_up(self) -> None:
        """End the call, or give it up while it rings."""

    async def decline(self) -> None:
        """Decline the call that rings."""
        await self.hang_up()

    async def stop(self) -> None:
        """End the program."""
        if self._tool is not None:
            await self._tool.stop()

    @property
    def recording(self) -> Path:
        """What it heard, complete once it was stopped."""
        return self.seat.folder / "heard.wav"
