"""What `call` and `listen` share: the adapter's events shown as they come, and what they prove of a call.  I/O: none.

The softphone tells of SIP and sound, the adapter of names and keys; a person wants both in one sentence. The adapter
may go away in the middle of a call: that is said, and the call goes on [paper §II.C].
"""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from adapter.calls.contacts import digest_in
from adapter.config import format_address
from adapter.link import Link
from adapter.problems import Problem
from adapter.screen import Screen
from adapter.softphone import events
from adapter.softphone.phone import PhoneError, Softphone
from adapter.softphone.protocol import kind_of
from adapter.via import ViaAdapter
from adapter.words import name_in
from overlay.errors import Secp2psipError

SIP_OK: Final = 302
"""The adapter's good answer to an INVITE: 302 Moved Temporarily."""
ANNOUNCED_WAIT_S: Final = 0.3
"""How long a call that bears a token waits for the adapter's word on it, which went off earlier and by another way."""
RECEIPT_WAIT_S: Final = 1.0
"""How long the words about a call that stands already wait for the adapter's receipt."""
NOBODY: Final = 404
"""Not Found: the adapter serves no such user [RFC 3261 §21.4.5]."""
REACH_S: Final = 6.0
"""How long an adapter on another host may take to register a phone: four repetitions of the REGISTER."""
MAX_ANSWERS: Final = 64
"""Callers remembered as announced; each stands for one SECP2PSIP REDIRECT."""
_PROOF_KEYS: Final = ("basis", "support", "attackers_needed", "nodes", "thumbprint", "generation")
Event = dict[str, Any]


class AdapterWatch:
    """Shows the adapter's events from the link's opening on and keeps what they say of calls."""

    def __init__(self, link: Link, screen: Screen, *, on_gone: Callable[[], None]) -> None:
        self._link = link
        self._screen = screen
        self._on_gone = on_gone
        self._task: asyncio.Task[None] | None = None
        self._receipt: asyncio.Future[Event] | None = None
        self._callee = ""
        self._announced: dict[str, Event] = {}
        self._news = asyncio.Event()
        self._last_hint = ""

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def last_hint(self) -> str:
        """What the adapter last advised, or empty."""
        return self._last_hint

    def expect(self, callee: str) -> None:
        """Remember the next receipt for a call to `callee`."""
        self._callee = callee
        self._receipt = asyncio.get_running_loop().create_future()

    async def proof(self) -> Event:
        """Return what the adapter proved of the callee that was expected: `verified` and what that rests on."""
        receipt: Event = {}
        if self._receipt is not None:
            with contextlib.suppress(TimeoutError):
                receipt = await asyncio.wait_for(asyncio.shield(self._receipt), RECEIPT_WAIT_S)
        return {"verified": receipt.get("status") == SIP_OK} | _proof_in(receipt)

    async def claim(self, call: events.Incoming, caller: str) -> tuple[Event, str]:
        """Return what the adapter proved of a caller before the call came, and what is wrong with the call, or nothing.

        `verified` only when the INVITE carries the token that the caller was given, in the way that was announced: with
        the certificate that was named, where one was. A token is good once.
        """
        digest = digest_in(call.request_uri)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANNOUNCED_WAIT_S if digest else 0):
                while digest not in self._announced:
                    self._news.clear()
                    await self._news.wait()
        answer = self._announced.pop(digest, None)
        flaw = flaw_in_call(call, caller, answer, now=time.time())
        proof: Event = {"verified": not flaw, "announced": not flaw}
        return proof | ({} if flaw or answer is None else _proof_in(answer)), flaw

    async def _follow(self) -> None:
        async for event in self._link.events():
            self._note(event)
            if self._screen.json or event["event"] != "ready":  # an adapter of our own is nothing to be told of
                self._screen.show(event)
        self._on_gone()

    def _note(self, event: Event) -> None:
        match event:
            case {"event": "warning"}:
                self._last_hint = str(event.get("hint") or "")
            case {"event": "step", "flow": "register", "detail": {"warning": hint}}:
                self._last_hint = str(hint)
            case {"event": "receipt", "callee": callee} if callee == self._callee and self._receipt is not None:
                if not self._receipt.done():
                    self._receipt.set_result(event)
            case {
                "event": "step",
                "flow": "answer",
                "step": "SECP2PSIP REDIRECT",
                "detail": {"token_digest": digest} as detail,
            }:
                if len(self._announced) >= MAX_ANSWERS:
                    self._announced.pop(next(iter(self._announced)))
                self._announced[str(digest)] = detail
                self._news.set()


