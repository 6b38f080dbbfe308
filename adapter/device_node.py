"""The ring node of this device: opened with the first credential, and renewed with later ones.  I/O: udp, dht, files.

One node serves every user of the device, in one ring or in those of both families.  With it come what finds users
(`adapter.directory`), the pieces it keeps for others, and the nodes to join through another time.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

from adapter.acquaintances import Acquaintances
from adapter.directory import Directory
from adapter.problems import DamagedFile
from adapter.recent import RecentProofs
from adapter.servers import NotRegistered
from adapter.two_directories import TwoDirectories
from overlay.ring.chord import RingUnreachable
from overlay.ring.kademlia_ring import KademliaRing
from overlay.ring.sessions import RingIdentity
from overlay.ring.storage import RecordStore
from overlay.ring.store_of_ring import StoreOfRing
from overlay.ring.two_rings import TwoRings, in_reach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from adapter.enrolment import Enrolment
    from adapter.liars import Liars
    from adapter.pins import Pins
    from adapter.service_config import ServiceConfig
    from adapter.state import StateDir
    from overlay.ring.holding import Evidence as Contradiction
    from overlay.ring.ids import Peer
    from overlay.trust.identity import SigningKey

STORE_FILE: Final = "ring.sqlite"


class DeviceNode:
    """The node, once there is one."""

    def __init__(
        self,
        config: ServiceConfig,
        state: StateDir,
        *,
        pins: Pins,
        liars: Liars,
        on_line: Callable[[Peer, bytes], None],
        on_change: Callable[[frozenset[Peer]], None],
    ) -> None:
        """`on_line` takes each SECP2PSIP line from the ring, `on_change` the nodes that came, went or fell silent."""
        self._config, self._state, self._pins, self._liars = config, state, pins, liars
        self._on_line, self._on_change = on_line, on_change
        self._acquaintances = Acquaintances(state)
        self.running: KademliaRing | TwoRings | None = None
        """The ring node, or None while there is none."""
        self._store: RecordStore | None = None
        self._directory: Directory | TwoDirectories | None = None
        self._proofs: RecentProofs | None = None
        self._credential_until = 0
        self._has_joined = False

    @property
    def ring(self) -> KademliaRing | TwoRings:
        """The ring node; NotRegistered while there is none."""
        if self.running is None:
            raise NotRegistered(
                "no user of this adapter is registered on the ring yet", hint="register a phone, or give --bootstrap"
            )
        return self.running

    @property
    def directory(self) -> Directory | TwoDirectories:
        """Finds users on the ring; NotRegistered while there is no ring node."""
        if self._directory is None:
            _ = self.ring
        assert self._directory is not None
        return self._directory

    @property
    def proofs(self) -> RecentProofs:
        """Finds users for calls, and shares what was proved a moment ago; NotRegistered as above."""
        if self._proofs is None:
            _ = self.ring
        assert self._proofs is not None
        return self._proofs

    def contradictions(self) -> list[Contradiction]:
        """Return the signed things that contradict each other and were offered to this node, oldest first."""
        return [] if self._store is None else self._store.evidence()

    async def open(self, enrolment: Enrolment, node_key: SigningKey, address: tuple[str, int]) -> None:
        """Open the ring node, or let the one that runs go on with this credential where it lasts longer than its own.

        Each user of the device has a credential for the one node key: the node shows the one that expires last.
        Raises OSError; nothing stays open then.
        """
        until = enrolment.credential.expires_at
        identity = RingIdentity(
            node_key=node_key,
            credential=enrolment.credential,
            overlay=enrolment.overlay,
            overlay_public=enrolment.overlay_bundle.ed25519,
        )
        if self.running is not None:
            if until > self._credential_until:
                self.running.renew(identity)
                self._credential_until = until
            return
        store = RecordStore(self._state.path / STORE_FILE)
        rings: list[KademliaRing] = []
        try:
            await self._open_rings(rings, identity, store, enrolment, address)
        except BaseException:
            for ring in rings:
                await ring.close()
            store.close()
            raise
        self._store, self._credential_until = store, until
        self.running = rings[0] if len(rings) == 1 else TwoRings(*rings)
        self.running.on_line = self._on_line
        directories = [self._directory_of(ring, enrolment) for ring in rings]
        self._directory = directories[0] if len(directories) == 1 else TwoDirectories(*directories)
        self._proofs = RecentProofs(self._directory)

    async def close(self) -> None:
        """Hand over what this node keeps, say goodbye and close."""
        if self._proofs is not None:
            await self._proofs.close()
        self._liars.flush(time.time())
        if self.running is not None:
            self.keep_peers(at_once=True)
            await self.running.leave()
        if self._store is not None:
            self._store.close()

    async def join(self, enrolments: Iterable[Enrolment]) -> int:
        """Join the ring once, through whoever is known; return how many were tried where none of them answers."""
        if self._has_joined:
            return 0
        contacts, silent = self.contacts(enrolments), 0
        try:
            await self.ring.join(contacts)
        except RingUnreachable:
            silent = len({peer.id for peer in contacts})
        self._has_joined = True
        return silent

    async def find_lost_rings(self, enrolments: Iterable[Enrolment]) -> None:
        """Join anew where nobody is known any more, in the ring of one family perhaps."""
        named = tuple(enrolments)
        for ring in self.ring.views:
            if not ring.peers() and (contacts := in_reach(self.contacts(named), ring)):
                with contextlib.suppress(RingUnreachable):
                    await ring.join(contacts)

    def last_port(self) -> int:
        """Return the port where others have known this node: who comes back there is found by their peer caches."""
        with contextlib.suppress(DamagedFile):
            return self._state.load_own_port()
        return 0

    def contacts(self, enrolments: Iterable[Enrolment]) -> list[Peer]:
        """Return whom to try to join through now, of last time's nodes and of those that the bootstrap server named."""
        named = (peer for enrolment in enrolments for peer in enrolment.nodes)
        return self._acquaintances.contacts(named, me=self.ring.me.id)

    def keep_peers(self, *, at_once: bool = False) -> None:
        """Write down whom to join through another time; `at_once` whatever could wait."""
        if self.running is not None:
            lost = {":" in ring.me.host for ring in self.running.views if not ring.peers()}
            self._acquaintances.keep(self.running.seeds(), own_port=self.running.me.port, at_once=at_once, lost=lost)

    async def _open_rings(
        self,
        rings: list[KademliaRing],
        identity: RingIdentity,
        store: RecordStore,
        enrolment: Enrolment,
        address: tuple[str, int],
    ) -> None:
        other = self._config.other_ring
        for wanted, is_fixed in ((address, self._config.ring[1] != 0), (other, other is not None and other[1] != 0)):
            if wanted is not None:
                kept = store if other is None else StoreOfRing(store, wanted[0])
                ring = KademliaRing(identity, kept, dealing_public=enrolment.dealing.dealing_public)
                ring.on_change = self._on_change
                # with no port of its own the second takes the same number, which others know from the last run
                port = wanted[1] or (rings[0].me.port if rings else 0)
                await _open(ring, (wanted[0], port), is_fixed=is_fixed)
                rings.append(ring)

    def _directory_of(self, ring: KademliaRing, enrolment: Enrolment) -> Directory:
        return Directory(
            ring,
            dealing_public=enrolment.dealing.dealing_public,
            k=enrolment.dealing.k,
            n=enrolment.dealing.n,
            overlay=enrolment.overlay,
            overlay_public=enrolment.overlay_bundle.ed25519,
            pin_of=self._pins.get,
            liars=self._liars,
        )


async def _open(ring: KademliaRing, address: tuple[str, int], *, is_fixed: bool) -> None:
    try:
        await ring.open(*address)
    except OSError:
        if is_fixed or not address[1]:
            raise
        await ring.open(address[0], 0)  # the port of the last run is taken: no reason to stay away
