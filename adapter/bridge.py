"""Between phones and ring: what a REGISTER or an INVITE sets off, and what the phone is told.  I/O: none.

The order of the steps is the paper's [paper §II.B, §II.C]; the status codes are those of [docs/protocol.md].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from adapter.enrolment import EnrolmentFailed, EnrolmentRefused
from adapter.problems import Problem
from adapter.sip.grammar import address_of
from adapter.sip.verdict import InviteVerdict, RegisterVerdict
from overlay.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from adapter.exchange import Exchange
    from adapter.membership import Membership
    from adapter.sip.verdict import IncomingInvite
    from adapter.steps import Step, Steps

RETRY_AFTER_S: Final = 10
"""When a phone whose registration failed may try again, in seconds."""
MAX_UNACKNOWLEDGED: Final = 64
"""Answered calls whose ACK is still awaited for the trace."""
MAX_STRANGERS: Final = 8
"""Names that phones wrongly registered as, each told of once."""
_TAKEN: Final = frozenset({"taken", "policy", "refused"})
"""Refusals of the bootstrap server that trying again does not change."""


class Bridge:
    """Answers the SIP server's questions."""

    def __init__(
        self,
        membership: Membership,
        exchange: Exchange,
        *,
        steps: Steps,
        users: Sequence[str],
        address: Callable[[], tuple[str, int]],
        tls_port: Callable[[], int] = lambda: 0,
        warn: Callable[[str, str], None] = lambda _text, _hint: None,
    ) -> None:
        """`users` are the names served; `address` and `tls_port` (0: none) are where phones find the adapter.

        `warn` takes what the person at the adapter should know of phones, and the cure.
        """
        self._membership, self._exchange, self._steps = membership, exchange, steps
        self._users, self._address, self._tls_port = frozenset(users), address, tls_port
        self._unacknowledged: dict[IncomingInvite, Step] = {}
        self._warn = warn
        self._strangers: set[str] = set()

    def serves(self, user: str) -> bool:
        """Whether the name is one of this adapter's users; of one that is not a phone asked for it, which is told."""
        if user not in self._users and user not in self._strangers and len(self._strangers) < MAX_STRANGERS:
            self._strangers.add(user)
            hint = (
                f"type {' or '.join(sorted(self._users))} into the phone, or start the adapter with --user {user} too"
            )
            self._warn(f"a phone registers as {user}, who is no user of this adapter: it was refused", hint)
        return user in self._users

    def is_own_host(self, host: str, port: int | None) -> bool:
        """Whether a URI's host names this adapter, with its port or with none."""
        own_host, own_port = self._address()
        if port not in {None, own_port, self._tls_port() or own_port}:
            return False
        # an IPv6 address has many spellings
        return host in {own_host, "localhost"} or address_of(host) == address_of(own_host) is not None

    async def on_register(self, user: str) -> RegisterVerdict:
        """Register the user on the ring, if he is not yet, before his phone gets its 200."""
        known = self._membership.settled(user)
        step = _silent if known else self._steps.begin("register")
        step("REGISTER", {"user": user})
        verdict = await self._register(user, step)
        step(f"{verdict.status} {verdict.reason or 'OK'}", {"warning": verdict.warning} if verdict.warning else {})
        return verdict

    async def on_invite(self, call: IncomingInvite) -> InviteVerdict:
        """Find the callee, ask his adapter, and send the caller's phone to his phone, or say why not."""
        step = self._steps.begin("call")
        step("INVITE", {"caller": call.caller, "callee": call.callee})
        step("100 Trying", {})
        verdict = await self._invite(call, step)
        name = "302 Moved Temporarily" if verdict.contacts else f"{verdict.status} {verdict.reason}"
        step(name, {"contacts": list(verdict.contacts)} if verdict.contacts else {})
        if len(self._unacknowledged) >= MAX_UNACKNOWLEDGED:
            self._unacknowledged.pop(next(iter(self._unacknowledged)))
        self._unacknowledged[call] = step
        return verdict

    def on_ack(self, call: IncomingInvite) -> None:
        """Note that the caller's phone has taken its answer; if that was a 302, it calls the callee's phone now."""
        if (step := self._unacknowledged.pop(call, None)) is not None:
            step("ACK", {})

    async def _register(self, user: str, step: Step) -> RegisterVerdict:
        try:
            await self._membership.register(user, step)
        except EnrolmentRefused as error:
            if error.code in _TAKEN:
                return RegisterVerdict(status=403, reason=_phrase(error.reason), warning=error.hint or None)
            return RegisterVerdict(status=503, reason=_phrase(error.reason), retry_after=RETRY_AFTER_S)
        except (EnrolmentFailed, Problem, RemoteError) as error:
            hint = str(getattr(error, "hint", "")) or None
            return RegisterVerdict(status=503, reason=_phrase(str(error)), retry_after=RETRY_AFTER_S, warning=hint)
        return RegisterVerdict()

    async def _invite(self, call: IncomingInvite, step: Step) -> InviteVerdict:
        if call.caller == call.callee:
            return InviteVerdict(status=486, reason="You are calling yourself")
        if self._membership.running is None:
            return InviteVerdict(status=503, reason="This adapter is not on the ring yet", retry_after=RETRY_AFTER_S)
        if self._membership.revocations.of(call.caller):
            return InviteVerdict(status=403, reason="Your key is being revoked")
        outcome = await self._exchange.invite(call.caller, call.callee, step=step, phone=call.source)
        if outcome.contacts:
            step("SECP2PSIP REDIRECT", {"contacts": len(outcome.contacts)})
        self._steps.receipt(dict(outcome.receipt) | {"status": outcome.status, "reason": outcome.reason})
        return InviteVerdict(
            status=outcome.status,
            contacts=outcome.contacts,
            fingerprint=outcome.fingerprint,
            reason="" if outcome.contacts else _phrase(outcome.reason),
            retry_after=outcome.retry_after_s,
            warning=_warning(call.callee, outcome.receipt.get("refusal")),
        )


def _phrase(text: str) -> str:
    """Return a sentence of ours as a reason phrase: phones show it on one line [RFC 3261 §7.2]."""
    line = " ".join(text.split())[:120]
    return line[:1].upper() + line[1:]


def _warning(callee: str, refusal: Mapping[str, Any] | None) -> str | None:
    """Return what the callee's adapter gave as its reason, in its own words, which are signed by the callee."""
    return f"{callee}'s adapter says: {refusal['reason']}" if refusal and refusal.get("reason") else None


def _silent(_step: str, _detail: dict[str, Any]) -> None:
    """Report nothing: a refresh is no event."""
