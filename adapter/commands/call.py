"""`secp2psip call NAME`: a real call with the built-in softphone.  I/O: link, softphone."""

import argparse
import asyncio
from typing import TYPE_CHECKING, Final

from adapter.calls.contacts import digest_in
from adapter.commands import options
from adapter.commands.advice import advice
from adapter.commands.conversation import AdapterWatch, caller_of, phone_event, register
from adapter.commands.history import CALLEE, CALLER, History
from adapter.commands.sound import Sound, check_sound, choose_devices
from adapter.commands.talking import Talk
from adapter.config import Settings, format_address, parse_user
from adapter.keyboard import Keyboard
from adapter.link import Link, choose_user, open_link
from adapter.problems import ExitCode, Trouble, UsageProblem, exit_code_of_status
from adapter.screen import Screen
from adapter.softphone import events
from adapter.softphone.commands import CODECS
from adapter.softphone.phone import PhoneError, Softphone
from adapter.via import ViaAdapter, reach_via

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES: Final = """\
  secp2psip call bob --user alice
  secp2psip call bob --user alice --bootstrap 192.168.1.10:5480
  secp2psip call bob --user alice --via 192.168.1.20:5070    through alice's adapter on that host
  secp2psip call bob --play speech.wav --record heard.wav --duration 20 --json"""
