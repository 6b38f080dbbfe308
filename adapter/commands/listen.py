"""`secp2psip listen`: a phone that waits for calls and outlives its adapter.  I/O: link, softphone, keys."""

import argparse
import asyncio
from typing import TYPE_CHECKING, Final

from adapter.commands import options
from adapter.commands.answering import Answerer
from adapter.commands.conversation import AdapterWatch, register
from adapter.commands.history import History
from adapter.commands.sound import Sound, check_sound, choose_devices
from adapter.config import Settings, format_address
from adapter.control_client import ControlError, NoAdapter
from adapter.keyboard import Keyboard
from adapter.link import Link, RunningAdapter, choose_user, open_link
from adapter.problems import ExitCode, Problem, UsageProblem
from adapter.screen import Screen
from adapter.softphone.commands import CODECS
from adapter.softphone.phone import PhoneError, Softphone
from adapter.state import StateDir
from adapter.via import reach_via

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLES: Final = """\
  secp2psip listen --user bob
  secp2psip listen --user bob --bootstrap 192.168.1.10:5480
  secp2psip listen --user bob --auto-answer --play hello.wav --record heard.wav
  secp2psip listen --user bob --auto-answer --calls 1 --json
  secp2psip listen --user bob --auto-answer --lines 10 --play hours.wav   ten callers at once hear it
  secp2psip listen --user bob --via 192.168.1.20:5070 --allow-unannounced   as a phone of bob's adapter on that host"""
RETURN_EVERY_S: Final = 1.0
"""How often an adapter that went away is looked for; one connect(2) on a Unix socket each."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    options.add_user(parser, who="whose calls to take (default: the only user known here, else your login name)")
    parser.add_argument("--auto-answer", action="store_true", help="answer every call at once")
    parser.add_argument(
        "--allow-unannounced",
        action="store_true",
        help="take calls too that no adapter announced: nothing proves who they are from",
    )
    parser.add_argument(
        "--lines",
        type=options.lines,
        metavar="N",
        help="calls at a time, others hear busy (default: 2, the second waits; with --auto-answer 1)",
    )
    options.add_sound(parser)
    options.add_encryption(parser)
    parser.add_argument("--calls", type=options.count, metavar="N", help="end after N calls")
    options.add_via(parser, what="be called")
    options.add_network(parser)
    options.add_common(parser)


async def run(args: argparse.Namespace, settings: Settings, screen: Screen) -> ExitCode:
    """Wait for calls until enough came or Ctrl-C."""
    user = choose_user(settings)
    if settings.via is not None and not args.allow_unannounced:
        where = format_address(settings.via)
        raise UsageProblem(
            f"the adapter at {where} cannot tell this phone who calls: each call would be turned away",
            hint="with --allow-unannounced they are taken, and nothing proves who they are from",
        )
    check_sound(args.play, args.record)
    sound = await choose_devices(args, settings)
    link: Link
    password = ""
    if settings.via is not None:
        link, password = await reach_via(settings.via, user, args.password_file)
    else:
        with screen.waiting("reaching the ring"):
            link = await open_link(settings, user, screen.show)
    sound.tell(screen)
    listening = _Listening(link, settings, screen, args, sound, user=user, password=password)
    try:
        await listening.run()
    finally:
        screen.rest()
        await listening.close()
    return ExitCode.OK


class _Listening:
    """A phone, the adapter that it is registered with, and the way back to that adapter."""

    def __init__(
        self,
        link: Link,
        settings: Settings,
        screen: Screen,
        args: argparse.Namespace,
        sound: Sound,
        *,
        user: str,
        password: str = "",
    ) -> None:
        self._link, self._password = link, password
        self._state = StateDir(settings.state_dir)
        self._screen = screen
        self._user = user
        self._auto_answer: bool = args.auto_answer
        self._lines: int = args.lines or (1 if args.auto_answer else 2)
        self._is_strict: bool = not args.allow_unannounced
        self._plain: bool = args.plain
        self._codecs: tuple[str, ...] = tuple(args.codecs or CODECS)
        self._require_encryption: bool = args.require_encryption
        self._srtp: bool = args.srtp
        self._calls: int | None = args.calls
        self._duration_s: float | None = args.duration
        self._play: Path | None = args.play
        self._record: Path | None = args.record
        self._sound = sound
        self._phone = Softphone()
        self._gone = asyncio.Event()

    async def run(self) -> None:
        await self._start_phone()
        with Keyboard() as keyboard:
            answerer = Answerer(
                self._phone,
                self._screen,
                keyboard,
                History(self._state.path, self._screen),
                user=self._user,
                auto_answer=self._auto_answer,
                is_strict=self._is_strict,
                duration_s=self._duration_s,
                calls=self._calls,
            )
            answering = asyncio.create_task(answerer.run())
            staying = asyncio.create_task(self._stay_registered(answerer))
            try:
                await asyncio.wait({answering, staying}, return_when=asyncio.FIRST_COMPLETED)
                for task in (answering, staying):
                    if task.done():
                        task.result()
            finally:
                for task in (answering, staying):
                    task.cancel()
                await asyncio.gather(answering, staying, return_exceptions=True)

    async def close(self) -> None:
        await self._phone.close()
        await self._link.close()

    async def _start_phone(self) -> None:
        await self._phone.start(
            host=self._link.host,
            user=self._user,
            registrar=format_address(self._link.sip),
            password=self._password,
            play=self._play,
            record=self._record,
            microphone=self._sound.microphone,
            speaker=self._sound.speaker,
            levels=self._screen.is_live,
            lines=self._lines,
            together=self._auto_answer,
            codecs=self._codecs,
            encrypt=not self._plain,
            require_encryption=self._require_encryption,
            srtp=self._srtp,
        )

    async def _stay_registered(self, answerer: Answerer) -> None:
        """Be registered with the adapter; whenever it goes away, wait until it is back and register again."""
        back = False
        while True:
            self._gone.clear()
            async with AdapterWatch(self._link, self._screen, on_gone=self._gone.set) as watch:
                answerer.watch = watch
                try:
                    await self._register(watch, answerer, back=back)
                    await self._gone.wait()
                except (Problem, PhoneError):
                    if not back:
                        raise  # the first time the user has to hear why; later the adapter may only be on its way up
                    await asyncio.sleep(RETURN_EVERY_S)
            if self._gone.is_set():
                self._screen.show({"event": "adapter-gone", "in_call": not answerer.idle.is_set()})
            await self._link.close()
            before, self._link = self._link.sip, await self._find_adapter()
            if self._link.sip != before:
                await answerer.idle.wait()  # the phone's process holds the call, and has to be another one now
                await self._phone.close()
                await self._start_phone()
            back = True

    async def _register(self, watch: AdapterWatch, answerer: Answerer, *, back: bool) -> None:
        await register(self._phone, self._link, self._user, watch, self._screen, quiet=back)
        if back:
            self._screen.show({"event": "adapter-back", "user": self._user})
        else:
            answerer.ready(self._link.sip)

    async def _find_adapter(self) -> Link:
        """Return the adapter once it runs again."""
        while True:
            try:
                link = await RunningAdapter.connect(self._state)
            except (NoAdapter, ControlError):
                await asyncio.sleep(RETURN_EVERY_S)
                continue
            if self._user not in link.users:
                await link.close()
                hint = f"start it with --user {self._user} too"
                raise Problem(f"the adapter came back and does not serve {self._user}", hint=hint)
            return link
