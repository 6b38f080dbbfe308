"""The ring that the rest of the house uses: Chord over the hardened kademlia package.  I/O: udp, the store.

This file only puts the parts together: sessions (who speaks), datagrams and protocol (requests, contacts), chord_server
(look-ups, successors), stabilisation, handover, holder and holder_calls (pieces)  [paper §II.A] [Chord 2001 §4].
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import random
import time
from typing import TYPE_CHECKING, Final

from overlay.errors import LocalError, RemoteError
from overlay.ring.chord import RingUnreachable
from overlay.ring.chord_server import ChordServer
from overlay.ring.handover import MAX_HEIRS, STRETCH, Handover
from overlay.ring.holder import Holder
from overlay.ring.holder_calls import HolderCalls
from overlay.ring.ids import Peer, RingId, is_in_reach, is_link_local, is_sendable
from overlay.ring.listed import OverlayKeys
from overlay.ring.repair import Repair
from overlay.ring.retransmission import PATIENT
from overlay.ring.sessions import RingIdentity, Sessions
from overlay.ring.spread import Spread
from overlay.ring.stabilisation import Stabilisation
from overlay.ring.storage import RecordStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from overlay.ring.holding import Holding
    from overlay.trust.pieces import KeyPiece
    from overlay.trust.records import LookupRecord, Release, ShareList
    from overlay.trust.seals import Seals
    from overlay.trust.tombstone import Tombstone

log = logging.getLogger(__name__)

_DICE: Final = random.SystemRandom()
"""For jitter; the same for every node of a process, since each takes 2.5 KiB."""
MAX_LINE_BYTES: Final = 1200
"""Longest SECP2PSIP line that travels in a ring datagram."""


class KademliaRing:
    """One member of the ring; chord.Chord says what its methods promise."""

    def __init__(
        self,
        identity: RingIdentity,
        store: RecordStore,
        *,
        dealing_public: bytes,
        clock: Callable[[], float] = time.time,
        random_bytes: Callable[[int], bytes] = os.urandom,
        rng: random.Random | None = None,
    ) -> None:
        """Take who this node is, where it keeps pieces, and the 32-byte key that signs them.

        `clock` is wall time in seconds; `random_bytes` must be fit for keys, `rng` needs only to spread load.
        """
        self.on_line: Callable[[Peer, bytes], None] | None = None
        self.on_change: Callable[[frozenset[Peer]], None] | None = None
        self._dealing_public = dealing_public
        self._store = store
        self._clock = clock
        self._sessions = Sessions(identity, random_bytes=random_bytes, hello_timeout_s=self._hello_timeout_s)
        self._keys = OverlayKeys(
            overlay=identity.overlay, overlay_public=identity.overlay_public, dealing_public=dealing_public
        )
        self._holder = Holder(store, me=identity.id, keys=self._keys, clock=clock)
        self._server = ChordServer(
            identity.id,
            store,
            sessions=self._sessions,
            clock=clock,
            random_bytes=random_bytes,
            handlers={
                "store": self._holder.on_store,
                "fetch": self._holder.on_fetch,
                "release": self._holder.on_release,
                "line": self._on_line,
                "leave": self._on_leave,
            },
            on_contacts=self._on_contacts,
        )
        self._stabilisation = Stabilisation(
            self._server,
            rng=rng or _DICE,
            after_round=self._after_round,
        )
        self._changed: set[Peer] | None = None
        self._is_member = False

    # --- membership ----------------------------------------------------------------------------------------------

    async def open(self, host: str, port: int = 0) -> None:
        """Bind the UDP socket, any free port for 0. OSError where that cannot be, LocalError for a wildcard address.

        A host of one link alone comes with its scope, which stays with the socket: whoever it sends to is on that link.
        """
        literal, _, scope = host.partition("%")
        if not is_sendable((literal, port or 1)) or bool(scope) is not is_link_local(literal):
            raise LocalError("the ring needs one IP literal that others can reach")
        await self._server.listen(port, host)
        self._sessions.own_address = self.address
        self._calls = HolderCalls(self._server.rpc, self._holder)
        self._spread = Spread(self._server, self._calls, dealing_public=self._dealing_public, clock=self._clock)
        self._handover = Handover(
            self._store, self._calls, me=self.me.id, clock=self._clock, find_successor=self.find_successor
        )
        self._repair = Repair(
            self._store,
            self._calls,
            self._spread,
            me=self.me,
            keys=self._keys,
            clock=self._clock,
            counters=self._server.rpc.counters,
        )

    @property
    def me(self) -> Peer:
        """This node; LocalError before open()."""
        return self._server.me

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that the socket is bound to."""
        return self.me.address

    @property
    def views(self) -> tuple[KademliaRing, ...]:
        """The rings that this node is in: this one."""
        return (self,)

    async def join(self, contacts: Sequence[Peer]) -> None:
        """Become a member through any of `contacts`, or of a ring of one; RingUnreachable when none answers.

        Contacts of the other family are of another ring (two_rings.py).
        """
        others = [peer for peer in contacts if peer.address != self.address]
        seeds = [peer for peer in others if is_in_reach(peer.host, self.me.host)]
        if others and not (seeds and await self._server.bootstrap(seeds)):
            raise RingUnreachable(f"none of {len(others)} nodes of the ring answered")
        if seeds:
            await self._server.introduce()
        if not self._is_member:
            self._is_member = True
            self._server.rpc.spawn(self._stabilisation.run(), name="ring stabilisation")

    async def leave(self, *, hand_over: bool = True) -> None:
        """Hand over what is stored here, say goodbye to everybody known, and close."""
        rpc = self._server.rpc
        # who is silent among them inherits nothing: a user who leaves waits for no look-up
        if hand_over:
            near = rpc.around(self.me.id, max(MAX_HEIRS, STRETCH))
            await self._handover.leave_to(near, ring_size=self.size())
        # with whom there is no session, this node is no contact of theirs
        known = (peer for peer in rpc.contacts() if self._sessions.peer_at(peer.address) is not None)
        await asyncio.gather(*(rpc.ask(peer, "leave") for peer in known))
        await self.close()

    async def close(self) -> None:
        """End every task and close the socket, without a word to anybody. The store stays open."""
        if self._server.protocol is not None:
            await self._server.rpc.close()

    def renew(self, identity: RingIdentity) -> None:
        """Go on with a newer credential of this node."""
        self._sessions.renew(identity)

    # --- Chord ---------------------------------------------------------------------------------------------------

    async def find_successor(self, ring_id: RingId) -> Peer:
        """Return the first living node at or clockwise after an id."""
        return await self._server.successor(ring_id)

    async def find_predecessor(self, ring_id: RingId) -> Peer:
        """Return the last living node strictly before an id."""
        return await self._server.predecessor(ring_id)

    async def successor_list(self, ring_id: RingId, count: int, *, apart: bool = False) -> list[Peer]:
        """Return up to `count` living nodes, the successor of an id first; `apart`: found on disjoint paths."""
        return await self._server.successors(ring_id, count, apart=apart)

    def hearsay(self, ring_id: RingId, count: int) -> AsyncIterator[list[Peer]]:
        """Give up to `count` nodes after an id that each of those near it names, as they answer."""
        return self._server.hearsay(ring_id, count)

    async def around(self, peer: Peer, ring_id: RingId) -> list[Peer] | None:
        """Return whom one node knows just before and just after an id, itself left out; None when it is silent."""
        rpc = self._server.rpc
        if peer.id == self.me.id:
            return rpc.around(ring_id)
        answered, named = rpc.named_around(await rpc.ask_around(peer, ring_id))
        return [one for one in named if not rpc.is_suspect(one)] if answered else None

    async def put(
        self,
        aor: str,
        pieces: Sequence[KeyPiece],
        record: LookupRecord | None,
        *,
        share_list: ShareList | None = None,
    ) -> dict[int, Peer]:
        """Store the pieces of one user at their places; return the owner of each index that acknowledged."""
        return await self._spread.put(aor, pieces, record, share_list=share_list)

    async def get(self, aor: str) -> dict[Peer, Holding]:
        """Return what the owners of the user's places hold of that user, unverified."""
        return await self._spread.get(aor)

    async def bury(self, tombstone: Tombstone) -> frozenset[RingId]:
        """Bring a tombstone to everybody who should have pieces of its key, or second copies; return who keeps it."""
        return await self._spread.bury(tombstone)

    async def read(
        self, aor: str, n: int, enough: Callable[[Mapping[Peer, Holding]], bool], *, first: int | None = None
    ) -> dict[Peer, Holding]:
        """Return what nodes hold of a user who has n pieces, unverified, as soon as `enough` says so of it."""
        return await self._spread.read(aor, n, enough, first=first)

    async def store_at(
        self,
        peer: Peer,
        piece: KeyPiece | None,
        record: LookupRecord | Tombstone | Seals | None,
        *,
        share_list: ShareList | None = None,
    ) -> bool:
        """Ask one node to keep a piece, a record or both; True only when it says that it holds it."""
        return await self._calls.store_at(peer, piece, record, share_list=share_list)

    async def fetch_at(self, peer: Peer, aor: str) -> Holding | None:
        """Return everything that one node holds of a user, unverified; None when it does not answer."""
        return await self._calls.fetch_at(peer, aor)

    async def release_at(self, peer: Peer, release: Release) -> bool:
        """Bring an owner's signed release to the holder that it names; True when the holder obeyed."""
        return await self._calls.release_at(peer, release)

    async def deliver(self, peer: Peer, line: bytes) -> bool:
        """Bring a SECP2PSIP line to a peer's adapter, once at most; True when its node took it.

        Where the address that its record names is of the other family, the node is looked up by its id.
        """
        if not 0 < len(line) <= MAX_LINE_BYTES:
            raise LocalError(f"a line of {len(line)} bytes does not fit a ring datagram")
        if peer.id == self.me.id:
            return self._on_line(peer, line)
        if not is_in_reach(peer.host, self.me.host):
            found = await self.find_successor(peer.id)
            if found.id != peer.id:
                return False
            peer = found
        answered, taken = await self._server.rpc.ask(peer, "line", line, patience=PATIENT)
        return answered and taken is True

    # --- what this node knows ------------------------------------------------------------------------------------

    def peers(self) -> list[Peer]:
        """Return the contacts that live, in order of id."""
        return self._server.rpc.contacts()

    def size(self) -> int:
        """Return how many living nodes are known here, this one included."""
        return self._server.rpc.count() + 1

    def seeds(self) -> list[Peer]:
        """Return whom to join through another time, those met longest ago first: they are likeliest to stay.

        [Maymounkov & Mazieres 2002 §2.1]
        """
        met = {peer: self.since(peer) for peer in self.peers()}
        return sorted(met, key=lambda peer: (math.inf if (since := met[peer]) is None else since, peer.id))

    def rtt(self, peer: Peer) -> float | None:
        """Return the smoothed round-trip time to a peer in seconds, None before one was measured."""
        return self._server.rpc.liveness.srtt_s(peer.id)

    def since(self, peer: Peer) -> float | None:
        """Return since when this node has known a peer without a break, in seconds since the epoch; None if not met."""
        return self._sessions.met_at(peer.id)

    def held(self) -> list[tuple[str, int]]:
        """Return user and index of each piece that this node stores, in order."""
        # all of it, whatever ring it came by (store_of_ring.py)
        return RecordStore.held(self._store, self._clock())

    def came_by(self) -> set[str]:
        """Return the names of which this node keeps something that came by this ring."""
        return {aor for aor, _ in self._store.held(self._clock())}

    def forget(self, peer: Peer) -> None:
        """Drop a peer, its session and its history."""
        self._server.rpc.drop(peer)

    def counters(self) -> dict[str, int]:
        """Return what happened here, how often, by reason."""
        rpc = self._server.rpc
        return {
            **{f"ring: {reason}": count for reason, count in rpc.counters.items()},
            **{f"session: {reason}": count for reason, count in self._sessions.counters.items()},
            **{f"store: {reason}": count for reason, count in self._store.counters.items()},
            "ring: tasks failed": rpc.tasks.failed,
        }

    # --- inside --------------------------------------------------------------------------------------------------

    def _on_line(self, sender: Peer, line: object) -> bool:
        """Hand a line to the adapter; answer whether it was taken."""
        if not isinstance(line, bytes) or not 0 < len(line) <= MAX_LINE_BYTES:
            raise RemoteError("line of no length or too long")
        if self.on_line is None:
            return False
        try:
            self.on_line(sender, line)
        except Exception:  # the adapter's fault must not become the ring's
            self._server.rpc.counters["line handler failed"] += 1
            log.exception("a line of %s was not taken", sender)
            return False
        return True

    def _hello_timeout_s(self, address: tuple[str, int]) -> float | None:  # noqa: ARG002 - nothing is known of it yet
        """Tell how long a stranger may take to answer a hello: as long as others take to answer."""
        return None if self._server.protocol is None else self._server.rpc.liveness.anybody.timeout_s

    def _on_leave(self, sender: Peer) -> bool:
        """Take note that a peer leaves."""
        self._server.rpc.say_goodbye_to(sender)
        return True

    def _on_contacts(self, peer: Peer) -> None:
        """Tell whoever wants to know that the ring changed, once for all changes of this event-loop turn."""
        self._stabilisation.notice(peer)
        if self._changed is None:
            self._changed = set()
            asyncio.get_running_loop().call_soon(self._announce)
        self._changed.add(peer)

    def _announce(self) -> None:
        changed, self._changed = frozenset(self._changed or ()), None
        if self.on_change is None or self._server.rpc.is_closed:
            return
        try:
            self.on_change(changed)
        except Exception:  # as for lines
            self._server.rpc.counters["change handler failed"] += 1
            log.exception("a change of the ring was not taken")

    async def _after_round(self) -> None:
        self._store.sweep(self._clock())
        rpc = self._server.rpc
        # by themselves: the ring must not wait for them
        look = self._handover.look_at_predecessor(rpc.around(self.me.id, 1), ring_size=len(rpc.router) + 1)
        rpc.spawn(look, name="hand-over to newcomers")
        rpc.spawn(self._repair.run_if_due(), name="repair of pieces")
