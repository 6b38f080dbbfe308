"""The built-in phone as the rest of the adapter sees it: commands to a supervised child, and a queue of events.

I/O: through child.py. PJSIP runs in the child (agent.py) and may die there at any time: ChildDied comes then, and
`restart` brings the phone back.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Self

from adapter.softphone import commands, events
from adapter.softphone.child import Child
from adapter.softphone.message import clip
from adapter.softphone.protocol import kind_of
from overlay.errors import LocalError, RemoteError

MAX_EVENTS: Final = 1000
"""Events that nobody has taken from the queue; a child that sends more is ended."""
REPLY_S: Final = 10.0
"""How long the child may take to answer a command; a registration has its own limit."""
REGISTER_S: Final = 40.0
"""A little more than the 32 s after which PJSIP itself reports 408."""
CALLS_BEFORE_RESTART: Final = 100
"""PJSIP grows 25 to 50 KB a call; an idle child with that many behind it is replaced before the next one."""


class PhoneError(RemoteError):
    """The phone could not do what was asked: refused by the other side or by PJSIP."""

    def __init__(self, reason: str, status: int = 0) -> None:
        """Carry the SIP status, 0 where there is none."""
        super().__init__(reason)
        self.status = status


class Softphone:
    """One phone with one account and one call at a time; `events` holds whatever happens, in order."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[events.Event] = asyncio.Queue(MAX_EVENTS)
        """Everything the child tells but plain replies; ChildDied is the last of a child."""
        self.address = ""
        """`host:port` of the phone's SIP socket, once started."""
        self.tls = self.fingerprint = ""
        """`host:port` for SIP over TLS and the SHA-256 of its certificate, once started; empty without encryption."""
        self._plan: commands.Open | None = None
        self._child: Child | None = None
        self._watching: asyncio.Task[None] | None = None
        self._replies: dict[str, asyncio.Future[events.Event]] = {}
        self._closing = False
        self._registered = False
        self._in_call = False
        self._calls = 0

    # ------------------------------------------------------------------ life

    async def start(
        self,
        *,
        host: str,
        user: str,
        registrar: str | None = None,
        play: Path | None = None,
        record: Path | None = None,
        loop: bool = True,
        auto_answer: bool = False,
        codecs: tuple[str, ...] = commands.CODECS,
        microphone: str = "",
        speaker: str = "",
        levels: bool = False,
        encrypt: bool = True,
        require_encryption: bool = False,
        forbidden: tuple[str, ...] = (),
        log: Path | None = None,
    ) -> None:
        """Start the child and its user agent; fields as in commands.Open. PhoneError where it does not come up."""
        plan = commands.Open(
            host=host,
            user=user,
            registrar=registrar or "",
            play=_readable(play),
            loop=loop,
            record=_absolute(record),
            auto_answer=auto_answer,
            codecs=codecs,
            microphone=microphone,
            speaker=speaker,
            levels=levels,
            encrypt=encrypt,
            require_encryption=require_encryption,
            forbidden=forbidden,
            log=_absolute(log),
        )
        await self._spawn(plan)

    async def register(self) -> events.Registered:
        """Register at the registrar and wait for its answer; PhoneError with the status where it refuses."""
        answer = await self._ask(commands.Register(), within_s=REGISTER_S)
        if not isinstance(answer, events.Registered):
            raise PhoneError("the phone answered something else")
        if answer.status // 100 != 2:  # noqa: PLR2004  the class of success
            raise PhoneError(f"the registration was refused: {answer.status} {answer.reason}", answer.status)
        return answer

    async def call(self, uri: str) -> None:
        """Send an INVITE to the URI; how it goes on comes as events. PhoneError where it cannot be sent."""
        if self._calls >= CALLS_BEFORE_RESTART and not self._in_call:
            await self.restart()
        await self._ask(commands.Call(uri=uri))

    async def answer(self, status: int = 200) -> None:
        """Take the incoming call, or refuse it with 486 or 603; PhoneError where there is none."""
        await self._ask(commands.Answer(status=status))

    async def hangup(self) -> None:
        """End the call in whatever state; Ended follows where there was one."""
        await self._ask(commands.HangUp())

    async def ring(self) -> None:
        """Ring for the call that waits, where there is a speaker."""
        await self._ask(commands.Ring())

    async def mute(self, *, on: bool) -> None:
        """Send silence, or sound again; PhoneError where no call is up, as for the three below."""
        await self._ask(commands.Mute(on=on))

    async def volume(self, percent: int) -> None:
        """Hear the other side at so many percent of what it sends."""
        await self._ask(commands.Volume(percent=percent))

    async def hold(self, *, on: bool) -> None:
        """Put the call on hold, or go on; Held follows when the other side has agreed."""
        await self._ask(commands.Hold(on=on))

    async def digits(self, digits: str) -> None:
        """Send keys of the dial pad."""
        await self._ask(commands.Digits(digits=digits))

    async def restart(self) -> None:
        """Replace the child, dead or alive, by a new one with the same options, registered again if it was."""
        if self._plan is None:
            raise LocalError("the phone was never started")
        plan, registered = self._plan, self._registered
        await self.close()
        await self._spawn(plan)
        if registered:
            await self.register()

    async def close(self) -> None:
        """Hang up, unregister and end the child; may be called at any time, and again."""
        self._closing = True
        child, watching = self._child, self._watching
        if child is None or watching is None:
            return
        try:
            await child.end()
        finally:
            await watching
            self._child = self._watching = None

    @property
    def is_running(self) -> bool:
        """The child lives."""
        return self._child is not None and self._child.is_running

    @property
    def pid(self) -> int | None:
        """Process id of the child, or None."""
        return self._child.pid if self._child is not None else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncIterator[events.Event]:
        """Give every event until the child is gone and all has been given."""
        while not self.events.empty() or self._watching is not None:
            if self.events.empty() and self._watching is not None:
                if self._watching.done():
                    return
                coming = asyncio.create_task(self.events.get())
                try:
                    await asyncio.wait({coming, self._watching}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    if not coming.done():
                        coming.cancel()
                if coming.done() and not coming.cancelled():
                    yield coming.result()
            else:
                yield self.events.get_nowait()

    # ------------------------------------------------------------------ the child

    async def _spawn(self, plan: commands.Open) -> None:
        if self.is_running:
            raise LocalError("the phone is started already")
        await self.close()
        self._plan = plan
        self._closing = self._registered = self._in_call = False
        self._calls = 0
        self._child = await Child.spawn(self._take)
        self._watching = asyncio.create_task(self._watch(self._child))
        try:
            opened = await self._ask(plan)
        except BaseException:
            await self.close()
            raise
        if isinstance(opened, events.Opened):
            self.address, self.tls, self.fingerprint = opened.address, opened.tls, opened.fingerprint

    async def _ask(self, command: commands.Command, *, within_s: float = REPLY_S) -> events.Event:
        """Send a command and wait for the event that answers it; PhoneError where that is Failed or never comes."""
        about = kind_of(command)
        if self._child is None or not self._child.is_running:
            raise PhoneError("the phone's process is not running")
        if about in self._replies:
            raise LocalError(f"the phone is already asked to {about}")
        reply: asyncio.Future[events.Event] = asyncio.get_running_loop().create_future()
        self._replies[about] = reply
        try:
            self._child.send(command)
            answer = await asyncio.wait_for(reply, within_s)
        except TimeoutError:
            raise PhoneError(f"the phone's process does not answer to {about}") from None
        finally:
            del self._replies[about]
        if isinstance(answer, events.Failed):
            raise PhoneError(f"the phone cannot {about}: {answer.reason}")
        return answer

    async def _watch(self, child: Child) -> None:
        """Wait for the child's end, and tell of it where nobody asked for it."""
        reason = await child.gone
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(PhoneError(f"the phone's process is gone: {reason}"))
        if not self._closing:
            died = events.ChildDied(at=time.monotonic(), reason=clip(reason), in_call=self._in_call)
            if self.events.full():
                self.events.get_nowait()
            self.events.put_nowait(died)

    def _take(self, event: events.Event) -> None:
        match event:
            case events.Done(about=about) | events.Failed(about=about):
                self._reply(about, event)
                return
            case events.Opened():
                self._reply("open", event)
                return
            case events.Registered():
                self._registered = event.status // 100 == 2  # noqa: PLR2004  the class of success
                self._reply("register", event)
            case events.Incoming() | events.Trying():
                self._in_call = True
            case events.Ended():
                self._in_call = False
                self._calls += 1
        self.events.put_nowait(event)

    def _reply(self, about: str, event: events.Event) -> None:
        reply = self._replies.get(about)
        if reply is not None and not reply.done():
            reply.set_result(event)
        if about == "call" and isinstance(event, events.Done):
            self._in_call = True


def _readable(path: Path | None) -> str:
    if path is None:
        return ""
    if not path.is_file():
        raise LocalError(f"there is no sound file {path}")
    return _absolute(path)


def _absolute(path: Path | None) -> str:
    return str(path.absolute()) if path is not None else ""
