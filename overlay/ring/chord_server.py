"""The kademlia package's server made a Chord node: look-ups, exact successors and predecessors.  I/O: udp.

Overridden: _create_protocol, refresh_table, _refresh_table, bootstrap, bootstrap_node; refused: get, set, set_digest,
save_state, load_state. The library's get believes the first value, its set always says yes, its state file is a pickle,
and its refresh renews every record for ever [docs/adr/0002] [Chord 2001 §4].
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, NoReturn

from kademlia.network import Server

from overlay.errors import LocalError
from overlay.ring.contacts import MAX_CONTACTS, peer_of, target
from overlay.ring.crawl import ALPHA, FlowSpider
from overlay.ring.ids import RING_BITS, RING_SIZE, Peer, RingId, clockwise, id_to_bytes, shift
from overlay.ring.interval import Interval, IntervalSearch
from overlay.ring.neighbourhood import around
from overlay.ring.paths import DisjointLookUp
from overlay.ring.protocol import HardProtocol
from overlay.ring.retransmission import PATIENT
from overlay.ring.routing import BUCKET_CONTACTS
from overlay.ring.successors import SuccessorWalk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from kademlia.node import Node

    from overlay.ring.sessions import Sessions

MAX_SEEDS: Final = 32
"""Nodes that are tried for a join, all at once."""
NEAREST: Final = 2
"""Neighbours on each side that are asked in each round of stabilisation."""
NEWCOMER_NEAREST: Final = 4
"""The same for a node that has just come."""
MAX_MEETINGS: Final = 4
"""How often those whom they name are asked in turn."""
FAR_NODES: Final = MAX_CONTACTS
"""Nodes that have to answer a newcomer from each far block of the ring: each costs a handshake, and who knows fewer
takes the wrong nodes for the owners of places."""
SEED_TRIES: Final = 2
"""There may be one seed only, and a lost datagram or four must not keep a node out."""


class ChordServer(Server):
    """One node, as far as the shape of the ring is concerned."""

    protocol_class = HardProtocol
    protocol: HardProtocol | None

    def __init__(
        self,
        me: RingId,
        storage: object,
        *,
        sessions: Sessions,
        clock: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        handlers: Mapping[str, Callable[..., Any]],
        on_contacts: Callable[[Peer], None],
    ) -> None:
        """Take our id, and what the protocol needs; see HardProtocol."""
        super().__init__(ksize=MAX_CONTACTS, alpha=ALPHA, node_id=id_to_bytes(me))
        # not through the library, which replaces any storage that is empty, and so false, by its own
        self.storage = storage
        self._options: dict[str, Any] | None = {
            "sessions": sessions,
            "clock": clock,
            "random_bytes": random_bytes,
            "handlers": handlers,
            "on_contacts": on_contacts,
        }

    @property
    def rpc(self) -> HardProtocol:
        """The protocol of the open socket; LocalError while there is none."""
        if self.protocol is None:
            raise LocalError("the ring is not open")
        return self.protocol

    @property
    def me(self) -> Peer:
        """This node, at the address of its socket."""
        return self.rpc.me

    # --- Chord ---------------------------------------------------------------------------------------------------

    async def nearest(self, ring_id: RingId, count: int = MAX_CONTACTS) -> list[Peer]:
        """Look up the `count` living nodes nearest to an id by XOR, nearest first, this one not among them."""
        return await FlowSpider(self.rpc, target(ring_id), self._start(ring_id), ksize=count).find()

    def is_near(self, peer: Peer) -> bool:
        """Tell whether a node is one of the two on either side of this one, as far as this one knows."""
        return peer in around({peer, *self.rpc.neighbourhood}, self.me.id, NEAREST)

    async def nearest_apart(self, ring_id: RingId) -> list[Peer]:
        """Look up the same on disjoint paths: for where an answer is missing, or stands against another one."""
        self.rpc.counters["look-ups on disjoint paths"] += 1
        return await DisjointLookUp(self.rpc, ring_id, self._start(ring_id)).find()

    def _start(self, ring_id: RingId) -> list[Node]:
        # when everybody is under suspicion it is more likely that the fault was ours
        return self.rpc.neighbors(ring_id) or self.rpc.router.find_neighbors(target(ring_id))

    async def walk(self, walk: SuccessorWalk, *, apart: bool = False) -> list[Peer]:
        """Feed a walk the look-ups that it wants, on disjoint paths or not, and return whom it found."""
        look_up = self.nearest_apart if apart else self.nearest
        while (ring_id := walk.next_lookup()) is not None:
            nearest = await look_up(ring_id)
            # fewer than K are the whole ring, unless they are left of those whom everybody still takes for living
            is_small = self.rpc.count() < MAX_CONTACTS
            walk.learn(nearest, me=self.me, complete_at=MAX_CONTACTS if is_small else 1)
        return walk.found

    async def successor(self, ring_id: RingId) -> Peer:
        """Return the first living node at or after an id."""
        early = await self._confirmed(ring_id)
        if early is not None:
            return early.owner
        return (await self.successors(ring_id, 1, apart=True) or [self.me])[0]

    async def predecessor(self, ring_id: RingId) -> Peer:
        """Return the last living node strictly before an id."""
        early = await self._confirmed(ring_id)
        if early is not None:
            return early.predecessor
        return (await self.predecessors(ring_id, 1, apart=True) or [self.me])[0]

    async def _confirmed(self, ring_id: RingId) -> Interval | None:
        search = IntervalSearch(self.rpc, ring_id)
        early = await search.find()
        self.rpc.counters["interval void" if early is None else "interval confirmed"] += 1
        self.rpc.counters["interval steps"] += search.steps
        return early

    async def hearsay(self, ring_id: RingId, count: int, *, informants: int = NEAREST) -> AsyncIterator[list[Peer]]:
        """Ask known nodes, so many on either side of an id, who is around it; give each answer as it comes."""
        near = around(self.rpc.around(ring_id), ring_id, informants)
        for done in asyncio.as_completed([self.rpc.ask_around(peer, ring_id) for peer in near]):
            answered, named = self.rpc.named_around(await done)
            if answered:
                fresh = (peer for peer in named if not self.rpc.is_suspect(peer))
                yield sorted(fresh, key=lambda peer: clockwise(ring_id, peer.id))[:count]

    async def introduce(self) -> None:
        """Meet those to whom this node matters, after it has come: in a small ring everybody, in a large one the near.

        They are the K nearest by XOR, who are asked for its part of the ring, and the neighbours on either side. Some
        of those far away are met too, and nobody waits for that.
        """
        nearest = await self.nearest(self.me.id)
        # K nodes in the block of ids from here to the farthest of them: so many may be in all of the ring
        spread = (nearest[-1].id ^ self.me.id) + 1 if len(nearest) == MAX_CONTACTS else RING_SIZE
        if MAX_CONTACTS * RING_SIZE // spread <= 2 * BUCKET_CONTACTS:
            await self.census()
        else:
            self.rpc.spawn(self._meet_afar(spread - 1), name="ring far contacts")
        await self.meet_neighbours(NEWCOMER_NEAREST)

    async def _meet_afar(self, met: int) -> None:
        """Look up a place in each block of the ring beyond those that begin within the XOR distance `met` from here.

        Who knows few of them takes the wrong nodes for the owners of most places [Maymounkov & Mazieres 2002 §2.3].
        """
        for bit in range(met.bit_length(), RING_BITS):
            await self.nearest(RingId(self.me.id ^ 1 << bit), FAR_NODES)

    async def meet_neighbours(self, count: int = NEAREST) -> None:
        """Ask the `count` nearest on either side who is around here, until nobody nearer is named: all know us then."""
        me, asked = self.me, set[Peer]()
        known = set(self.rpc.around(me.id))
        for _ in range(MAX_MEETINGS):
            near = [peer for peer in around(known, me.id, count) if peer not in asked]
            if not near:
                return
            asked.update(near)
            outcomes = await asyncio.gather(*(self.rpc.ask_around(peer, me.id) for peer in near))
            answers = [self.rpc.named_around(outcome) for outcome in outcomes]
            known.update(peer for _, named in answers for peer in named if not self.rpc.is_suspect(peer))
            known.difference_update(peer for peer, (answered, _) in zip(near, answers, strict=True) if not answered)

    async def successors(self, ring_id: RingId, count: int, *, apart: bool = False) -> list[Peer]:
        """Return up to `count` living nodes at or after an id, clockwise, this one included."""
        return await self.walk(SuccessorWalk(ring_id, count=count), apart=apart)

    async def predecessors(self, ring_id: RingId, count: int, *, apart: bool = False) -> list[Peer]:
        """Return up to `count` living nodes strictly before an id, anticlockwise, this one included."""
        return await self.walk(SuccessorWalk(shift(ring_id, -1), count=count, mirrored=True), apart=apart)

    async def census(self) -> list[Peer]:
        """Meet everybody in a ring of up to 2K nodes, or the next 2K clockwise, so that all of them know this node."""
        return await self.successors(shift(self.me.id, 1), BUCKET_CONTACTS)

    # --- the library's -------------------------------------------------------------------------------------------

    async def bootstrap(self, addrs: Sequence[Peer]) -> list[Peer]:
        """Say hello to nodes, and return those that answered when the first did; the others are met when they do.

        Their ids are taken from what they prove, not from what we were told: a seed may have been set up anew.
        """
        asked = {asyncio.ensure_future(self.bootstrap_node(peer.address)) for peer in addrs[:MAX_SEEDS]}
        met: list[Peer] = []
        while asked and not met:
            done, asked = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            met = [peer for task in done if (peer := task.result()) is not None]
        for task in asked:
            self.rpc.spawn(_finish(task), name="ring seed")
        return met

    async def bootstrap_node(self, addr: tuple[str, int]) -> Peer | None:  # type: ignore[override]
        """Say hello to whoever is at an address; return who proved to be there."""
        for _ in range(SEED_TRIES):
            answered, _ = await self.rpc.request(addr, None, "ping", self.node.id, patience=PATIENT)
            if answered:
                return self.rpc.sessions.peer_at(addr)
        return None

    def refresh_table(self, interval: float = 0) -> None:
        """Do nothing: stabilisation refreshes, in a task that somebody keeps."""

    async def _refresh_table(self) -> None:
        """Look up the lonely buckets; republishing is the owners' business."""
        for node_id in self.rpc.get_refresh_ids():
            await self.nearest(RingId(int.from_bytes(node_id, "big")))

    def bootstrappable_neighbors(self) -> list[tuple[str, int]]:
        """Return the addresses of the contacts nearest to this node."""
        return [peer_of(node).address for node in self.rpc.neighbors(self.me.id)]

    async def get(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse; see holder_calls.py."""
        raise LocalError("values without a signature are not fetched")

    async def set(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse; see holder_calls.py."""
        raise LocalError("values without a signature are not stored")

    async def set_digest(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse; see holder_calls.py."""
        raise LocalError("values without a signature are not stored")

    def save_state(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: a pickle of our state would be a program that whoever writes the file gets us to run."""
        raise LocalError("the ring's state is not pickled")

    @classmethod
    async def load_state(cls, *_: Any, **__: Any) -> NoReturn:
        """Refuse: see save_state."""
        raise LocalError("the ring's state is not pickled")

    def _create_protocol(self) -> HardProtocol:
        options, self._options = self._options, None
        if options is None:
            raise LocalError("the ring is open already")
        return self.protocol_class(self.node, self.storage, self.ksize, **options)


async def _finish(task: asyncio.Future[Any]) -> None:
    await task
