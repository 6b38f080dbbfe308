"""The calls that `listen` takes: shown, answered by key or by itself, ended in time.  I/O: softphone, keys."""

import asyncio
import contextlib
import time
from typing import Final

from adapter.calls.contacts import digest_in
from adapter.commands.conversation import AdapterWatch, caller_of, phone_event
from adapter.commands.history import CALLEE, History
from adapter.commands.talking import Talk
from adapter.config import Address, format_address
from adapter.keyboard import Keyboard
from adapter.screen import Screen
from adapter.softphone import events
from adapter.softphone.phone import PhoneError, Softphone

DECLINE: Final = 603
"""Decline [RFC 3261 §21.6.2]: the user was asked and does not want to."""
NOT_ANNOUNCED: Final = 403
"""Forbidden [RFC 3261 §21.4.4]: the call was not announced by the caller's adapter."""
MAX_REVIVALS: Final = 5
"""Children that may die while they start, before that is taken for a fault that stays."""
_ANSWER_KEYS: Final = frozenset("a\r\n")
_END_KEYS: Final = frozenset("dhq")


class Answerer:
    """Takes the calls of one softphone, one after the other."""

    def __init__(
        self,
        phone: Softphone,
        screen: Screen,
        keyboard: Keyboard,
        history: History,
        *,
        user: str,
        auto_answer: bool,
        is_strict: bool,
        duration_s: float | None,
        calls: int | None,
    ) -> None:
        """`is_strict`: only calls that the caller's adapter announced to ours are taken."""
        self._phone, self._screen, self._keyboard = phone, screen, keyboard
        self._user, self._auto_answer, self._duration_s, self._calls = user, auto_answer, duration_s, calls
        self._is_strict = is_strict
        self._history = history
        self._call = ""
        self._caller = ""
        self._proof: dict[str, object] = {}
        self._is_refused = False
        self._talk: Talk | None = None
        self._deadline: float | None = None
        self.idle = asyncio.Event()
        """Set as long as nobody rings or talks."""
        self.idle.set()
        self.watch: AdapterWatch | None = None
        """What the adapter told of callers."""

    def ready(self, sip: Address) -> None:
        """Tell that calls can come."""
        event = {"event": "listening", "user": self._user, "adapter": format_address(sip), "phone": self._phone.address}
        self._screen.show(event | {"auto_answer": self._auto_answer})
        if not self._auto_answer and not self._keyboard.is_there:
            text = "nobody can answer here: there is no terminal"
            self._screen.show({"event": "warning", "text": text, "hint": "let it answer with --auto-answer"})
        self._rest()

    async def run(self) -> None:
        """Take calls until there were enough of them."""
        keys = asyncio.create_task(self._obey_keys())
        try:
            ended = 0
            while self._calls is None or ended < self._calls:
                event = await self._next()
                was_refused = self._is_refused
                await self._take(event)
                is_over = isinstance(event, events.Ended) or (isinstance(event, events.ChildDied) and event.in_call)
                ended += is_over and not was_refused
        finally:
            keys.cancel()
            await asyncio.gather(keys, return_exceptions=True)

    async def _next(self) -> events.Event:
        """Return what the phone tells next; hang up meanwhile when the time of the call is over."""
        while True:
            try:
                async with asyncio.timeout_at(self._deadline):
                    return await self._phone.events.get()
            except TimeoutError:
                self._deadline = None
                await self._end()

    async def _take(self, event: events.Event) -> None:
        told = phone_event(event)
        match event:
            case events.Registered(status=200):
                return  # a refresh, or the one that was told already
            case events.Incoming():
                await self._judge(event)
                told |= {"peer": self._caller} | self._proof
                if self._is_refused:
                    await self._refuse(told)
                    return
            case events.Established():
                if self._duration_s is not None:
                    self._deadline = asyncio.get_running_loop().time() + self._duration_s
                told |= {"peer": self._caller} | self._proof
            case events.Troubled():
                told |= {"peer": self._caller}
            case events.Ended():
                told |= {"peer": "" if self._is_refused else self._caller}
                self._remember(event)
                self._over()
        self._screen.show(told)
        self._after(event)
        if isinstance(event, events.Incoming):
            with contextlib.suppress(PhoneError):  # the caller gave up a moment ago: Ended tells so
                await (self._phone.answer() if self._auto_answer else self._phone.ring())
        if isinstance(event, events.ChildDied):
            await self._revive(event)

    async def _judge(self, event: events.Incoming) -> None:
        """Find out what is proved of a call that comes in, and whether it may ring."""
        self._caller, self._call = caller_of(event), digest_in(event.request_uri)
        self._proof = {"verified": False, "announced": False}
        flaw = "the adapter is away, so that nobody can announce calls"
        if self.watch is not None:
            self._proof, flaw = await self.watch.claim(event, self._caller)
        self._is_refused = self._is_strict and bool(flaw)
        if self._is_refused:
            self._proof["why"] = flaw
        else:
            self.idle.clear()

    async def _refuse(self, told: dict[str, object]) -> None:
        self._screen.show(told | {"event": "turned-away"})
        with contextlib.suppress(PhoneError):  # it went away by itself
            await self._phone.answer(NOT_ANNOUNCED)

    def _remember(self, event: events.Ended | events.ChildDied) -> None:
        if not self._is_refused:  # who was turned away is on the screen; a stranger could fill the history
            self._history.keep(event, side=CALLEE, caller=self._caller, callee=self._user, call=self._call)

    def _over(self) -> None:
        self._deadline = None
        self._is_refused = False
        self._talk = None
        self.idle.set()

    async def _revive(self, died: events.ChildDied) -> None:
        """Start the phone's process anew; an adapter that is away now registers it when it comes back."""
        if not self.idle.is_set():
            self._remember(died)
        self._over()
        attempts = MAX_REVIVALS
        while not self._phone.is_running and attempts and not await self._restart(is_last=attempts == 1):
            attempts -= 1
        self._rest()

    async def _restart(self, *, is_last: bool) -> bool:
        """Tell whether the phone's process is there again."""
        began = time.monotonic()
        try:
            await self._phone.restart()
        except PhoneError as error:
            if self._phone.is_running:  # but the adapter is not
                self._screen.show({"event": "warning", "text": str(error), "hint": ""})
                return True
            if is_last:
                raise
            return False
        took = {"took_ms": round((time.monotonic() - began) * 1000, 1)}
        self._screen.show({"event": "phone-back", "user": self._user, "phone": self._phone.address} | took)
        return True

    def _after(self, event: events.Event) -> None:
        """Set the moving line to what goes on now."""
        match event:
            case events.Incoming() if not self._auto_answer:
                self._screen.wait(f"{self._caller} is calling: a answers, d declines", clock=True)
            case events.Established():
                self._talk = Talk(self._phone, self._screen, peer=self._caller)
                self._talk.begin()
            case events.Ended():
                self._rest()
            case _ if self._talk is not None:
                self._talk.note(event)

    def _rest(self) -> None:
        self._screen.wait(f"{self._user} can be called, Ctrl-C ends")

    async def _obey_keys(self) -> None:
        while True:
            key = await self._keyboard.key()
            if self.idle.is_set():
                continue
            with contextlib.suppress(PhoneError):  # the call went away under the finger
                if key in _END_KEYS:
                    await self._end()
                elif self._talk is not None:
                    await self._talk.press(key)
                elif key in _ANSWER_KEYS:
                    await self._phone.answer()

    async def _end(self) -> None:
        with contextlib.suppress(PhoneError):
            try:
                await self._phone.answer(DECLINE)  # works while it rings only
            except PhoneError:
                await self._phone.hangup()
