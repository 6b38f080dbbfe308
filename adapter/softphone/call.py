"""One call inside PJSIP.  I/O: by PJSIP.  Run by the child process alone.

Rules, each learnt from an abort of the whole process: the object that getInfo() returns is kept while its members are
read; nothing is hung up or destroyed inside a callback (`tick` and `destroy` run in the loop); a call is destroyed
right after its DISCONNECTED, since its destructor would later hang up whatever call had got the same number; of a 302
one Contact is tried and a second redirect is the end. What a callback raises, SWIG prints and forgets: `_guarded` ends
the call instead.
"""

import functools
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import pjsua2 as pj

from adapter.softphone import checks, events
from adapter.softphone.ending import OK, ending_of
from adapter.softphone.hearing import Hearing
from adapter.softphone.media import CallAudio
from adapter.softphone.message import clip
from adapter.softphone.patience import Patience
from adapter.softphone.redirects import NotFollowed, Redirects

BYE_GRACE_S: Final = 2.0
"""How long a call that we hung up may take to say that it is over, before it is destroyed anyway."""
TRYING: Final = 100
UNAVAILABLE: Final = 480
DECLINE: Final = 603

Callback = TypeVar("Callback", bound=Callable[..., Any])


def _guarded(callback: Callback) -> Callback:
    """End the call where its callback raises."""

    @functools.wraps(callback)
    def guarded(self: "LiveCall", prm: Any) -> Any:
        try:
            return callback(self, prm)
        except Exception as flaw:  # noqa: BLE001  the other side of this frame is C++, nothing may pass
            self.doom("internal", f"{type(flaw).__name__} in {callback.__name__}: {flaw}")
            return pj.PJSIP_REDIRECT_STOP  # the one callback with a result that matters

    return guarded  # type: ignore[return-value]