DEFAULT_TIMEOUT_S: Final = 60.0
"""How long the other phone may ring."""
HANG_UP_KEYS: Final = frozenset("hq")
END_S: Final = 4.0
"""How long the end of a call may take before it is called ended anyway."""
NOT_ACCEPTABLE: Final = frozenset({415, 488, 606})
"""What phones answer to an offer that they cannot meet [RFC 3261 §21]."""
_REFUSED_HERE: Final = {
    "not encrypted": (
        ExitCode.NOT_ENCRYPTED,
        "not_encrypted",
        "call without --require-encryption, or have the other side use secp2psip listen",
    ),
    "not verified": (
        ExitCode.UNVERIFIED,
        "not_verified",
        "somebody may be in the way between the two phones; no INVITE went there",
    ),
}
"""Calls that our own phone did not place after all: exit code, code for programs, hint."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("name", help="whom to call: a name as it is known on the ring")
    options.add_user(parser, who="who calls (default: the only user known here, else your login name)")
    options.add_sound(parser)
    options.add_encryption(parser)
    parser.add_argument(
        "--timeout", type=options.seconds, default=DEFAULT_TIMEOUT_S, metavar="S", help="let it ring S seconds (60)"
    )
    options.add_via(parser, what="call")
    options.add_network(parser)
    options.add_common(parser)


async def run(args: argparse.Namespace, settings: Settings, screen: Screen) -> ExitCode:
    """Place the call and stay until it is over."""
    callee, caller = parse_user(args.name), choose_user(settings)
    if callee == caller:
        raise UsageProblem(
            f"{caller} is your own name and cannot be called from here",
            hint="name somebody else, or say who calls with --user",
        )
    check_sound(args.play, args.record)
    sound = await choose_devices(args, settings)
    link: Link
    password = ""
    if settings.via is not None:
        link, password = await reach_via(settings.via, caller, args.password_file)
    else:
        with screen.waiting("reaching the ring"):
            link = await open_link(settings, caller, screen.show)
    sound.tell(screen)
    try:
        async with Softphone() as phone:
            with Keyboard() as keyboard:
                history = History(settings.state_dir, screen)
                names = {"caller": caller, "callee": callee}
                calling = _Calling(link, phone, screen, args, sound, history=history, password=password, **names)
                keys = asyncio.create_task(calling.obey(keyboard))
                try:
                    return await calling.run()
                finally:
                    keys.cancel()
                    await asyncio.gather(keys, return_exceptions=True)
    finally:
        screen.rest()
        await link.close()


class _Calling:
    """One call, from the INVITE to its end."""

    def __init__(
        self,
        link: Link,
        phone: Softphone,
        screen: Screen,
        args: argparse.Namespace,
        sound: Sound,
        *,
        history: History,
        password: str,
        caller: str,
        callee: str,
    ) -> None:
        self._link, self._phone, self._screen = link, phone, screen
        self._is_via = isinstance(link, ViaAdapter)
        self._caller, self._callee = caller, callee
        self._history = history
        self._password = password
        self._call = ""
        self._number = 0
        self._play: Path | None = args.play
        self._record: Path | None = args.record
        self._duration_s: float | None = args.duration
        self._timeout_s: float = args.timeout
        self._sound = sound
        self._talk: Talk | None = None
        self._has_keys = False
        self._plain: bool = args.plain
        self._codecs: tuple[str, ...] = tuple(args.codecs or CODECS)
        self._require_encryption: bool = args.require_encryption
        self._srtp: bool = args.srtp
        self._established = self._interrupted = self._timed_out = self._ending = False
        self._deadline: float | None = None

    async def run(self) -> ExitCode:
        sip = format_address(self._link.sip)
        await self._phone.start(
            host=self._link.host,
            user=self._caller,
            registrar=sip,
            password=self._password,
            play=self._play,
            record=self._record,
            microphone=self._sound.microphone,
            speaker=self._sound.speaker,
            levels=self._screen.is_live,
            codecs=self._codecs,
            encrypt=not self._plain,
            require_encryption=self._require_encryption,
            srtp=self._srtp,
        )
        async with AdapterWatch(self._link, self._screen, on_gone=self._adapter_gone) as watch:
            await register(self._phone, self._link, self._caller, watch, self._screen)
            self._screen.show({"event": "calling", "to": self._callee, "user": self._caller, "adapter": sip})
            if not self._is_via:
                watch.expect(self._callee)
            self._deadline = asyncio.get_running_loop().time() + self._timeout_s
            self._number = await self._phone.call(f"sip:{self._callee}@{sip}")
            self._screen.wait(f"calling {self._callee}", clock=True)
            while not isinstance(event := await self._next(), events.Ended | events.ChildDied):
                await self._show(event, watch)
            self._screen.rest()
            self._screen.show(phone_event(event))
            if self._call:  # else the adapter's receipt says all there is
                names = {"caller": self._caller, "callee": self._callee}
                self._history.keep(event, side=CALLER, call=self._call, **names)
            return self._conclude(event)

    async def obey(self, keyboard: Keyboard) -> None:
        """Do what the keys say, until cancelled."""
        self._has_keys = keyboard.is_there
        while True:
            key = await keyboard.key()
            if key in HANG_UP_KEYS:
                self._interrupted = not self._established
                await self._hang_up()
            elif self._talk is not None:
                await self._talk.press(key)

    async def _next(self) -> events.Event:
        """Return what the phone tells next. Ctrl-C and the deadlines hang up; the end then comes as usual."""
        while True:
            try:
                async with asyncio.timeout_at(self._deadline):
                    return await self._phone.events.get()
            except TimeoutError:
                if self._ending:
                    return self._ended_anyway()
                self._timed_out = not self._established
            except asyncio.CancelledError:
                task = asyncio.current_task()
                assert task is not None
                task.uncancel()  # the call is ended in order; a second Ctrl-C ends the process
                self._interrupted = True
            await self._hang_up()

    async def _hang_up(self) -> None:
        self._ending = True
        self._deadline = asyncio.get_running_loop().time() + END_S
        try:
            await self._phone.hangup()
        except PhoneError:
            self._deadline = asyncio.get_running_loop().time()

    async def _show(self, event: events.Event, watch: AdapterWatch) -> None:
        told = phone_event(event)
        match event:
            case events.Registered(status=200):
                return  # a refresh, or the one that was told already
            case events.Redirected(contact=contact):
                self._call = digest_in(contact)
            case events.Troubled() | events.Referred():
                told |= {"peer": self._callee}
            case events.Missed():
                told |= await self._missed(event, watch)
            case events.Ringing():
                self._screen.wait(f"{self._callee}'s phone rings", clock=True)
            case events.Established():
                self._established = True
                loop = asyncio.get_running_loop()
                self._deadline = None if self._duration_s is None else loop.time() + self._duration_s
                told |= {"peer": self._callee} | await watch.proof()
                if self._is_via:
                    told |= {"via": format_address(self._link.sip)}
        self._screen.show(told)
        if isinstance(event, events.Established):
            self._talk = Talk(self._phone, self._screen, peer=self._callee, call=self._number)
            self._talk.begin(has_keys=self._has_keys)
        elif self._talk is not None:
            self._talk.note(event)

    async def _missed(self, event: events.Missed, watch: AdapterWatch) -> dict[str, object]:
        """Keep that somebody called meanwhile, where that was announced; return what is proved of him."""
        other = caller_of(event)
        proof, flaw = await watch.claim(event, other)
        if not flaw:
            names = {"caller": other, "callee": self._caller}
            self._history.keep(event, side=CALLEE, call=digest_in(event.request_uri), **names)
        told: dict[str, object] = {"peer": other}
        return told | proof

    def _adapter_gone(self) -> None:
        self._screen.show({"event": "adapter-gone", "in_call": True})

    def _ended_anyway(self) -> events.Ended:
        text = "the end of the call was not confirmed"
        return events.Ended(
            at=0.0, status=487, reason=text, cause="internal", established=self._established, duration_s=0.0
        )

    def _conclude(self, event: events.Ended | events.ChildDied) -> ExitCode:
        if isinstance(event, events.ChildDied):
            return self._fail(ExitCode.FAILED, "phone_died", "the softphone's process died", "call again")
        if self._established:
            if event.cause in {"no sound", "no media", "internal"}:
                return self._fail(ExitCode.FAILED, "call_broken", f"the call broke: {event.reason}", "call again")
            return ExitCode.OK
        if self._interrupted:
            self._screen.show({"event": "interrupted", "text": "the call was given up"})
            return ExitCode.INTERRUPTED
        if self._timed_out:
            text = f"{self._callee} did not answer within {self._timeout_s:g} s"
            return self._fail(ExitCode.UNREACHABLE, "no_answer", text, "let it ring longer with --timeout S")
        return self._never_placed(event)

    def _never_placed(self, event: events.Ended) -> ExitCode:
        """Say why nobody answered: our own phone's reason, or the status that the other side gave."""
        if event.cause in _REFUSED_HERE:
            exit_code, code, hint = _REFUSED_HERE[event.cause]
            return self._fail(exit_code, code, f"{self._callee} was not called: {event.reason}", hint)
        if self._srtp and event.status in NOT_ACCEPTABLE:
            text = f"{self._callee}'s phone does not take a call with encrypted sound: {event.status} {event.reason}"
            hint = "switch SRTP (SDES) on in that phone, or call without --srtp"
            return self._fail(ExitCode.NOT_ENCRYPTED, "not_encrypted", text, hint)
        exit_code = ExitCode.FAILED if event.cause == "redirect refused" else exit_code_of_status(event.status)
        # PJSIP puts the status in front of its own reasons
        reason = event.reason.removeprefix(str(event.status)).strip()
        text = f"{self._callee} could not be called: {event.status} {reason}"
        hint = advice(event.status, reason, caller=self._caller, callee=self._callee)
        return self._fail(exit_code, f"status_{event.status}", text, hint)

    def _fail(self, exit_code: ExitCode, code: str, text: str, hint: str) -> ExitCode:
        self._screen.show_trouble(Trouble(code=code, error=text, hint=hint))
        return exit_code
