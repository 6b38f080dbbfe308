"""The desk where registrations are settled: books, decision, dealing, in one thread of its own.  I/O: SQLite.

One thread makes each registration one transaction after the other: two adapters that want a name at the same moment get
it in turn. It also keeps the disk's waits and the dealing's arithmetic (about a millisecond) off the event loop.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from bootstrap.registration import Accepted, Expected, Refused, Revoked, decide
from bootstrap.sources import source_of
from overlay.trust.pieces import KeyPiece, deal
from overlay.trust.records import DealingCertificate, NodeCredential, ShareList

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bootstrap.accounts import Accounts, NameRow, OverlayFacts
    from bootstrap.admission import Policy
    from bootstrap.keys import ServerKeys
    from overlay.ring.ids import Peer
    from overlay.trust.tombstone import Tombstone
    from overlay.wire.messages import Register

    _T = TypeVar("_T")

PIECE_LIFETIME_S: Final = 30 * 86_400
CERTIFICATE_LIFETIME_S: Final = 3650 * 86_400
"""The dealing key changes with the data directory only, so its certificate outlives everything that it signs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A registration that is settled: what to store, and what to hand out."""

    accepted: Accepted
    credential: NodeCredential
    pieces: tuple[KeyPiece, ...]
    share_list: ShareList


class Desk:
    """Settles registrations for one overlay."""

    def __init__(self, accounts: Accounts, keys: ServerKeys, facts: OverlayFacts, policy: Policy) -> None:
        """`accounts` is used, and closed, by the desk's thread alone from here on."""
        self.keys = keys
        self.facts = facts
        self._accounts, self._policy = accounts, policy
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="desk")

    def certificate(self, now: float) -> DealingCertificate:
        """Sign the certificate of the dealing key."""
        return DealingCertificate.issue(
            self.keys.overlay,
            overlay=self.facts.name,
            dealing_public=self.keys.dealing.public,
            k=self.facts.k,
            n=self.facts.n,
            expires_at=int(now) + CERTIFICATE_LIFETIME_S,
        )

    def expected(self, nonce: bytes, source: str, node_public: bytes) -> Expected:
        """Return what a request on the connection with that nonce must match."""
        return Expected(
            overlay=self.facts.name,
            thumbprint=self.keys.overlay.public.thumbprint(),
            nonce=nonce,
            source=source_of(source),
            node_id=self.keys.node_id(node_public),
        )

    async def settle(self, request: Register, *, nonce: bytes, source: str, now: float) -> Grant | Revoked | Refused:
        """Decide on a request, write it into the books if it is accepted, and deal the pieces."""
        return await self._run(lambda: self._settle(request, self.expected(nonce, source, request.node_public), now))

    async def names(self) -> list[NameRow]:
        """Return every taken name."""
        return await self._run(self._accounts.names)

    async def untold(self) -> list[Tombstone]:
        """Return the tombstones that the ring does not have yet."""
        return await self._run(self._accounts.untold)

    async def told(self, tombstone: Tombstone) -> None:
        """Note that the ring has a tombstone."""
        await self._run(lambda: self._accounts.told(tombstone))

    async def keep_peers(self, peers: Sequence[Peer]) -> None:
        """Write down nodes to find the ring through after a restart."""
        await self._run(lambda: self._accounts.keep_peers(peers))

    async def peers(self) -> list[Peer]:
        """Return the nodes of the last run."""
        return await self._run(self._accounts.peers)

    async def close(self) -> None:
        """Finish what is begun, close the books and end the thread."""
        await self._run(self._accounts.close)
        self._thread.shutdown()

    def _settle(self, request: Register, expected: Expected, now: float) -> Grant | Revoked | Refused:
        with self._accounts.transaction():
            books = self._accounts.books(
                request.aor,
                node_public=request.node_public,
                source=expected.source,
                now=now,
                bundle=request.bundle,
                code=request.code,
            )
            decision = decide(request, books=books, expected=expected, policy=self._policy, now=now)
            if isinstance(decision, Refused):
                return decision
            if isinstance(decision, Revoked):
                self._accounts.revoke(decision.tombstone, now=now)
                return decision
            self._accounts.enter(decision, source=expected.source, now=now)
        pieces = deal(
            decision.bundle,
            aor=decision.aor,
            generation=decision.generation,
            k=self.facts.k,
            n=self.facts.n,
            dealing=self.keys.dealing,
            seed=self.keys.dealing_seed,
            issued_at=int(now),
            expires_at=int(now) + PIECE_LIFETIME_S,
        )
        return Grant(
            accepted=decision,
            credential=self.keys.credential(decision.node_public, overlay=self.facts.name, now=now),
            pieces=pieces,
            share_list=ShareList.issue(self.keys.overlay, overlay=self.facts.name, pieces=pieces),
        )

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