class LiveCall(pj.Call):
    """A call, ours or another's, from its INVITE to Ended."""

    def __init__(
        self,
        account: pj.Account,
        *,
        emit: Callable[[events.CallEvent], None],
        audio: CallAudio,
        redirects: Redirects,
        encrypted: bool = False,
        goes_on_anew: bool = False,
        incoming_id: int = pj.PJSUA_INVALID_ID,
    ) -> None:
        """Make the object; `dial`, `go_on` or an incoming INVITE's id gives it life.

        `encrypted`: the account is the one with TLS and SRTP; `redirects` say what a 302 may lead to; `goes_on_anew`:
        where a 302 leads is called from another account, which knows no password, even in the clear.
        """
        super().__init__(account, incoming_id)
        now = time.monotonic()
        self._emit = emit
        self._audio = audio
        self._redirects = redirects
        self.encrypted = encrypted
        self._goes_on_anew = goes_on_anew
        self._onward: checks.Target | None = None
        self._outgoing = incoming_id == pj.PJSUA_INVALID_ID
        self._target: checks.Target | None = None
        self._patience: Patience | None = None if self._outgoing else Patience.ringing(now)
        self._hearing = Hearing(emit)
        self._born_at = now
        self._established_at: float | None = None
        self._doom: tuple[str, str] | None = None
        self._refusal = 0
        self._hung_up_at: float | None = None
        self._disconnected: tuple[float, int, str] | None = None
        self._held: str = ""
        self._parked = False
        self._dead = False

    # ------------------------------------------------------------------ what the switchboard asks

    def dial(self, target: checks.Target) -> None:
        """Send the INVITE; raises pj.Error where PJSIP cannot."""
        self._target = target
        self._patience = Patience.invited(target.address, time.monotonic())
        self.makeCall(target.uri, _parameters())

    def go_on(self, target: checks.Target, before: "LiveCall") -> None:
        """Send the INVITE that a 302 to `before` led to: it is followed no further, and its time began there."""
        self._redirects.seen = before._redirects.seen  # noqa: SLF001  another of this class
        self._born_at = before._born_at  # noqa: SLF001
        self.dial(target)

    @property
    def onward(self) -> checks.Target | None:
        """Where the call that follows this one goes; None where none does, or somebody hung up."""
        return self._onward if self._doom is None else None

    def respond(self, status: int) -> None:
        """Answer the INVITE that we got with 180 or 200; raises pj.Error where it is gone."""
        self.answer(_parameters(status))

    def waits_for_answer(self) -> bool:
        """Tell whether somebody calls us and may still be answered."""
        settled = self._established_at is not None or self._doom is not None or self._disconnected is not None
        return not (self._outgoing or settled)

    def is_on_its_way(self) -> bool:
        """Tell whether it is a call of ours that nobody has answered yet."""
        return self._outgoing and self._established_at is None

    def is_up(self) -> bool:
        """Tell whether the call stands and may be muted, held and dialled into."""
        return self._established_at is not None and self._doom is None and self._disconnected is None

    @property
    def record(self) -> str:
        """Where it is recorded, or nothing."""
        return self._audio.record

    @property
    def is_held_here(self) -> bool:
        """We put the call on hold, whether or not the other side has agreed yet."""
        return self._parked

    def mute(self, *, on: bool) -> None:
        """Send silence, or sound again."""
        self._audio.mute(on=on)

    def volume(self, percent: int) -> None:
        """Hear the other side that loud, 100 as it comes."""
        self._audio.volume(percent)

    def hold(self, *, on: bool) -> None:
        """Offer the other side a hold, or to go on; raises pj.Error where an offer is under way."""
        parameters = _parameters()
        if on:
            self.setHold(parameters)
            self._audio.leave_card()
        else:
            parameters.opt.flag = pj.PJSUA_CALL_UNHOLD
            self.reinvite(parameters)
        self._parked = on

    def dial_digits(self, digits: str) -> None:
        """Send keys of the dial pad; raises pj.Error where the other side takes none."""
        self.dialDtmf(digits)

    def remote_uri(self) -> str:
        """Give the URI of the other side as PJSIP prints it."""
        info = self.getInfo()  # kept: its members die with it
        return info.remoteUri

    def doom(self, cause: str, reason: str, status: int = 0) -> None:
        """Have the call hung up by the next tick, or refused with `status`; the first reason stays."""
        if self._doom is None:
            self._doom = (cause, clip(reason))
            self._refusal = status

    def is_over(self, now: float) -> bool:
        """Tell whether `destroy` is due."""
        overdue = self._hung_up_at is not None and now - self._hung_up_at > BYE_GRACE_S
        return self._disconnected is not None or overdue

    def tick(self, now: float) -> None:
        """Look at the clocks, and hang up where it is due."""
        if self._disconnected is not None or self._hung_up_at is not None:
            return
        if self._hearing.has_begun:
            if (silence := self._hearing.listen(self, now)) is not None:
                self.doom("no sound", silence)
        elif self._patience is not None and (lost := self._patience.run_out(now)) is not None:
            self.doom(*lost, 0 if self._outgoing else UNAVAILABLE)
        if self._doom is not None:
            self._hung_up_at = now
            try:
                self.hangup(_parameters(self._refusal))
            except pj.Error:
                self._disconnected = (now, 0, "")  # PJSIP knows no such call any more

    def destroy(self) -> events.Ended:
        """Free everything PJSIP holds for the call, and tell how it went: the recording is complete now."""
        if not self._dead:
            self._dead = True
            self._audio.close()
            self.__swig_destroy__(self)
        now = time.monotonic()
        at, status, phrase = self._disconnected or (now, 0, "")
        established = self._established_at is not None
        end = ending_of(
            was_up=established,
            outgoing=self._outgoing,
            doom=self._doom,
            refusal=self._refusal,
            status=status,
            phrase=phrase,
        )
        return events.Ended(
            at=now,
            status=end.status,
            reason=end.reason,
            cause=end.cause,
            established=established,
            duration_s=round(at - self._established_at, 3) if self._established_at is not None else 0.0,
            microphone_holes=self._audio.holes[0],
            speaker_holes=self._audio.holes[1],
            **self._hearing.fields(),
        )

    # ------------------------------------------------------------------ what PJSIP tells

    @_guarded
    def onCallTsxState(self, prm: pj.OnCallTsxStateParam) -> None:  # noqa: N802  PJSIP's name
        """Note provisional answers to our INVITE: 100 does not change the call's state, so they are seen here alone."""
        transaction = prm.e.body.tsxState.tsx
        status = transaction.statusCode
        if self._target is None or transaction.method != "INVITE" or not TRYING <= status < OK:
            return
        now = time.monotonic()
        if status == TRYING:
            self._patience = Patience.proceeding(self._target.address, now)
            self._emit(events.Trying(at=now))
        else:
            self._patience = Patience.ringing(now)
            self._emit(events.Ringing(at=now, status=status))

    @_guarded
    def onCallRedirected(self, prm: pj.OnCallRedirectedParam) -> int:  # noqa: N802  PJSIP's name
        """Judge a 302; without this method PJSIP follows none."""
        try:
            target = self._redirects.judge(prm.e.body.tsxState.src.rdata.wholeMsg, selected=prm.targetUri)
        except NotFollowed as end:
            self.doom(end.cause, str(end))
            return pj.PJSIP_REDIRECT_STOP
        now = time.monotonic()
        self._emit(events.Redirected(at=now, contact=target.uri, fingerprint=target.fingerprint))
        if target.fingerprint or self._goes_on_anew:
            self._onward = target  # this call ends here, and the switchboard places the next
            return pj.PJSIP_REDIRECT_STOP
        self._target = target
        self._patience = Patience.invited(target.address, now)
        return pj.PJSIP_REDIRECT_ACCEPT_REPLACE

    @_guarded
    def onCallMediaState(self, prm: pj.OnCallMediaStateParam) -> None:  # noqa: ARG002, N802  PJSIP's name
        """Join files, card and stream; fires again after early media and hold."""
        info = self.getInfo()  # kept: its members die with it
        for index, medium in enumerate(info.media):
            if medium.type != pj.PJMEDIA_TYPE_AUDIO:
                continue
            self._note_hold(
                {pj.PJSUA_CALL_MEDIA_LOCAL_HOLD: "here", pj.PJSUA_CALL_MEDIA_REMOTE_HOLD: "there"}.get(
                    medium.status, ""
                )
            )
            if medium.status in {pj.PJSUA_CALL_MEDIA_ACTIVE, pj.PJSUA_CALL_MEDIA_REMOTE_HOLD}:
                try:
                    self._audio.attach(self.getAudioMedia(index))
                except OSError:
                    self._emit(events.SoundLost(at=time.monotonic(), what="sound card"))
            return

    @_guarded
    def onDtmfDigit(self, prm: pj.OnDtmfDigitParam) -> None:  # noqa: N802  PJSIP's name
        """Hand on what the other side dials into the call."""
        self._emit(events.Digit(at=time.monotonic(), digit=clip(prm.digit)))

    @_guarded
    def onCallTransferRequest(self, prm: pj.OnCallTransferRequestParam) -> None:  # noqa: N802  PJSIP's name
        """Refuse a REFER, which PJSIP would obey: nobody makes this phone call where no ring has proved who is there.

        [RFC 3515 §2.4.4]
        """
        prm.statusCode = DECLINE
        self._emit(events.Referred(at=time.monotonic(), to=clip(prm.dstUri)))

    @_guarded
    def onCallReplaceRequest(self, prm: pj.OnCallReplaceRequestParam) -> None:  # noqa: N802  PJSIP's name
        """Refuse an INVITE that takes this call's place: it would be answered without anybody's having announced it.

        [RFC 3891 §3]
        """
        prm.statusCode, prm.reason = DECLINE, "Decline"

    @_guarded
    def onStreamDestroyed(self, prm: pj.OnStreamDestroyedParam) -> None:  # noqa: N802  PJSIP's name
        """Take the figures: the last moment they can be had, also after the other side's BYE and before a re-INVITE."""
        source = self.getMedTransportInfo(prm.streamIdx).srcRtpName
        self._hearing.stream_ended(self.getStreamStat(prm.streamIdx), source)

    @_guarded
    def onCallState(self, prm: pj.OnCallStateParam) -> None:  # noqa: ARG002, N802  PJSIP's name
        """Follow the call to CONFIRMED and DISCONNECTED."""
        info = self.getInfo()
        now = time.monotonic()
        if info.state == pj.PJSIP_INV_STATE_CONFIRMED and self._established_at is None:
            self._established_at = now
            self._patience = None
            self._emit(self._established(self._target.uri if self._target else info.remoteUri, now))
        elif info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self._disconnected = (now, info.lastStatusCode, clip(info.lastReason))

    # ------------------------------------------------------------------ inside

    def _note_hold(self, held: str) -> None:
        """Tell of a hold that began or ended; nobody is taken for dead meanwhile."""
        if held == self._held:
            return
        now = time.monotonic()
        self._emit(events.Held(at=now, on=bool(held), here=(held or self._held) == "here"))
        self._held = held
        self._hearing.hold(on=bool(held), now=now)

    def _established(self, remote_uri: str, now: float) -> events.Established:
        media_remote = codec = ""
        srtp = False
        try:
            stream = self.getStreamInfo(0)
            media_remote, codec = stream.remoteRtpAddress, stream.codecName
            srtp = bool(stream.proto & pj.PJMEDIA_TP_PROFILE_SRTP)
        except pj.Error:
            self.doom("no media", "the other side offers no sound")
        self._hearing.begin(codec, now)
        return events.Established(
            at=now,
            status=OK,
            remote_uri=clip(remote_uri),
            media_remote=clip(media_remote),
            codec=clip(codec),
            outgoing=self._outgoing,
            encrypted=self.encrypted,
            srtp=srtp,
            setup_ms=round((now - self._born_at) * 1000, 1),
        )


def _parameters(status: int = 0) -> pj.CallOpParam:
    parameters = pj.CallOpParam(True)  # noqa: FBT003  SWIG takes no keyword: default call setting
    parameters.statusCode = status
    parameters.opt.audioCount = 1
    parameters.opt.videoCount = 0
    return parameters
