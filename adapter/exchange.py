"""The shell around the call machines: lookups, lines and timers for INVITE and REDIRECT.  I/O: dht.

A machine says what it wants through `next_event()`; here it is done, and told back.  Nothing is decided in this file
[paper §II.C].
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from adapter.calls.answering import Answering
from adapter.calls.contacts import token_digest
from adapter.calls.events import (
    Announced,
    AskHigherSequence,
    Done,
    Failure,
    LookUp,
    Outcome,
    Refused,
    SendLine,
)
from adapter.calls.inviting import Inviting
from adapter.calls.local_users import LocalUsers
from adapter.calls.receipt import KEPT_REFUSALS, proof_of, refused_call, taken_call
from adapter.findings import KeyChanged, KeyUnverifiable, LookupFailed, NameAway, NameRevoked, NameUnknown
from adapter.reach import reach_of
from adapter.sip.limits import DEFAULT_LIMITS, Limits
from adapter.whose_calls import WhoseCalls
from overlay.errors import RemoteError, Secp2psipError
from overlay.ring.chord import RingUnreachable
from overlay.ring.tasks import Tasks
from overlay.wire.codec import decode_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from adapter.calls.answering import Binding
    from adapter.findings import Found
    from adapter.membership import Membership
    from adapter.search import Trace
    from adapter.steps import Step, Steps
    from overlay.ring.ids import Peer
    from overlay.trust.acceptance import Liar
    from overlay.trust.identity import PrivateBundle

_log = logging.getLogger(__name__)
_FAILURES: Final[dict[type[LookupFailed], Failure]] = {
    NameUnknown: Failure.UNKNOWN,
    NameAway: Failure.AWAY,
    NameRevoked: Failure.REVOKED,
    KeyChanged: Failure.CHANGED,
    KeyUnverifiable: Failure.UNVERIFIABLE,
}


class Machine(Protocol):
    """What both call machines have in common."""

    def next_deadline(self) -> float | None:
        """Return when `handle_timer` wants to be called."""

    def handle_timer(self, now: float) -> None:
        """Act on the deadline."""


class Clock:
    """Seconds since the epoch on a clock that does not step while the process lives."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> float:
        """Return the time."""
        return time.monotonic() + self._offset