async def register(
    phone: Softphone, link: Link, user: str, watch: AdapterWatch, screen: Screen, *, quiet: bool = False
) -> None:
    """Register the phone with the adapter, which enrols `user` where that was never done; raise with the cause.

    `quiet` keeps the words back.
    """
    with screen.waiting(f"registering {user}"):
        try:
            # PJSIP itself gives up after half a minute
            async with asyncio.timeout(REACH_S if isinstance(link, ViaAdapter) else None):
                await phone.register()
        except TimeoutError:
            silent = PhoneError(f"no answer within {REACH_S:g} s", status=408)
            raise await _why(silent, link, user, watch) from None
        except PhoneError as error:
            raise await _why(error, link, user, watch) from error
    if not quiet:
        screen.show({"event": "registered", "status": 200, "user": user, "adapter": format_address(link.sip)})


async def _why(error: PhoneError, link: Link, user: str, watch: AdapterWatch) -> Secp2psipError:
    """Return the error to show for a refused registration: the adapter's own words say more than a status."""
    if error.status // 100 == 5:  # noqa: PLR2004 -- the class of the server's failures
        try:
            await link.ask("register", user=user)
        except Secp2psipError as cause:
            return cause
    code = "unreachable" if error.status in {0, 408, 500, 503} else "refused_phone"
    hint = watch.last_hint or (_hint_via(error.status, user) if isinstance(link, ViaAdapter) else "")
    text = f"{user} could not register with the adapter at {format_address(link.sip)}: {error.reason}"
    return Problem(text, hint=hint, code=code)


def _hint_via(status: int, user: str) -> str:
    """Say what helps a phone that an adapter on another host does not take."""
    if status in {401, 403}:
        return f"is it the password that stands for {user} in [phones] of config.toml on that host?"
    if status == NOBODY:
        return f"start that adapter with --user {user} too, or say with --user who you are there"
    return "does secp2psip adapter run there, and does a firewall let UDP through?"


def phone_event(event: events.Event) -> Event:
    """Return what the softphone told as an event of the screen; `at` is in seconds of CLOCK_MONOTONIC."""
    kind = "child-died" if isinstance(event, events.ChildDied) else kind_of(event)
    return {"event": kind} | dataclasses.asdict(event)


def caller_of(event: events.Incoming) -> str:
    """Return the name that an incoming call claims to be from; nothing proves it yet."""
    return name_in(event.remote_uri)


def flaw_in_call(call: events.Incoming, caller: str, answer: Event | None, *, now: float) -> str:
    """Say what keeps a call from being the one that was announced, or nothing."""
    if answer is None:
        return "no adapter announced this call"
    if answer.get("caller") != caller:
        return f"the call was announced for {answer.get('caller')}"
    if float(answer.get("expires_at", 0.0)) <= now:
        return "the call was announced too long ago"
    named = str(answer.get("fingerprint") or "")
    if named and not call.fingerprint:
        return "the call was to come encrypted, and comes in the clear"
    if named and call.fingerprint != named:
        return f"the phone shows another certificate than {caller}'s adapter named"
    return ""


def _proof_in(source: Event) -> Event:
    found: Event = {key: source[key] for key in _PROOF_KEYS if key in source}
    if "nodes" not in found and "nodes_known" in source:
        found["nodes"] = source["nodes_known"]
    return found
