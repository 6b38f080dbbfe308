"""The child's middle: commands come in, PJSIP's calls are led, events go out.  I/O: by PJSIP.

As many calls at a time as Open allows; who calls beyond gets 486. Everything here runs on the loop's thread; what
PJSIP's callbacks find due is done by the next `tick`.
"""

import time
from collections.abc import Callable, Container
from dataclasses import replace
from typing import Final

import pjsua2 as pj

from adapter.softphone import checks, commands, events
from adapter.softphone.call import LiveCall
from adapter.softphone.controls import control
from adapter.softphone.gate import LegGate
from adapter.softphone.lines import Lines
from adapter.softphone.media import CallAudio
from adapter.softphone.message import Message, clip
from adapter.softphone.protocol import kind_of
from adapter.softphone.redirects import Redirects
from adapter.softphone.tones import Tones
from adapter.softphone.useragent import Handlers, UserAgent
from overlay.errors import RemoteError

MAX_LOOKS: Final = 50
"""Looks at the sockets in one `poll`, so that the channel is read in between."""
OK: Final = 200
RINGING: Final = 180
BUSY: Final = 486
NOT_ACCEPTABLE: Final = 488
REFUSALS: Final = frozenset({403, 480, BUSY, 603})
"""What a call may be refused with: not announced, not now, busy, no."""

MISMATCH: Final = ("not verified", "the phone there shows another certificate than the one that its adapter named")


