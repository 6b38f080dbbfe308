"""Peers as the kademlia package's nodes and back, and the check of contacts that another node names.  I/O: none.

The library believes every contact in an answer; one with port 70000 closes its socket for good, one with an id of 21
bytes mutes it, 25 of those split its table without end. Nothing of an answer gets past this file unchecked.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from kademlia.node import Node

from overlay.errors import LocalError, RemoteError
from overlay.ring.ids import Peer, RingId, id_to_bytes, is_in_reach

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_CONTACTS: Final = 20
"""Contacts in one answer, Kademlia's K [Maymounkov & Mazieres 2002 §2.3]."""
CONTACT_OVERHEAD_BYTES: Final = 28
"""A packed contact beyond its host's characters: an array of three, 22 bytes of id, 2 before the host, 3 of port."""
MAX_KNOWN_CONTACTS: Final = 4096
"""Contacts remembered as sound: the same ones are named again and again."""
MAX_CONTACT_BYTES: Final = 1100
"""Bytes that the contacts of one answer take: twenty of IPv4, sixteen of the longest IPv6."""


if TYPE_CHECKING:
    _Base = Node
else:
    # Each instance of a subclass of the library's class has a dictionary, slots or not: half of what a contact takes.
    # The library reads nothing of a node but what stands below.
    _Base = object


class Contact(_Base):
    """The library's node for a peer, in a third of its room."""

    __slots__ = ("id", "ip", "long_id", "port")

    def __init__(self, peer: Peer) -> None:
        """Take a peer, whose fields are sound."""
        self.id = id_to_bytes(peer.id)
        self.long_id = peer.id
        self.ip = peer.host
        self.port = peer.port

    def same_home_as(self, node: Node) -> bool:
        """Tell whether another node is at this one's address."""
        return self.ip == node.ip and self.port == node.port

    def distance_to(self, node: Node) -> int:
        """Return the XOR distance to another node."""
        return self.long_id ^ node.long_id

    def __iter__(self) -> Iterator[Any]:
        """Go through id, host and port, as the library does."""
        return iter((self.id, self.ip, self.port))


def node_of(peer: Peer) -> Node:
    """Return the library's form of a peer."""
    return Contact(peer)


def target(ring_id: RingId) -> Node:
    """Return the library's form of a place on the ring, without an address."""
    return Node(id_to_bytes(ring_id))


def peer_of(node: Node) -> Peer:
    """Return the peer that a node of the routing table stands for; LocalError when it has no address."""
    if node.ip is None or node.port is None:
        raise LocalError("a place on the ring is no peer")
    return Peer.known(RingId(node.long_id), node.ip, node.port)


def encode_contacts(nodes: Iterable[Node]) -> list[tuple[Any, ...]]:
    """Return the nodes as an answer to find_node, the first ones where not all fit."""
    return _that_fit([(node.id, node.ip, node.port) for node in islice(nodes, MAX_CONTACTS)])


def encode_peers(peers: Iterable[Peer]) -> list[tuple[Any, ...]]:
    """Return the peers as encode_contacts does their nodes."""
    return _that_fit([(id_to_bytes(peer.id), peer.host, peer.port) for peer in islice(peers, MAX_CONTACTS)])


def _that_fit(contacts: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Leave the last ones out where not all fit."""
    hosts = [host or "" for _, host, _ in contacts]
    while CONTACT_OVERHEAD_BYTES * len(contacts) + len("".join(hosts)) > MAX_CONTACT_BYTES:
        contacts.pop()
        hosts.pop()
    return contacts


def decode_contacts(value: Any, *, me: Peer, limit: int = MAX_CONTACTS) -> tuple[Peer, ...]:
    """Read the contacts of an answer, up to `limit`; RemoteError when one is unsound: a node that lies once lies.

    This node itself is left out, by id and by address, as are addresses that our socket cannot send to: of the other
    IP version, of a link where ours is of none, and the other way round.
    """
    if not isinstance(value, list) or len(value) > limit:
        raise RemoteError("contacts are no list, or too many")
    contacts: dict[RingId, Peer] = {}
    for item in value:
        try:
            contact = _known_contact(*item)  # by heart where it was read before
        except TypeError:
            raise RemoteError("a contact has three fields") from None
        if contact.id in contacts:
            raise RemoteError("contact named twice")
        if contact.id != me.id and contact.address != me.address and is_in_reach(contact.host, me.host):
            contacts[contact.id] = contact
    return tuple(contacts.values())


@lru_cache(maxsize=MAX_KNOWN_CONTACTS, typed=True)
def _known_contact(node_id: object, host: object, port: object) -> Peer:
    """Read a contact; equal fields of other types (True for 1) are other ones."""
    return Peer.decode((node_id, host, port))
