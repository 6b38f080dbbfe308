"""The calls that `listen` takes: shown, answered by key or by itself, ended in time.  I/O: softphone, keys.

Several at a time where the phone has the lines: who calls while somebody talks waits, is taken by the same key as ever,
which puts the other on hold, and `w` goes back and forth.
"""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
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

OK: Final = 200
DECLINE: Final = 603
"""Decline [RFC 3261 §21.6.2]: the user was asked and does not want to."""
NOT_ANNOUNCED: Final = 403
"""Forbidden [RFC 3261 §21.4.4]: the call was not announced by the caller's adapter."""
MAX_REVIVALS: Final = 5
"""Children that may die while they start, before that is taken for a fault that stays."""
_ANSWER_KEYS: Final = frozenset("a\r\n")
_DECLINE_KEY: Final = "d"
_END_KEYS: Final = frozenset("dhq")
_SWITCH_KEY: Final = "w"


@dataclass(slots=True, kw_only=True)
class Guest:
    """Somebody who calls, or is talked with."""

    number: int
    """Of the call, as the phone counts."""
    caller: str
    """The name that the call claims to be from."""
    call: str
    """Digest of the call's token, empty where it bears none."""
    proof: dict[str, object] = field(default_factory=dict)
    is_refused: bool = False
    talk: Talk | None = None
    """Since the call is up."""
    deadline: float | None = None
    turn: int = 0
    """Counts up with each time that somebody else is talked with."""


