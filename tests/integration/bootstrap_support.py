"""A real bootstrap server on a free port of 127.0.0.1, and users who register there.  I/O: tcp, udp, files."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from adapter.enrolment import Enrolment, enrol
from bootstrap.accounts import OverlayFacts
from bootstrap.admission import Policy
from bootstrap.server import BootstrapServer, ServerConfig
from overlay.ring.kademlia_ring import KademliaRing
from overlay.ring.sessions import RingIdentity
from overlay.ring.storage import RecordStore
from overlay.trust.identity import PrivateBundle, SigningKey
from overlay.trust.records import PENDING_NODE_ID, LookupRecord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HOST = "127.0.0.1"
FACTS = OverlayFacts(name="lan", k=3, n=7)


@dataclass(slots=True, kw_only=True)
class Watched:
    """A running server and everything that it reported."""

    server: BootstrapServer
    events: list[dict[str, Any]]
    news: asyncio.Event

    async def until(self, kind: str) -> dict[str, Any]:
        """Return the first event of a kind, waiting for it."""
        while not self.of(kind):
            self.news.clear()
            await self.news.wait()
        return self.of(kind)[0]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]

    def steps(self) -> list[str]:
        return [event["step"] for event in self.of("step")]


@asynccontextmanager
async def serving(
    data: Path, *, port: int = 0, other_host: str = "", facts: OverlayFacts = FACTS, **rules: Any
) -> AsyncIterator[Watched]:
    """Run a server; `rules` are the policy's, and `step_timeout_s`."""
    timeout = {key: rules.pop(key) for key in ("step_timeout_s",) if key in rules}
    policy = Policy(**{"enrolments_per_day": 0, **rules})
    config = ServerConfig(host=HOST, other_host=other_host, port=port, data=data, facts=facts, policy=policy, **timeout)
    events: list[dict[str, Any]] = []
    news = asyncio.Event()

    def report(event: dict[str, Any]) -> None:
        events.append(event)
        news.set()

    server = BootstrapServer(config, report=report)
    await server.open()
    try:
        yield Watched(server=server, events=events, news=news)
    finally:
        await server.close()


@dataclass(slots=True, kw_only=True)
class Registrant:
    """A user on a device of his own."""

    aor: str
    user: PrivateBundle = field(default_factory=PrivateBundle.generate)
    node_key: SigningKey = field(default_factory=SigningKey.generate)
    port: int = 40_000
    ahead_s: int = 0
    """How far this device's clock is ahead of the server's."""
    trace: list[tuple[str, dict[str, object]]] = field(default_factory=list)

    def record(self) -> LookupRecord:
        now = int(self.clock())
        return LookupRecord.issue(
            self.user,
            aor=self.aor,
            generation=1,
            node_id=PENDING_NODE_ID,
            host=HOST,
            port=self.port,
            sequence=now,
            issued_at=now,
            expires_at=now + 600,
        )

    async def enrol(self, address: tuple[str, int], **more: Any) -> Enrolment:
        return await enrol(
            address,
            aor=self.aor,
            user=self.user,
            node_key=self.node_key,
            record=self.record,
            trace=lambda step, detail: self.trace.append((step, detail)),
            clock=self.clock,
            **more,
        )

    def clock(self) -> float:
        return time.time() + self.ahead_s


@asynccontextmanager
async def joined(
    registrant: Registrant, enrolment: Enrolment, *, store: RecordStore | None = None
) -> AsyncIterator[KademliaRing]:
    """Run a registrant's ring node, joined through what its enrolment named; `store` is closed in the end."""
    identity = RingIdentity(
        node_key=registrant.node_key,
        credential=enrolment.credential,
        overlay=enrolment.overlay,
        overlay_public=enrolment.overlay_bundle.ed25519,
    )
    store = RecordStore(":memory:") if store is None else store
    ring = KademliaRing(identity, store, dealing_public=enrolment.dealing.dealing_public)
    await ring.open(HOST)
    try:
        await ring.join(enrolment.nodes)
        yield ring
    finally:
        await ring.close()
        store.close()
