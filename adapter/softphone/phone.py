"""The built-in phone as the rest of the adapter sees it: commands to supervised children, and a queue of events.

I/O: through crew.py. PJSIP runs in a child process (agent.py) and may die there at any time: ChildDied comes then, and
`restart` brings the phone back.
"""

import asyncio
from pathlib import Path
from typing import Final, Self

from adapter.sip.phone_secret import REALM
from adapter.softphone import commands, events
from adapter.softphone.crew import Crew
from adapter.softphone.worker import PhoneError
from overlay.errors import LocalError

__all__ = ["PhoneError", "Softphone"]
MAX_EVENTS: Final = 1000
"""Events that nobody has taken from the queue; a child that sends more is ended."""


class Softphone:
    """One phone with one account; `events` holds whatever happens, in order.

    What is asked of a call names it by the number that its events bear; 0 stands for the only one there is.
    """

    def __init__(self) -> None:
        self.events: asyncio.Queue[events.Event] = asyncio.Queue(MAX_EVENTS)
        """Everything the child tells but plain replies; ChildDied is the last of a child."""
        self._crew: Crew | None = None

    # ------------------------------------------------------------------ life

    async def start(
        self,
        *,
        host: str,
        user: str,
        registrar: str | None = None,
        password: str = "",
        play: Path | None = None,
        record: Path | None = None,
        loop: bool = True,
        auto_answer: bool = False,
        lines: int = 1,
        together: bool = False,
        codecs: tuple[str, ...] = commands.CODECS,
        microphone: str = "",
        speaker: str = "",
        levels: bool = False,
        encrypt: bool = True,
        require_encryption: bool = False,
        srtp: bool = False,
        forbidden: tuple[str, ...] = (),
        log: Path | None = None,
    ) -> None:
        """Start the child and its user agent; fields as in commands.Open. PhoneError where it does not come up.

        `lines` may be more than a child has: further children are started as calls come.
        """
        if self.is_running:
            raise LocalError("the phone is started already")
        if ":" in host:
            raise PhoneError(
                f"the built-in softphone speaks IPv4 alone, and {host} is IPv6: give --sip an IPv4 address"
            )
        plan = commands.Open(
            host=host,
            user=user,
            registrar=registrar or "",
            password=password,
            realm=REALM if password else "",
            play=_readable(play),
            loop=loop,
            record=_absolute(record),
            auto_answer=auto_answer,
            together=together,
            codecs=codecs,
            microphone=microphone,
            speaker=speaker,
            levels=levels,
            encrypt=encrypt,
            require_encryption=require_encryption,
            srtp=srtp,
            forbidden=forbidden,
            log=_absolute(log),
        )
        await self.close()
        self._crew = Crew(plan, self._take, lines=lines)
        try:
            await self._crew.begin()
        except BaseException:
            await self.close()
            raise

    async def register(self) -> events.Registered:
        """Register at the registrar and wait for its answer; PhoneError with the status where it refuses."""
        return await self._children().register()

    async def restart(self) -> None:
        """Replace the child, dead or alive, by a new one with the same options, registered again if it was.

        PhoneError where it does not come up, or is refused: `is_running` tells which.
        """
        if self._crew is None:
            raise LocalError("the phone was never started")
        await self._crew.begin()

    async def close(self) -> None:
        """Hang up, unregister and end the children; may be called at any time, and again."""
        if self._crew is not None:
            await self._crew.close()

    @property
    def is_running(self) -> bool:
        """A child is there for the next call."""
        try:
            return self._children().worker.is_running
        except PhoneError:
            return False

    @property
    def pid(self) -> int:
        """Process id of the child that takes the next call; PhoneError where there is none."""
        return self._children().worker.pid

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of all children, those that were relieved and have not gone yet among them."""
        return self._crew.pids if self._crew is not None else ()

    @property
    def address(self) -> str:
        """`host:port` of the phone's SIP socket; PhoneError before it is started, as for the two below."""
        return self._children().opened.address

    @property
    def tls(self) -> str:
        """`host:port` where it takes SIP over TLS; empty without encryption."""
        return self._children().opened.tls

    @property
    def fingerprint(self) -> str:
        """SHA-256 of its certificate in hexadecimal; empty without encryption."""
        return self._children().opened.fingerprint

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    # ------------------------------------------------------------------ calls

    async def call(self, uri: str) -> int:
        """Send an INVITE to the URI, and return the call's number; how it goes on comes as events.

        PhoneError where it cannot be sent.
        """
        done = await self._children().worker.ask(commands.Call(uri=uri))
        return done.call if isinstance(done, events.Done) else 0

    async def answer(self, status: int = 200, *, call: int = 0) -> None:
        """Take the incoming call, or refuse it with 486 or 603; PhoneError where there is none."""
        await self._ask(commands.Answer(status=status, call=call))

    async def hangup(self, *, call: int = 0) -> None:
        """End the call, or with 0 all of a child, in whatever state; Ended follows where there was one."""
        await self._ask(commands.HangUp(call=call))

    async def ring(self, *, call: int = 0) -> None:
        """Ring for the call that waits, where there is a speaker."""
        await self._ask(commands.Ring(call=call))

    async def mute(self, *, on: bool, call: int = 0) -> None:
        """Send silence, or sound again; PhoneError where no call is up, as for the three below."""
        await self._ask(commands.Mute(on=on, call=call))

    async def volume(self, percent: int, *, call: int = 0) -> None:
        """Hear the other side at so many percent of what it sends."""
        await self._ask(commands.Volume(percent=percent, call=call))

    async def hold(self, *, on: bool, call: int = 0) -> None:
        """Put the call on hold, or go on; Held follows when the other side has agreed."""
        await self._ask(commands.Hold(on=on, call=call))

    async def digits(self, digits: str, *, call: int = 0) -> None:
        """Send keys of the dial pad."""
        await self._ask(commands.Digits(digits=digits, call=call))

    # ------------------------------------------------------------------ inside

    async def _ask(self, command: commands.CallCommand) -> None:
        await self._children().of(command.call).ask(command)

    def _children(self) -> Crew:
        if self._crew is None:
            raise PhoneError("the phone's process is not running")
        return self._crew

    def _take(self, event: events.Event) -> None:
        if isinstance(event, events.ChildDied) and self.events.full():
            self.events.get_nowait()
        self.events.put_nowait(event)


def _readable(path: Path | None) -> str:
    if path is None:
        return ""
    if not path.is_file():
        raise LocalError(f"there is no sound file {path}")
    return _absolute(path)


def _absolute(path: Path | None) -> str:
    return str(path.absolute()) if path is not None else ""