class Exchange:
    """Carries SECP2PSIP INVITE, REDIRECT and ERROR between this device and the others."""

    def __init__(
        self,
        membership: Membership,
        users: Mapping[str, PrivateBundle],
        *,
        contacts: Callable[[str], Sequence[Binding]],
        sip_address: Callable[[], tuple[str, int]],
        steps: Steps,
        limits: Limits = DEFAULT_LIMITS,
        accept: WhoseCalls = WhoseCalls(),  # noqa: B008 -- frozen
        keep: Callable[[dict[str, Any]], None] = lambda _receipt: None,
        clock: Callable[[], float] | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """`contacts` gives a user's registered phones, best first; `sip_address` is where phones reach this device.

        `accept` is whose calls each user takes (`Pins.admits`), `keep` is told what became of each call to them.

        `clock` is a `Clock` unless said otherwise; `random_bytes` must be fit for ids and cookies.
        """
        self._membership = membership
        self._sip_address, self._steps = sip_address, steps
        self._contacts, self._keep = contacts, keep
        self._max_calls = limits.calls
        self._clock = clock or Clock()
        self._users = LocalUsers(users, generation=self._generation, clock=self._clock)
        self._random_bytes = random_bytes
        self._attempts: set[_Attempt] = set()
        self._tasks = Tasks()
        self._timer: asyncio.TimerHandle | None = None
        self.counters: Counter[str] = Counter()
        """Lines by method, and lines that did not count."""
        self._answering = Answering(
            users=self._users,
            contacts=contacts,
            random_bytes=random_bytes,
            now=self._clock(),
            per_node_s=limits.calls_per_node,
            accepts=lambda caller, callee: membership.pins.admits(caller, accept.taken_by(callee)),
        )

    async def invite(self, caller: str, callee: str, *, step: Step, phone: tuple[str, int] | None = None) -> Outcome:
        """Find `callee`, ask his adapter where his phone is, and return how that ended; cancel the task to give up.

        `phone` is where the caller's phone sent its INVITE from.
        """
        if len(self._attempts) >= self._max_calls:
            return Outcome(status=503, reason="this adapter has too many calls under way", retry_after_s=5)
        machine = Inviting(
            caller=self._users.private(caller),
            party=self._users.party(caller),
            callee=callee,
            random_bytes=self._random_bytes,
            now=self._clock(),
            fingerprint=self._fingerprint_of(caller, phone),
            phone_host=phone[0] if phone else "",
            reaches=reach_of(phone[0] if phone else ""),
            own=(self._sip_address(), *(view.me.address for view in self._membership.ring.views)),
        )
        attempt = _Attempt(machine, self._membership, self._clock, step)
        self._attempts.add(attempt)
        try:
            outcome = await attempt.run()
        except asyncio.CancelledError:
            self._keep({"side": "caller", "caller": caller, "callee": callee, "status": 487, "reason": "hung up"})
            raise
        finally:
            self._attempts.discard(attempt)
        self._keep({"side": "caller"} | dict(outcome.receipt) | {"status": outcome.status, "reason": outcome.reason})
        return outcome

    def _fingerprint_of(self, user: str, phone: tuple[str, int] | None) -> bytes:
        """Return the certificate that a user's registered phone announced, or nothing where it cannot encrypt."""
        return next((binding.fingerprint for binding in self._contacts(user) if binding.source == phone), b"")

    def line_received(self, source: Peer, line: bytes) -> None:
        """Take one SECP2PSIP line from the ring."""
        try:
            method = decode_line(line).method
        except RemoteError as error:
            self.counters[str(error)] += 1
            return
        self.counters[method] += 1
        if method == "INVITE":
            self._answering.line_received(line, source, self._clock())
            self._answer()
            return
        for attempt in tuple(self._attempts):
            attempt.line_received(line, source)

    async def stop(self) -> None:
        """End everything under way."""
        if self._timer is not None:
            self._timer.cancel()
        await self._tasks.close()

    def change_key(self, user: str, new: PrivateBundle, former_generation: int) -> None:
        """Go on with a user's new key; the old one answers for a minute more."""
        self._users.change(user, new, former_generation=former_generation)

    def _generation(self, aor: str) -> int:
        enrolment = self._membership.enrolment(aor)
        return 1 if enrolment is None else enrolment.generation

    def _answer(self, step: Step | None = None, found: Found | None = None) -> None:
        """Do what the answering machine wants, and arm its timer.

        `step` goes on with the trace of the INVITE that was just looked at, `found` is what its lookup brought.
        """
        while (event := self._answering.next_event()) is not None:
            match event:
                case SendLine(peer=peer, line=line):
                    self._tasks.spawn(self._deliver(peer, line), name="deliver")
                case LookUp():
                    self._tasks.spawn(self._look_up(event), name="look up")
                case Announced():
                    if found is not None:
                        _pin(self._membership, found, self._clock())
                        self._keep(taken_call(found, event))
                    (step or self._steps.begin("answer"))("SECP2PSIP REDIRECT", _announcement(event, found))
                case Refused(code=code, why=why, caller=caller, callee=callee, source=source):
                    self.counters[f"refused: {code}"] += 1
                    if code in KEPT_REFUSALS:
                        self._keep(refused_call(event))
                    detail = {"caller": caller, "callee": callee, "code": code, "why": why, "from": str(source)}
                    (step or self._steps.begin("answer"))("SECP2PSIP ERROR", detail)
        self._timer = _rearm(self._timer, self._answering, self._clock, self._answer)

    async def _deliver(self, peer: Peer, line: bytes) -> None:
        if not await self._membership.ring.deliver(peer, line):
            self.counters["answer not acknowledged"] += 1

    async def _look_up(self, wanted: LookUp) -> None:
        step = self._steps.begin("answer")
        step("SECP2PSIP INVITE", {"says it is from": wanted.aor})
        result = await _find(self._membership, wanted, _pieces_trace(step))
        if isinstance(result, _Failed):
            self._answering.lookup_failed(wanted.ticket, result.failure, self._clock(), liars=result.liars)
            self._answer(step)
        else:
            self._answering.looked_up(wanted.ticket, result, self._clock())
            self._answer(step, result)


class _Attempt:
    """One call attempt under way."""

    def __init__(self, machine: Inviting, membership: Membership, clock: Callable[[], float], step: Step) -> None:
        self._machine, self._membership, self._clock, self._step = machine, membership, clock, step
        self._tasks = Tasks()
        self._done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> Outcome:
        self._pump()
        try:
            return await self._done
        finally:
            if self._timer is not None:
                self._timer.cancel()
            await self._tasks.close()

    def line_received(self, line: bytes, source: Peer) -> None:
        self._machine.line_received(line, source, self._clock())
        self._pump()

    def _pump(self) -> None:
        while (event := self._machine.next_event()) is not None:
            match event:
                case LookUp():
                    self._tasks.spawn(self._look_up(event), name="look up")
                case SendLine(peer=peer, line=line):
                    self._step("SECP2PSIP INVITE", {"to": str(peer), "size_bytes": len(line)})
                    self._tasks.spawn(self._deliver(peer, line), name="deliver")
                case AskHigherSequence(aor=aor, min_sequence=sequence):
                    self._tasks.spawn(self._search(aor, sequence), name="search")
                case Done(outcome=outcome, proved=proved):
                    if proved is not None:
                        _pin(self._membership, proved, self._clock())
                    if not self._done.done():
                        self._done.set_result(outcome)
        self._timer = _rearm(self._timer, self._machine, self._clock, self._pump)

    async def _look_up(self, wanted: LookUp) -> None:
        result = await _find(self._membership, wanted, _pieces_trace(self._step))
        if isinstance(result, _Failed):
            self._machine.lookup_failed(result.failure, self._clock(), liars=result.liars)
        else:
            self._machine.looked_up(result, self._clock())
        self._pump()

    async def _search(self, aor: str, sequence: int) -> None:
        self._step("NO ANSWER", {"asking": "every holder for a newer address"})
        self._membership.proofs.forget(aor)
        try:
            found = await self._membership.directory.find(aor, min_sequence=sequence)
        except Secp2psipError as error:
            if not isinstance(error, LookupFailed | RingUnreachable):
                _log.warning("looking for a newer address of %s failed: %s", aor, error)
            found = None
        self._machine.searched(found, self._clock())
        self._pump()

    async def _deliver(self, peer: Peer, line: bytes) -> None:
        ok = await self._membership.ring.deliver(peer, line)
        self._machine.delivered(peer, ok, self._clock())
        self._pump()


class _Failed(NamedTuple):
    """Why a lookup brought no key, and who lied in it."""

    failure: Failure
    liars: tuple[Liar, ...] = ()


async def _find(membership: Membership, wanted: LookUp, trace: Trace) -> Found | _Failed:
    """Look a user up; the failures in the machines' words."""
    try:
        return await membership.proofs.find(wanted.aor, trace=trace, record_needed=wanted.record_needed)
    except LookupFailed as error:
        if isinstance(error, KeyChanged):
            _log.warning("%s; if the new key is right: secp2psip contacts forget %s", error, wanted.aor)
        return _Failed(_FAILURES[type(error)], error.liars)
    except Secp2psipError as error:
        if not isinstance(error, RingUnreachable):
            _log.warning("looking %s up failed: %s", wanted.aor, error)
        return _Failed(Failure.UNREACHABLE)


def _pin(membership: Membership, found: Found, now: float) -> None:
    """Remember the key of somebody who has just proved that he holds it."""
    try:
        if membership.pins.note(found.aor, found.bundle, found.generation, now):
            membership.proofs.forget(found.aor)
    except OSError as error:
        _log.warning("the contact %s could not be kept: %s", found.aor, error)


def _announcement(event: Announced, found: Found | None) -> dict[str, Any]:
    """Return what a phone of this device needs to know the call again, and what the caller's key rests on."""
    detail = {
        "caller": event.caller,
        "callee": event.callee,
        "token_digest": token_digest(event.token),
        "expires_at": round(event.expires_at, 1),
        "fingerprint": event.fingerprint.hex(),
    }
    return detail | ({} if found is None else proof_of(found))


def _pieces_trace(step: Step) -> Trace:
    """Turn the directory's trace into the steps that people see."""
    names = {"pieces": "PIECES", "widen": "PIECES ALL", "walk": "PIECES WALK", "key": "KEY"}

    def trace(what: str, detail: dict[str, Any]) -> None:
        if (name := names.get(what)) is not None:
            step(name, detail)

    return trace


def _rearm(
    timer: asyncio.TimerHandle | None, machine: Machine, clock: Callable[[], float], then: Callable[[], None]
) -> asyncio.TimerHandle | None:
    """Replace a machine's timer by one at its next deadline."""
    if timer is not None:
        timer.cancel()
    deadline = machine.next_deadline()
    if deadline is None:
        return None

    def fire() -> None:
        machine.handle_timer(clock())
        then()

    return asyncio.get_running_loop().call_later(max(0.0, deadline - clock()), fire)
