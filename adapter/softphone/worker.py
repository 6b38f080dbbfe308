"""One child process with its user agent in it: started, asked, followed to its end.

I/O: through child.py. PJSIP may die in it at any time; whoever asks hears of it as PhoneError, and `gone` tells why.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from adapter.softphone import commands, events
from adapter.softphone.child import Child
from adapter.softphone.protocol import kind_of
from overlay.errors import LocalError, RemoteError

CALLS_A_CHILD: Final = 2**20
"""Numbers of calls that a child may use up before it would meet those of the next: two weeks of a call each second."""
REPLY_S: Final = 10.0
"""How long the child may take to answer a command; a registration has its own limit."""
REGISTER_S: Final = 40.0
"""A little more than the 32 s after which PJSIP itself reports 408."""


class PhoneError(RemoteError):
    """The phone could not do what was asked: refused by the other side or by PJSIP."""

    def __init__(self, reason: str, status: int = 0) -> None:
        """Carry the SIP status, 0 where there is none."""
        super().__init__(reason)
        self.status = status


class Worker:
    """A child that has answered to Open, and what its events say of it."""

    def __init__(self, take: Callable[["Worker", events.Event], None], serial: int = 0) -> None:
        """`take` gets every event but plain replies, and may raise asyncio.QueueFull to have the child ended.

        The `serial` number of a child sets its calls apart from every other child's.
        """
        self._take = take
        self._first = serial * CALLS_A_CHILD
        self._child: Child | None = None
        self._replies: dict[str, asyncio.Future[events.Event]] = {}
        self._opened = events.Opened(at=0.0, address="")
        self.is_registered = self.is_ending = False
        self.lines = 1
        """How many calls at a time it takes."""
        self.live: set[int] = set()
        """The numbers of its calls that are up or on their way."""
        self.calls = 0
        """How many it has behind it."""

    @classmethod
    async def start(
        cls, plan: commands.Open, take: Callable[["Worker", events.Event], None], serial: int = 0
    ) -> "Worker":
        """Start the process and its user agent; PhoneError where it does not come up."""
        worker = cls(take, serial)
        worker.lines = plan.lines
        worker._child = await Child.spawn(worker._receive)
        worker._child.gone.add_done_callback(worker._let_go)
        try:
            opened = await worker.ask(plan)
        except BaseException:
            await worker.end()
            raise
        if isinstance(opened, events.Opened):
            worker._opened = opened
        return worker

    @property
    def opened(self) -> events.Opened:
        """Its addresses and its certificate."""
        return self._opened

    @property
    def gone(self) -> asyncio.Task[str]:
        """Ends, with the reason in words, once the process has ended and all that it said was taken."""
        assert self._child is not None  # there is none before `start`
        return self._child.gone

    @property
    def is_running(self) -> bool:
        """The process lives."""
        return self._child is not None and self._child.is_running

    @property
    def pid(self) -> int:
        """Process id."""
        assert self._child is not None  # as above
        return self._child.pid

    @property
    def is_in_call(self) -> bool:
        """A call is up or on its way."""
        return bool(self.live)

    def has(self, call: int) -> bool:
        """Tell whether a call, up or over, is or was this child's."""
        return self._first < call <= self._first + CALLS_A_CHILD

    async def ask(self, command: commands.Command, *, within_s: float = REPLY_S) -> events.Event:
        """Send a command and wait for the event that answers it; PhoneError where that is Failed or never comes."""
        about = kind_of(command)
        if self._child is None or not self._child.is_running:
            raise PhoneError("the phone's process is not running")
        if about in self._replies:
            raise LocalError(f"the phone is already asked to {about}")
        reply: asyncio.Future[events.Event] = asyncio.get_running_loop().create_future()
        self._replies[about] = reply
        if isinstance(command, commands.CallCommand) and command.call:
            command = replace(command, call=command.call - self._first)
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

    async def register(self) -> events.Registered:
        """Register at the registrar and wait for its answer; PhoneError with the status where it refuses."""
        answer = await self.ask(commands.Register(), within_s=REGISTER_S)
        if not isinstance(answer, events.Registered):
            raise PhoneError("the phone answered something else")
        if answer.status // 100 != 2:  # noqa: PLR2004  the class of success
            raise PhoneError(f"the registration was refused: {answer.status} {answer.reason}", answer.status)
        return answer

    async def end(self) -> None:
        """Have the child hang up, unregister and exit, by force where it does not."""
        self.is_ending = True
        if self._child is not None:
            await self._child.end()

    def _let_go(self, gone: asyncio.Task[str]) -> None:
        for reply in self._replies.values():
            if not reply.done():
                reply.set_exception(PhoneError(f"the phone's process is gone: {gone.result()}"))

    def _receive(self, event: events.Event) -> None:
        if isinstance(event, events.CallEvent | events.Done) and event.call:
            event = replace(event, call=self._first + event.call)
        match event:
            case events.Done(about=about) | events.Failed(about=about):
                self._reply(about, event)
                return
            case events.Opened():
                self._reply("open", event)
                return
            case events.Registered():
                self.is_registered = event.status // 100 == 2  # noqa: PLR2004  the class of success
                self._reply("register", event)
            case events.Missed():
                self.calls += 1
            case events.Incoming():
                self.live.add(event.call)
            case events.Ended():
                self.live.discard(event.call)
                self.calls += 1
        self._take(self, event)

    def _reply(self, about: str, event: events.Event) -> None:
        reply = self._replies.get(about)
        if reply is not None and not reply.done():
            reply.set_result(event)
        if about == "call" and isinstance(event, events.Done):
            self.live.add(event.call)