class Answerer:
    """Takes the calls of one softphone."""

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
        self._guests: dict[int, Guest] = {}
        self._ended = self._turn = 0
        self._is_ready = False
        self.idle = asyncio.Event()
        """Set as long as nobody rings or talks."""
        self.idle.set()
        self.watch: AdapterWatch | None = None
        """What the adapter told of callers."""

    def ready(self, sip: Address) -> None:
        """Tell that calls can come."""
        self._is_ready = True
        event = {"event": "listening", "user": self._user, "adapter": format_address(sip), "phone": self._phone.address}
        self._screen.show(event | {"auto_answer": self._auto_answer})
        if not self._auto_answer and not self._keyboard.is_there:
            text = "nobody can answer here: there is no terminal"
            self._screen.show({"event": "warning", "text": text, "hint": "let it answer with --auto-answer"})
        self._show_line()

    async def run(self) -> None:
        """Take calls until there were enough of them."""
        keys = asyncio.create_task(self._obey_keys())
        try:
            while self._calls is None or self._ended < self._calls:
                await self._take(await self._next())
        finally:
            keys.cancel()
            await asyncio.gather(keys, return_exceptions=True)

    async def _next(self) -> events.Event:
        """Return what the phone tells next; hang up meanwhile where the time of a call is over."""
        while True:
            late = [guest for guest in self._guests.values() if guest.deadline is not None]
            first = min(late, key=lambda guest: guest.deadline or 0.0, default=None)
            try:
                async with asyncio.timeout_at(None if first is None else first.deadline):
                    return await self._phone.events.get()
            except TimeoutError:
                if first is not None:
                    first.deadline = None
                    await self._end(first)

    # ------------------------------------------------------------------ what the phone tells

    async def _take(self, event: events.Event) -> None:
        match event:
            case events.Registered(status=status) if status == OK or not self._is_ready:
                return  # a refresh, or the first, of which `listen` itself tells
            case events.Missed():
                await self._miss(event)
            case events.Incoming():
                await self._greet(event)
            case events.ChildDied():
                await self._lose(event)
            case events.CallEvent() if (guest := self._guests.get(event.call)) is not None:
                self._follow(guest, event)
            case _:
                self._screen.show(phone_event(event))
                if (front := self._front()) is not None and front.talk is not None:
                    front.talk.note(event)

    async def _miss(self, event: events.Missed) -> None:
        guest, flaw = await self._judge(event)
        self._screen.show(phone_event(event) | {"peer": guest.caller} | guest.proof)
        if not (self._is_strict and flaw):  # a stranger could fill the history
            self._remember(guest, event)

    async def _greet(self, event: events.Incoming) -> None:
        guest, flaw = await self._judge(event)
        guest.is_refused = self._is_strict and bool(flaw)
        is_waiting = self._front() is not None
        self._guests[guest.number] = guest
        told = phone_event(event) | {"peer": guest.caller} | guest.proof
        if guest.is_refused:
            self._screen.show(told | {"event": "turned-away", "why": flaw})
            with contextlib.suppress(PhoneError):  # it went away by itself
                await self._phone.answer(NOT_ANNOUNCED, call=guest.number)
            return
        self.idle.clear()
        self._screen.show(told | {"waiting": is_waiting})
        self._show_line()
        with contextlib.suppress(PhoneError):  # the caller gave up a moment ago: Ended tells so
            if self._auto_answer:
                await self._phone.answer(call=guest.number)
            else:
                await self._phone.ring(call=guest.number)

    async def _judge(self, event: events.Incoming) -> tuple[Guest, str]:
        """Find out what is proved of a call that comes in, and what keeps it from being taken as announced."""
        caller = caller_of(event)
        guest = Guest(number=event.call, caller=caller, call=digest_in(event.request_uri))
        guest.proof = {"verified": False, "announced": False}
        flaw = "the adapter is away, so that nobody can announce calls"
        if self.watch is not None:
            guest.proof, flaw = await self.watch.claim(event, caller)
        return guest, flaw

    def _follow(self, guest: Guest, event: events.CallEvent) -> None:
        told = phone_event(event) | {"peer": "" if guest.is_refused else guest.caller}
        match event:
            case events.Established():
                told |= guest.proof
                if self._duration_s is not None:
                    guest.deadline = asyncio.get_running_loop().time() + self._duration_s
                self._take_turn(guest)
            case events.Held(on=False, here=True):
                self._take_turn(guest)
            case events.Ended():
                self._let_go(guest, event)
        self._screen.show(told)
        if isinstance(event, events.Established):
            guest.talk = Talk(self._phone, self._screen, peer=guest.caller, call=guest.number)
            guest.talk.begin(has_keys=self._keyboard.is_there)
        elif guest.talk is not None:
            guest.talk.note(event)
        self._show_line()

    async def _lose(self, died: events.ChildDied) -> None:
        """Tell that a process of the phone died, and with it its calls, and start another."""
        lost = [guest for number in died.calls if (guest := self._guests.get(number)) is not None]
        self._screen.show(phone_event(died) | {"peers": [guest.caller for guest in lost]})
        for guest in lost:
            self._let_go(guest, died)
        await self._revive()

    def _let_go(self, guest: Guest, how: events.Ended | events.ChildDied) -> None:
        del self._guests[guest.number]
        guest.talk = None if isinstance(how, events.ChildDied) else guest.talk
        if not guest.is_refused:  # who was turned away is on the screen; a stranger could fill the history
            self._ended += 1
            self._remember(guest, how)
        if all(other.is_refused for other in self._guests.values()):
            self.idle.set()

    def _remember(self, guest: Guest, how: events.Ended | events.ChildDied | events.Missed) -> None:
        self._history.keep(how, side=CALLEE, caller=guest.caller, callee=self._user, call=guest.call)

    async def _revive(self) -> None:
        """Start the phone's process anew; an adapter that is away now registers it when it comes back."""
        attempts = MAX_REVIVALS
        while not self._phone.is_running and attempts and not await self._restart(is_last=attempts == 1):
            attempts -= 1
        self._show_line()

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

    # ------------------------------------------------------------------ what the person sees and does

    def _take_turn(self, guest: Guest) -> None:
        self._turn += 1
        guest.turn = self._turn

    def _front(self) -> Guest | None:
        """Find the one who is talked with, now or last."""
        talking = [guest for guest in self._guests.values() if guest.talk is not None]
        return max(talking, key=lambda guest: guest.turn, default=None)

    def _ringing(self) -> Guest | None:
        return next((guest for guest in self._guests.values() if guest.talk is None and not guest.is_refused), None)

    def _show_line(self) -> None:
        """Set the moving line to what goes on now."""
        front, ringing = self._front(), self._ringing()
        for guest in self._guests.values():
            if guest.talk is not None:
                guest.talk.is_shown = guest is front
        if front is not None and front.talk is not None:
            front.talk.show()
        elif ringing is None:
            self._screen.wait(f"{self._user} can be called, Ctrl-C ends")
        elif not self._auto_answer:
            self._screen.wait(f"{ringing.caller} is calling: a answers, d declines", clock=True)

    async def _obey_keys(self) -> None:
        while True:
            key = await self._keyboard.key()
            with contextlib.suppress(PhoneError):  # the call went away under the finger
                await self._press(key)

    async def _press(self, key: str) -> None:
        front, ringing = self._front(), self._ringing()
        held = next((one for one in self._guests.values() if one.talk is not None and one is not front), None)
        if key in _END_KEYS and ringing is not None and (front is None or key == _DECLINE_KEY):
            await self._end(ringing)
        elif key in _END_KEYS and front is not None:
            await self._end(front)
        elif key in _ANSWER_KEYS and ringing is not None:
            await self._phone.answer(call=ringing.number)
        elif key == _SWITCH_KEY and held is not None:
            await self._phone.hold(on=False, call=held.number)
        elif front is not None and front.talk is not None:
            await front.talk.press(key)

    async def _end(self, guest: Guest) -> None:
        with contextlib.suppress(PhoneError):
            if guest.talk is None:
                await self._phone.answer(DECLINE, call=guest.number)
            else:
                await self._phone.hangup(call=guest.number)