class Switchboard:
    """One user agent and its calls."""

    def __init__(self, emit: Callable[[events.Event], None]) -> None:
        self._emit = emit
        self._plan: commands.Open | None = None
        self._agent: UserAgent | None = None
        self._gate = LegGate()
        self._tones: Tones | None = None
        self._lines = Lines()
        self._waiting: commands.Call | None = None
        self._registered = False
        self._closing = self._withdrawing = False

    @property
    def is_busy(self) -> bool:
        """A call is up, being set up or being let go."""
        return not self._lines.is_idle or self._waiting is not None

    @property
    def is_settled(self) -> bool:
        """Nothing of ours is left at any other host: no call, no registration."""
        return not self.is_busy and not self._registered

    def handle(self, command: commands.Command) -> None:
        """Carry out a command, and say Done or Failed where no other event answers it."""
        about = kind_of(command)
        try:
            self._handle(command)
        except pj.Error as flaw:
            self._fail(about, f"{flaw.reason} ({flaw.status})")
        except (RemoteError, ValueError) as flaw:
            self._fail(about, str(flaw))

    def poll(self) -> bool:
        """Let PJSIP work off what came in; tell whether there was anything."""
        if self._agent is None:
            return False
        for count in range(MAX_LOOKS):
            if self._gate.is_shut(time.monotonic()) or not self._agent.poll():
                return count > 0
        return True

    def tick(self, now: float) -> None:
        """Do what is due: place the call that waits, end what ran out of time, let go of what is over."""
        if self._waiting is not None and not self._gate.is_shut(now):
            waiting, self._waiting = self._waiting, None
            self.handle(waiting)
        self._lines.tick(now, self._over)
        if self._tones is not None:
            for event in self._tones.news(now, is_talking=self._lines.speaking() is not None):
                self._emit(event)

    def _over(self, number: int, call: LiveCall, ended: events.Ended) -> None:
        if (onward := call.onward) is None:
            self._tell(number, ended)
        else:
            self._go_on(number, onward, call)

    def begin_close(self) -> None:
        """Hang up and unregister; `is_settled` tells when that is through."""
        self._closing = True
        self._waiting = None
        for call in self._lines:
            call.doom("hung up here", "the phone was closed")
        if self._agent is not None and self._registered:
            try:
                self._agent.account.setRegistration(False)
            except pj.Error:
                self._registered = False

    def end_close(self) -> None:
        """Destroy whatever is left, calls before PJSIP itself: the other order aborts the process."""
        for number, ended in self._lines.close():
            self._emit(replace(ended, call=number))
        if self._tones is not None:
            self._tones.card.close()
        if self._agent is not None:
            self._agent.close()

    # ------------------------------------------------------------------ commands

    def _handle(self, command: commands.Command) -> None:
        match command:
            case commands.Open():
                self._open(command)
            case _ if self._agent is None or self._plan is None:
                raise RemoteError("the phone is not open")
            case commands.Register() | commands.Unregister():
                if not self._plan.registrar:
                    raise RemoteError("there is no registrar to register at")
                self._withdrawing = isinstance(command, commands.Unregister)
                self._agent.account.setRegistration(not self._withdrawing)
            case commands.Call():
                self._dial(command, self._agent, self._plan)
            case commands.Answer():
                self._answer(command)
            case commands.HangUp():
                self._hang_up(command.call)
                self._done(command)
            case commands.Ring():
                self._ring(command.call)
                self._done(command)
            case commands.CallCommand():
                self._control(command)

    def _control(self, command: commands.CallCommand) -> None:
        """Do something to a call that is up."""
        call = self._lines.up(command.call)
        if isinstance(command, commands.Hold) and not command.on:
            self._take_card(call)
        control(call, command)
        self._done(command)

    def _open(self, plan: commands.Open) -> None:
        if self._agent is not None:
            raise RemoteError("the phone is open already")
        if not 1 <= plan.lines <= commands.MAX_LINES:
            raise RemoteError(f"a child has 1 to {commands.MAX_LINES} lines")
        agent = self._agent = UserAgent(
            plan,
            Handlers(
                incoming=self._incoming,
                registration=self._registration,
                rejected=lambda: self._gate.note(time.monotonic()),
                mismatch=self._mismatch,
            ),
        )
        self._plan = plan
        self._tones = Tones(plan.microphone, plan.speaker, tells_levels=plan.levels)
        self._emit(
            events.Opened(at=time.monotonic(), address=agent.address, tls=agent.tls, fingerprint=agent.fingerprint)
        )

    def _dial(self, command: commands.Call, agent: UserAgent, plan: commands.Open) -> None:
        if self._waiting is not None or len(self._lines) >= plan.lines:
            raise RemoteError("a call is up already")
        if any(call.is_on_its_way() for call in self._lines):  # of certificates, one is expected at a time
            raise RemoteError("another call is still on its way")
        now = time.monotonic()
        if self._gate.is_shut(now):
            self._waiting = command
            return
        target = checks.check_uri(command.uri)
        self._gate.note(now)
        number = self._lines.next_number()
        call = self._make(number, agent.account, agent, plan)
        try:
            self._take_card(call)
            call.dial(target)
        except (pj.Error, RemoteError):
            call.destroy()
            raise
        self._lines.add(number, call)
        self._emit(events.Done(at=time.monotonic(), about=kind_of(command), call=number))

    def _go_on(self, number: int, target: checks.Target, before: LiveCall) -> None:
        """Place the call that a 302 led to: a new one, whose Contact and media are its own from the start.

        The old INVITE sent again over TLS would keep its UDP Contact, and the other side's ACK and BYE would go there.
        """
        agent, plan = self._agent, self._plan
        account = None if agent is None else agent.encrypted if target.fingerprint else agent.bare
        if agent is None or account is None or plan is None:
            return
        self._gate.note(time.monotonic())
        call = self._make(number, account, agent, plan)
        self._lines.add(number, call)
        if target.fingerprint and not agent.certificates.expect(target.address, target.fingerprint):
            call.doom(*MISMATCH)
        try:
            call.go_on(target, before)
        except pj.Error as flaw:
            call.doom("unreachable", f"{flaw.reason} ({flaw.status})")

    def _answer(self, command: commands.Answer) -> None:
        call = self._lines.ringing(command.call)
        if command.status == OK:
            self._take_card(call)
            call.respond(OK)
        elif command.status in REFUSALS:
            call.doom("hung up here", "declined", command.status)
        else:
            raise RemoteError(f"a call is not answered with {command.status}")
        self._done(command)

    def _hang_up(self, number: int) -> None:
        if self._waiting is not None and not number:
            self._waiting = None
            self._fail("call", "hung up before it was placed")
        self._lines.hang_up(number)

    def _ring(self, number: int) -> None:
        try:
            self._lines.ringing(number)
        except RemoteError:
            return  # the caller gave up
        if self._tones is not None:
            self._tones.ring(number, is_talking=self._lines.speaking() is not None)

    def _take_card(self, call: LiveCall) -> None:
        """Put the others on hold: there is one microphone, one speaker, and one person between them."""
        if self._plan is not None and not self._plan.together:
            self._lines.yield_to(call)

    def _make(
        self,
        number: int,
        account: pj.Account,
        agent: UserAgent,
        plan: commands.Open,
        *,
        incoming_id: int = pj.PJSUA_INVALID_ID,
    ) -> LiveCall:
        assert self._tones is not None  # there since the phone was opened
        audio = CallAudio(
            silence=agent.silence(),
            card=self._tones.card,
            play=plan.play,
            loop=plan.loop,
            record=_beside(plan.record, {call.record for call in self._lines}),
        )
        return LiveCall(
            account,
            emit=lambda event: self._tell(number, event),
            audio=audio,
            redirects=Redirects(
                own_host=plan.host,
                forbidden=frozenset((*plan.forbidden, plan.registrar, agent.address, agent.tls)),
                can_encrypt=agent.encrypted is not None,
                must_encrypt=plan.require_encryption,
            ),
            encrypted=account is agent.encrypted,
            goes_on_anew=agent.bare is not None,
            incoming_id=incoming_id,
        )

    # ------------------------------------------------------------------ what PJSIP tells

    def _incoming(self, account: pj.Account, prm: pj.OnIncomingCallParam) -> None:
        now = time.monotonic()
        self._gate.note(now)
        if self._agent is None or self._plan is None:
            return
        number = self._lines.next_number()
        call = self._make(number, account, self._agent, self._plan, incoming_id=prm.callId)
        if self._plan.require_encryption and not call.encrypted:
            self._lines.refuse(call, ("not encrypted", "the caller's phone cannot encrypt"), NOT_ACCEPTABLE)
            return
        is_busy = len(self._lines) >= self._plan.lines or self._closing or self._waiting is not None
        kind = events.Missed if is_busy else events.Incoming
        seen = kind(
            at=now,
            call=number,
            remote_uri=clip(call.remote_uri()),
            request_uri=clip(_request_uri(prm.rdata.wholeMsg)),
            source=clip(prm.rdata.srcAddress),
            fingerprint=self._agent.certificates.of(prm.rdata.srcAddress) if call.encrypted else "",
        )
        self._emit(seen)
        if is_busy:  # what else came in with it gets PJSIP's own 486, which costs no socket
            self._lines.refuse(call, ("hung up here", "busy"), BUSY)
            return
        self._lines.add(number, call)
        call.respond(OK if self._plan.auto_answer else RINGING)

    def _mismatch(self) -> None:
        for call in self._lines:
            if call.is_on_its_way():
                call.doom(*MISMATCH)

    def _registration(self, status: int, reason: str) -> None:
        if self._closing:
            self._registered = False
            return
        if self._withdrawing:
            self._registered = self._withdrawing = False
            self._done(commands.Unregister())
            return
        self._registered = status // 100 == 2  # noqa: PLR2004  the class of success
        self._emit(events.Registered(at=time.monotonic(), status=status, reason=reason))

    # ------------------------------------------------------------------ answers

    def _tell(self, number: int, event: events.CallEvent) -> None:
        """Hand on what a call tells, and make the tones that go with it."""
        if self._tones is not None:
            self._tones.follow(number, event)
        self._emit(replace(event, call=number))

    def _done(self, command: Message) -> None:
        self._emit(events.Done(at=time.monotonic(), about=kind_of(command)))

    def _fail(self, about: str, reason: str) -> None:
        self._emit(events.Failed(at=time.monotonic(), about=about, reason=clip(reason)))


def _beside(path: str, taken: Container[str]) -> str:
    """Return where a call is recorded while others are: `heard.wav`, then `heard-2.wav`."""
    stem, dot, suffix = path.rpartition(".")
    names = (path, *(f"{stem}-{number}{dot}{suffix}" for number in range(2, commands.MAX_LINES + 1)))
    return next((name for name in names if name not in taken), "") if path else ""


def _request_uri(message: str) -> str:
    parts = message.partition("\r")[0].split(" ")
    return parts[1] if len(parts) == 3 else ""  # noqa: PLR2004  method, URI, version
