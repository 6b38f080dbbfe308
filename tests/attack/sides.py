"""The two ends of a call: the real call machines over a real ring node, whichever directory tells them keys."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from adapter.exchange import Exchange
from adapter.pins import Pins
from adapter.sip.limits import DEFAULT_LIMITS
from adapter.steps import Steps
from tests.attack.rows import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapter.calls.events import Outcome
    from adapter.findings import Found
    from overlay.ring.kademlia_ring import KademliaRing
    from overlay.trust.identity import PrivateBundle

CALLS_PER_S = 10_000.0
"""The limits on floods have cells of their own; here they must not stand between two calls of the same pair."""
PHONE_HOST = "10.9.9.9"
EMIT_NOTHING = Steps(lambda _event: None)


class Finds(Protocol):
    """What the exchange needs of a directory."""

    async def find(self, aor: str, **options: Any) -> Found: ...


@dataclass(frozen=True)
class Phone:
    """A registered phone."""

    port: int
    host: str = PHONE_HOST
    transport: str = "udp"
    is_one_way: bool = False
    source: tuple[str, int] = (PHONE_HOST, 1)
    tls_port: int = 0
    fingerprint: bytes = b""


@dataclass
class Watched:
    """A directory, and what it found."""

    directory: Finds
    found: list[Found] = field(default_factory=list)

    async def find(self, aor: str, **options: Any) -> Found:
        found = await self.directory.find(aor, **options)
        self.found.append(found)
        return found

    def forget(self, _aor: str) -> None:
        """Nothing is kept."""


class Side:
    """One user's adapter, without SIP and without upkeep."""

    def __init__(
        self,
        ring: KademliaRing,
        aor: str,
        keys: PrivateBundle,
        directory: Finds,
        *,
        port: int,
        clock: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        calls_per_node: float = CALLS_PER_S,
    ) -> None:
        self.ring, self.aor, self.keys, self.phone = ring, aor, keys, Phone(port=port)
        self.directory = Watched(directory)
        # each call looks up for itself: what a proof that is shared for seconds covers up is not to be covered up here
        self.proofs = self.directory
        # nor does the directory ask them: every call is as between strangers
        self.pins = Pins()
        self.exchange = Exchange(
            self,  # it wants a ring, a directory, proofs, pins and an enrolment: the members of this class
            {aor: keys},
            contacts=lambda _aor: [self.phone],
            sip_address=lambda: (ring.me.host, 5070),
            steps=EMIT_NOTHING,
            limits=replace(DEFAULT_LIMITS, calls_per_node=calls_per_node),
            clock=clock,
            random_bytes=random_bytes,
        )
        ring.on_line = self.exchange.line_received

    def enrolment(self, _aor: str) -> None:
        """Nothing on disk: every key is of its first generation."""

    async def call(self, callee: Side, *, newest: int = 0) -> tuple[Verdict, Outcome]:
        """Call somebody, and say what came of it; `newest` is the sequence of the record he published last."""
        self.directory.found.clear()
        callee.directory.found.clear()
        outcome = await self.exchange.invite(self.aor, callee.aor, step=lambda _name, _detail: None)
        return self._judge(callee, outcome, newest), outcome

    def _judge(self, callee: Side, outcome: Outcome, newest: int) -> Verdict:
        truth = {side.aor: side.keys.public for side in (self, callee)}
        # a look-up of an earlier call that nobody waits for any more may end now: of somebody else, it is no matter
        found = [one for one in (*self.directory.found, *callee.directory.found) if one.aor in truth]
        if any(one.bundle != truth[one.aor] for one in found):
            return Verdict.FORGED
        if outcome.status == 302:
            home = f"@{callee.phone.host}:{callee.phone.port};"
            return Verdict.OK if all(home in uri for uri in outcome.contacts) else Verdict.FORGED
        old = [one for one in self.directory.found if one.record is not None and one.record.sequence < newest]
        return Verdict.STALE if old else Verdict.REFUSED

    async def stop(self) -> None:
        await self.exchange.stop()
