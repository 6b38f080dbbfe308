"""An overlay with real keys and credentials, and members that join it."""

from __future__ import annotations

import hashlib
import os
import random
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from overlay.ring.kademlia_ring import KademliaRing
from overlay.ring.sessions import RingIdentity
from overlay.ring.storage import RecordStore
from overlay.trust.credentials import NodeCredential
from overlay.trust.identity import PrivateBundle, SigningKey
from overlay.trust.pieces import KeyPiece, deal
from overlay.trust.records import LookupRecord, Release, ShareList

if TYPE_CHECKING:
    from collections.abc import Callable

OVERLAY = "test-overlay"


@dataclass
class TestOverlay:
    """The keys that a bootstrap server has; with a seed, all keys and dice of its members are the same in each run."""

    __test__ = False

    private: PrivateBundle = field(default_factory=PrivateBundle.generate)
    dealing: SigningKey = field(default_factory=SigningKey.generate)
    clock: Callable[[], float] = time.time
    seed: int | None = None

    def __post_init__(self):
        self.dice = random.Random(self.seed)
        if self.seed is not None:
            self.private = PrivateBundle.from_bytes(self.dice.randbytes(64))
            self.dealing = SigningKey.from_bytes(self.dice.randbytes(32))

    def random_bytes(self, count: int) -> bytes:
        return os.urandom(count) if self.seed is None else self.dice.randbytes(count)

    def identity(self, node_key: SigningKey | None = None, *, seconds: int = 86_400) -> RingIdentity:
        node_key = node_key or SigningKey.from_bytes(self.random_bytes(32))
        credential = NodeCredential.issue(
            self.private,
            overlay=OVERLAY,
            node_public=node_key.public,
            salt=hashlib.sha256(node_key.public).digest(),
            expires_at=int(self.clock()) + seconds,
        )
        return RingIdentity(
            node_key=node_key, credential=credential, overlay=OVERLAY, overlay_public=self.private.public.ed25519
        )

    def ring(self, identity: RingIdentity | None = None, **options) -> KademliaRing:
        return KademliaRing(
            identity or self.identity(),
            options.pop("store", None) or RecordStore(),
            dealing_public=self.dealing.public,
            clock=options.pop("clock", None) or self.clock,
            rng=options.pop("rng", None) or random.Random(self.dice.random()),
            random_bytes=self.random_bytes,
            **options,
        )

    def pieces(
        self, user: PrivateBundle, aor: str, *, generation: int = 1, k: int = 3, n: int = 7, seconds: int = 86_400
    ) -> tuple[KeyPiece, ...]:
        now = int(self.clock())
        return deal(
            user.public,
            aor=aor,
            generation=generation,
            k=k,
            n=n,
            dealing=self.dealing,
            seed=bytes(32),
            issued_at=now - 10,
            expires_at=now + seconds,
        )

    def share_list(
        self,
        user: PrivateBundle,
        aor: str,
        *,
        generation: int = 1,
        k: int = 3,
        n: int = 7,
        seconds: int = 86_400 + 600,
    ) -> ShareList:
        # a little longer than the pieces, which a test may deal a second later
        dealt = self.pieces(user, aor, generation=generation, k=k, n=n, seconds=seconds)
        return ShareList.issue(self.private, overlay=OVERLAY, pieces=dealt)

    def record(
        self,
        user: PrivateBundle,
        aor: str,
        *,
        sequence: int = 1,
        generation: int = 1,
        succession: bytes = b"",
        later_s: float = 0.0,
    ) -> LookupRecord:
        now = int(self.clock() + later_s)
        return LookupRecord.issue(
            user,
            aor=aor,
            generation=generation,
            node_id=bytes(20),
            host="127.0.0.1",
            port=5070,
            sequence=sequence,
            issued_at=now - 10,
            expires_at=now + 600,
            succession=succession,
        )

    def release(self, user: PrivateBundle, aor: str, node_id: bytes, *indices: int, sequence: int = 1) -> Release:
        return Release.issue(user, aor=aor, generation=1, node_id=node_id, indices=tuple(indices), sequence=sequence)

    @asynccontextmanager
    async def running(
        self, count: int, host: str = "127.0.0.1", *, make_store: Callable[[], RecordStore] = RecordStore
    ):
        """`count` members on loopback, joined one after the other through the first."""
        rings: list[KademliaRing] = []
        try:
            for _ in range(count):
                ring = self.ring(store=make_store())
                rings.append(ring)
                await ring.open(host)
                await ring.join([rings[0].me] if len(rings) > 1 else [])
            yield rings
        finally:
            for ring in rings:
                await ring.close()
