"""The child's middle: commands come in, PJSIP's calls are led, events go out.  I/O: by PJSIP.

One call at a time: while one is up or being set up, another caller gets 486. Everything here runs on the loop's thread;
what PJSIP's callbacks find due is done by the next `tick`.
"""

import re
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import pjsua2 as pj

from adapter.softphone import checks, commands, events
from adapter.softphone.call import LiveCall
from adapter.softphone.card import RING, RINGBACK, SoundCard
from adapter.softphone.gate import LegGate
from adapter.softphone.media import CallAudio
from adapter.softphone.message import Message, clip
from adapter.softphone.protocol import kind_of
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

LEVELS_EVERY_S: Final = 0.2
DIALLED: Final = re.compile(r"[0-9*#A-D]{1,32}", re.ASCII)
MISMATCH: Final = ("not verified", "the phone there shows another certificate than the one that its adapter named")


class Switchboard:
    """One user agent and at most one call that counts; calls refused for it live on here until PJSIP let go of them."""

    def __init__(self, emit: Callable[[events.Event], None]) -> None:
        self._emit = emit
        self._plan: commands.Open | None = None
        self._agent: UserAgent | None = None
        self._gate = LegGate()
        self._card: SoundCard | None = None
        self._lost: deque[str] = deque(maxlen=2)
        self._levels_at = 0.0
        self._call: LiveCall | None = None
        self._refused: list[LiveCall] = []
        self._waiting: commands.Call | None = None
        self._registered = False
        self._closing = self._withdrawing = False

    @property
    def is_busy(self) -> bool:
        """A call is up, being set up or being let go."""
        return self._call is not None or bool(self._refused) or self._waiting is not None

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
        for call in (*self._refused, *([self._call] if self._call else [])):
            call.tick(now)
        for call in [call for call in self._refused if call.is_over(now)]:
            self._refused.remove(call)
            call.destroy()
        self._tell_of_sound(now)
        if self._call is not None and self._call.is_over(now):
            call, self._call = self._call, None
            over = call.destroy()
            if (onward := call.onward) is None:
                self._tell(over)
            else:
                self._go_on(onward, call)

    def begin_close(self) -> None:
        """Hang up and unregister; `is_settled` tells when that is through."""
        self._closing = True
        self._waiting = None
        if self._call is not None:
            self._call.doom("hung up here", "the phone was closed")
        if self._agent is not None and self._registered:
            try:
                self._agent.account.setRegistration(False)
            except pj.Error:
                self._registered = False

    def end_close(self) -> None:
        """Destroy whatever is left, calls before PJSIP itself: the other order aborts the process."""
        for call in self._refused:
            call.destroy()
        self._refused.clear()
        if self._call is not None:
            call, self._call = self._call, None
            self._emit(call.destroy())
        if self._card is not None:
            self._card.close()
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
                self._hang_up()
                self._done(command)
            case commands.Ring():
                if self._card is not None and self._call is not None and self._call.waits_for_answer():
                    self._card.sound(RING)
                self._done(command)
            case _:
                self._control(command)

    def _control(self, command: commands.Command) -> None:
        """Do something to the call that is up."""
        call = self._call
        if call is None or not call.is_up():
            raise RemoteError("no call is up")
        match command:
            case commands.Mute(on=on):
                call.mute(on=on)
            case commands.Volume(percent=percent):
                if not 0 <= percent <= commands.MAX_VOLUME:
                    raise RemoteError(f"a volume is 0 to {commands.MAX_VOLUME} percent")
                call.volume(percent)
            case commands.Hold(on=on):
                call.hold(on=on)
            case commands.Digits(digits=digits):
                if not DIALLED.fullmatch(digits):
                    raise RemoteError("a dial pad has 0-9, *, # and A-D, and 32 of them go at once")
                call.dial_digits(digits)
            case _:
                raise RemoteError("no such command")
        self._done(command)

    def _open(self, plan: commands.Open) -> None:
        if self._agent is not None:
            raise RemoteError("the phone is open already")
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
        self._card = SoundCard(plan.microphone, plan.speaker, on_lost=self._lost.append)
        self._emit(
            events.Opened(at=time.monotonic(), address=agent.address, tls=agent.tls, fingerprint=agent.fingerprint)
        )

    def _dial(self, command: commands.Call, agent: UserAgent, plan: commands.Open) -> None:
        if self._call is not None or self._waiting is not None:
            raise RemoteError("a call is up already")
        now = time.monotonic()
        if self._gate.is_shut(now):
            self._waiting = command
            return
        target = checks.check_uri(command.uri)
        self._gate.note(now)
        call = self._make(agent.account, agent, plan)
        try:
            call.dial(target)
        except pj.Error:
            call.destroy()
            raise
        self._call = call
        self._done(command)

    def _go_on(self, target: checks.Target, before: LiveCall) -> None:
        """Place the encrypted call that a 302 led to: a new one, whose Contact and media are its own from the start.

        The old INVITE sent again over TLS would keep its UDP Contact, and the other side's ACK and BYE would go there.
        """
        agent, plan = self._agent, self._plan
        if agent is None or agent.encrypted is None or plan is None:
            return
        self._gate.note(time.monotonic())
        call = self._call = self._make(agent.encrypted, agent, plan)
        if not agent.certificates.expect(target.address, target.fingerprint):
            call.doom(*MISMATCH)
        try:
            call.go_on(target, before)
        except pj.Error as flaw:
            call.doom("unreachable", f"{flaw.reason} ({flaw.status})")

    def _answer(self, command: commands.Answer) -> None:
        if self._call is None or not self._call.waits_for_answer():
            raise RemoteError("nobody calls")
        if command.status == OK:
            self._call.respond(OK)
        elif command.status in REFUSALS:
            self._call.doom("hung up here", "declined", command.status)
        else:
            raise RemoteError(f"a call is not answered with {command.status}")
        self._done(command)

    def _hang_up(self) -> None:
        if self._waiting is not None:
            self._waiting = None
            self._fail("call", "hung up before it was placed")
        if self._call is not None:
            self._call.doom("hung up here", "hung up")

    def _make(
        self, account: pj.Account, agent: UserAgent, plan: commands.Open, *, incoming_id: int = pj.PJSUA_INVALID_ID
    ) -> LiveCall:
        assert self._card is not None  # there since the phone was opened
        audio = CallAudio(silence=agent.silence(), card=self._card, play=plan.play, loop=plan.loop, record=plan.record)
        return LiveCall(
            account,
            emit=self._tell,
            audio=audio,
            own_host=plan.host,
            forbidden=frozenset((*plan.forbidden, plan.registrar, agent.address, agent.tls)),
            encrypted=account is agent.encrypted,
            can_encrypt=agent.encrypted is not None,
            must_encrypt=plan.require_encryption,
            incoming_id=incoming_id,
        )

    # ------------------------------------------------------------------ what PJSIP tells

    def _incoming(self, account: pj.Account, prm: pj.OnIncomingCallParam) -> None:
        now = time.monotonic()
        self._gate.note(now)
        if self._agent is None or self._plan is None:
            return
        call = self._make(account, self._agent, self._plan, incoming_id=prm.callId)
        if self._call is not None or self._closing or self._waiting is not None:
            # Refused by the next tick, not here: meanwhile it holds one of PJSIP's four places, and what else came in
            # with it gets PJSIP's own 486, which costs no socket.
            self._refused.append(call)
            call.doom("hung up here", "busy", BUSY)
            return
        if self._plan.require_encryption and not call.encrypted:
            self._refused.append(call)
            call.doom("not encrypted", "the caller's phone cannot encrypt", NOT_ACCEPTABLE)
            return
        self._call = call
        self._emit(
            events.Incoming(
                at=now,
                remote_uri=clip(call.remote_uri()),
                request_uri=clip(_request_uri(prm.rdata.wholeMsg)),
                source=clip(prm.rdata.srcAddress),
                fingerprint=self._agent.certificates.of(prm.rdata.srcAddress) if call.encrypted else "",
            )
        )
        call.respond(OK if self._plan.auto_answer else RINGING)

    def _mismatch(self) -> None:
        if self._call is not None:
            self._call.doom(*MISMATCH)

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

    # ------------------------------------------------------------------ sound

    def _tell(self, event: events.Event) -> None:
        """Hand on what a call tells, and make the tones that go with it."""
        if self._card is not None:
            match event:
                case events.Ringing():
                    self._card.sound(RINGBACK)
                case events.Established() | events.Ended():
                    self._card.hush()
        self._emit(event)

    def _tell_of_sound(self, now: float) -> None:
        while self._lost:
            self._emit(events.SoundLost(at=now, what=self._lost.popleft()))
        is_due = self._plan is not None and self._plan.levels and now - self._levels_at >= LEVELS_EVERY_S
        if is_due and self._card is not None and self._call is not None and self._call.is_up():
            self._levels_at = now
            microphone, speaker = self._card.levels()
            self._emit(events.Levels(at=now, microphone=round(microphone, 3), speaker=round(speaker, 3)))

    # ------------------------------------------------------------------ answers

    def _done(self, command: Message) -> None:
        self._emit(events.Done(at=time.monotonic(), about=kind_of(command)))

    def _fail(self, about: str, reason: str) -> None:
        self._emit(events.Failed(at=time.monotonic(), about=about, reason=clip(reason)))


def _request_uri(message: str) -> str:
    parts = message.partition("\r")[0].split(" ")
    return parts[1] if len(parts) == 3 else ""  # noqa: PLR2004  method, URI, version
