"""The kademlia package's protocol with its faults closed: contacts that proved themselves, checked requests.  I/O: udp.

A contact enters the routing table when a session with it stands, which proves its id and its address, and leaves it
after three silences or a goodbye. The library takes in whoever writes an id into a datagram, drops whoever was silent
once, stores whatever it is told to, and goes through its whole storage for each stranger [docs/adr/0002].
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from kademlia.protocol import KademliaProtocol

from overlay.errors import LocalError, RemoteError
from overlay.ring.contacts import MAX_CONTACTS, decode_contacts, encode_contacts, encode_peers, node_of, peer_of, target
from overlay.ring.datagrams import HardRpc, Outcome
from overlay.ring.ids import RING_SIZE, Peer, id_from_bytes, id_to_bytes, is_in_reach
from overlay.ring.liveness import SUSPECT_S
from overlay.ring.neighbourhood import NAMED, Neighbourhood, around
from overlay.ring.retransmission import QUICK, Patience
from overlay.ring.routing import ExactRoutingTable
from overlay.ring.rpc import Answer, Request
from overlay.ring.tasks import Tasks

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Mapping

    from kademlia.node import Node

    from overlay.ring.calls import Call
    from overlay.ring.ids import RingId
    from overlay.ring.sessions import Sessions

MAX_LOST: Final = 64
PROBE_PAUSE_S: Final = 10.0
"""From one probe to the next: each datagram of a node that a full bucket has no room for is a reason for one."""
MAX_DEAD_ENDS: Final = 1024
"""Addresses, with the ids they were named for, that are remembered as silent."""

T = TypeVar("T")


class HardProtocol(HardRpc, KademliaProtocol):
    """One node's contacts, and what it says of them to others."""

    def __init__(
        self,
        source_node: Node,
        storage: object,
        ksize: int,
        *,
        sessions: Sessions,
        clock: Callable[[], float],
        random_bytes: Callable[[int], bytes],
        handlers: Mapping[str, Callable[..., Any]],
        on_contacts: Callable[[Peer], None],
    ) -> None:
        """Take the library's arguments, and what is ours.

        `handlers`: what to do on requests beyond ping and find_node; `on_contacts`: told when a contact came, moved or
        went.
        """
        KademliaProtocol.__init__(self, source_node, storage, ksize)
        known: dict[str, Callable[..., Any]] = {
            "ping": self.rpc_ping,
            "find_node": self.rpc_find_node,
            "around": self.rpc_around,
        }
        HardRpc.__init__(
            self, sessions=sessions, clock=clock, random_bytes=random_bytes, handlers={**handlers, **known}
        )
        self.router: ExactRoutingTable = ExactRoutingTable(source_node, probe=self._probe)
        self.neighbourhood = Neighbourhood(_ring_id(source_node))
        self.tasks = Tasks()
        self.lost: list[Peer] = []
        """Contacts that fell silent, the latest last: whom to try when nobody is left, or when the network was cut."""
        self._me: Peer | None = None
        self._on_contacts = on_contacts
        self._dead_ends: dict[Peer, float] = {}
        self._probed_at = -PROBE_PAUSE_S

    @property
    def me(self) -> Peer:
        """This node at the address that its socket is bound to; LocalError before."""
        if self._me is None:
            if self.transport is None:
                raise LocalError("the ring is not open")
            host, port = self.transport.get_extra_info("sockname")[:2]
            self._me = Peer(id=_ring_id(self.source_node), host=host, port=port)
        return self._me

    # --- contacts ----------------------------------------------------------------------------------------------------

    def welcome_if_new(self, node: Node) -> None:
        """Take in a contact that has proved its id and address. Nothing is handed over to it here."""
        self._welcome(peer_of(node))

    def _welcome(self, peer: Peer) -> None:
        is_news = self.neighbourhood.meet(peer)
        if self.router.refresh(peer):
            return
        node = node_of(peer)
        self.router.add_contact(node)
        if self.lost:
            self.lost = [other for other in self.lost if other.id != peer.id]
        # one for whom its bucket has no room changes nothing, however often it speaks
        if is_news or self.router.get(node) is not None:
            self._on_contacts(peer)

    def handle_call_response(self, result: Outcome, node: Node) -> Outcome:  # noqa: ARG002 - the library's signature
        """Return the result: contacts come with their session and go with their third silence, not here."""
        return result

    def drop(self, peer: Peer) -> None:
        """Forget a contact, its session and its history: it is dead."""
        self.sessions.forget(peer.address)
        self.say_goodbye_to(peer)

    def say_goodbye_to(self, peer: Peer) -> None:
        """Forget a contact that leaves; its session stays for a while, so that a repeated goodbye is answered."""
        node = node_of(peer)
        is_news = self.router.get(node) is not None
        self.liveness.forget(peer.id)
        self.router.remove_contact(node)
        if self.neighbourhood.forget(peer.id) or is_news:
            self._on_contacts(peer)

    def contacts(self) -> list[Peer]:
        """Return the contacts that are not under suspicion, in order of id."""
        suspects = self.liveness.suspects(self._loop.time())
        everybody = {node.long_id: peer_of(node) for node in self.router.in_order()}
        beside = [peer for peer in self.neighbourhood if peer.id not in everybody]
        peers = sorted((*everybody.values(), *beside), key=_by_id) if beside else everybody.values()
        return [peer for peer in peers if peer.id not in suspects]

    def count(self) -> int:
        """Return how many contacts are not under suspicion, without looking at each."""
        beside = sum(not self.router.knows(peer.id) for peer in self.neighbourhood)
        suspects = self.liveness.suspects(self._loop.time())
        return len(self.router) + beside - sum(self._contact(ring_id) is not None for ring_id in suspects)

    def suspects(self) -> list[Peer]:
        """Return the contacts that were silent lately, in order of id."""
        found = (self._contact(ring_id) for ring_id in self.liveness.suspects(self._loop.time()))
        return sorted((peer for peer in found if peer is not None), key=_by_id)

    def _contact(self, ring_id: RingId) -> Peer | None:
        """Return the contact with an id, in the routing table or beside it."""
        node = self.router.get(target(ring_id))
        return self.neighbourhood.get(ring_id) if node is None else peer_of(node)

    def around(self, ring_id: RingId, count: int = NAMED) -> list[Peer]:
        """Return the living contacts nearest before a place and nearest at or after it, `count` on each side."""
        suspects = self.liveness.suspects(self._loop.time())
        near = self.router.around(ring_id, count, without=suspects)
        # where the table names enough on both sides, a neighbour matters only between them
        first, width = int(ring_id), RING_SIZE
        if is_full := len(near) == 2 * count:
            first = near[0].long_id
            width = (near[-1].long_id - first) % RING_SIZE
        known = {node.long_id for node in near}
        beside = [
            peer
            for peer in self.neighbourhood
            if (peer.id - first) % RING_SIZE < width and peer.id not in known and peer.id not in suspects
        ]
        if is_full and not beside:
            # already in order of the circle, from the farthest before the place on
            return [peer_of(node) for node in near[count:] + near[:count]]
        return around([*map(peer_of, near), *beside], ring_id, count)

    def neighbors(self, ring_id: RingId, count: int = MAX_CONTACTS, *, exclude: RingId | None = None) -> list[Node]:
        """Return the contacts nearest to an id that are not under suspicion, nearest first."""
        suspects = self.liveness.suspects(self._loop.time())
        found = self.router.nearest(ring_id, count + len(suspects), exclude=exclude)
        return [node for node in found if node.long_id not in suspects][:count] if suspects else found

    def is_suspect(self, peer: Peer) -> bool:
        """Tell whether a node was silent lately at this address."""
        silent_at = self._dead_ends.get(peer) if self._dead_ends else None
        if silent_at is not None:
            return self._loop.time() - silent_at < SUSPECT_S
        return self.liveness.is_suspect(peer.id, self._loop.time()) and self._is_at_home(peer.id, peer.address)

    def lives(self, peer: Peer) -> bool:
        """Tell whether a node is a contact of ours at this address, and has not been silent since it spoke last."""
        return self._is_at_home(peer.id, peer.address) and not self.liveness.is_suspect(peer.id, self._loop.time())

    async def close(self) -> None:
        """Close the socket, end every request and every task. May be called twice."""
        await super().close()
        await self.tasks.close()

    # --- asking ------------------------------------------------------------------------------------------------------

    async def ask(self, peer: Peer, method: str, *arguments: object, patience: Patience = QUICK) -> Outcome:
        """Ask a peer that is known by id and address; one of the other family, or of a link, does not answer."""
        if not is_in_reach(peer.host, self.me.host):
            return False, None
        return await self.request(peer.address, peer.id, method, *arguments, patience=patience)

    async def call_find_node(
        self, node_to_ask: Node, node_to_find: Node, *, on_late: Callable[[], None] | None = None
    ) -> tuple[bool, tuple[Peer, ...]]:
        """Ask a node for those nearest to an id; one whose answer is unsound counts as silent."""
        return self.named(await self.find_node(peer_of(node_to_ask), node_to_find, on_late=on_late))

    def find_node(
        self, peer: Peer, wanted: Node, *, on_late: Callable[[], None] | None = None
    ) -> asyncio.Future[Outcome]:
        """Ask a node for those nearest to an id; named() reads the answer. A look-up asks too often for a task each."""
        return self.request(peer.address, peer.id, "find_node", self.source_node.id, wanted.id, on_late=on_late)

    def named(self, outcome: Outcome, *, limit: int = MAX_CONTACTS) -> tuple[bool, tuple[Peer, ...]]:
        """Read an answer that names up to `limit` contacts; an unsound one is counted, and as good as silence."""
        answered, value = outcome
        if not answered:
            return False, ()
        try:
            return True, decode_contacts(value, me=self.me, limit=limit)
        except RemoteError as flaw:
            self.counters[flaw.reason] += 1
            return False, ()

    def ask_around(
        self, peer: Peer, ring_id: RingId, *, on_late: Callable[[], None] | None = None
    ) -> asyncio.Future[Outcome]:
        """Ask a node for its contacts nearest on either side of a place; named_around() reads the answer."""
        arguments = (self.source_node.id, id_to_bytes(ring_id))
        return self.request(peer.address, peer.id, "around", *arguments, on_late=on_late)

    def named_around(self, outcome: Outcome) -> tuple[bool, tuple[Peer, ...]]:
        """Read an answer to ask_around; who names more than NAMED on each side does not mean them well."""
        return self.named(outcome, limit=2 * NAMED)

    async def call_ping(self, node_to_ask: Node, *, patience: Patience = QUICK) -> Outcome:
        """Ask a node whether it lives."""
        return await self.ask(peer_of(node_to_ask), "ping", self.source_node.id, patience=patience)

    async def call_store(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: what is stored on the ring goes to its holder directly."""
        raise LocalError("values without a signature are not stored")

    async def call_find_value(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: what is stored on the ring comes from its holder directly."""
        raise LocalError("values without a signature are not fetched")

    def spawn(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T] | None:
        """Run something beside everything else until it is done or the node closes; None once it has closed."""
        return self.tasks.spawn(work, name=name)

    # --- being asked -------------------------------------------------------------------------------------------------

    def rpc_ping(self, sender: Peer, nodeid: bytes) -> bytes:
        """Say that we live, with our id."""
        _check_name(sender, nodeid)
        return self.source_node.id

    def rpc_find_node(self, sender: Peer, nodeid: bytes, key: bytes) -> list[tuple[Any, ...]]:
        """Name the contacts nearest to an id, the asking node left out."""
        _check_name(sender, nodeid)
        return encode_contacts(self.neighbors(id_from_bytes(key), exclude=sender.id))

    def rpc_around(self, sender: Peer, nodeid: bytes, key: bytes) -> list[tuple[Any, ...]]:
        """Name the contacts nearest on either side of a place, the asking node left out."""
        _check_name(sender, nodeid)
        near = [peer for peer in self.around(id_from_bytes(key), NAMED + 1) if peer.id != sender.id]
        return encode_peers(near if len(near) <= 2 * NAMED else near[:NAMED] + near[-NAMED:])

    def rpc_store(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: what is kept here is checked first."""
        raise RemoteError("request of an unknown name")

    def rpc_find_value(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: what is kept here has other names."""
        raise RemoteError("request of an unknown name")

    def rpc_stun(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: nobody needs it."""
        raise RemoteError("request of an unknown name")

    # --- from the datagrams ------------------------------------------------------------------------------------------

    def _heard(self, peer: Peer, message: Request | Answer | None) -> None:
        was_suspect = self.liveness.heard(peer.id)
        if self._dead_ends:
            self._dead_ends.pop(peer, None)
        # a goodbye that comes twice must not bring its sender back
        if not (isinstance(message, Request) and message.method == "leave"):
            self._welcome(peer)
        if was_suspect:
            self._on_contacts(peer)

    def _missed(self, call: Call) -> None:
        if call.expected is None:
            return
        peer = Peer(id=call.expected, host=call.address[0], port=call.address[1])
        if not self._is_at_home(peer.id, peer.address):
            # somebody named this address: its silence says nothing of the node whose id it was named for
            self._dead_ends[peer] = self._loop.time()
            if len(self._dead_ends) > MAX_DEAD_ENDS:
                del self._dead_ends[next(iter(self._dead_ends))]
            return
        self._probed_at = -PROBE_PAUSE_S  # where one is dead there may be more
        if self.liveness.missed(peer.id, begun_at=call.begun_at, now=self._loop.time()):
            self.counters["died"] += 1
            self.lost = [*self.lost[1 - MAX_LOST :], peer]
            self.drop(peer)
        else:
            self._on_contacts(peer)

    def _is_at_home(self, ring_id: RingId, address: tuple[str, int]) -> bool:
        """Tell whether a contact of ours has that id and that address, both proved."""
        contact = self._contact(ring_id)
        return contact is not None and contact.address == address

    def _probe(self, node: Node) -> None:
        """Ask the oldest contact of a full bucket whether it lives, once in a while: its silences make room."""
        now = self._loop.time()
        if now - self._probed_at >= PROBE_PAUSE_S:
            self._probed_at = now
            self.spawn(self.call_ping(node), name="ring probe")


def _ring_id(node: Node) -> RingId:
    return id_from_bytes(node.id)


def _by_id(peer: Peer) -> RingId:
    return peer.id


def _check_name(sender: Peer, nodeid: object) -> None:
    """Refuse a request that names another node than the one whose session brought it."""
    if nodeid != id_to_bytes(sender.id):
        raise RemoteError("request in the name of another node")
