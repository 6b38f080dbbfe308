"""What a ring does for the rest of the house: Chord's operations, and no word of how they are done.  I/O: none.

An implementation keeps these promises in a stable ring: find_successor(x) is the first node met clockwise from x, one
that sits exactly at x included; find_predecessor(x) is the last node strictly before x  [Chord 2001 §4] [paper §II.A].
Nothing here raises for what a remote node did or left undone, except join when nobody answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from overlay.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from overlay.ring.ids import Peer, RingId
    from overlay.ring.storage import Holding
    from overlay.trust.pieces import KeyPiece
    from overlay.trust.records import LookupRecord, Release, ShareList
    from overlay.trust.seals import Seals
    from overlay.trust.tombstone import Tombstone


class RingUnreachable(RemoteError):
    """None of the nodes through which this one wanted to join answered."""


class Chord(Protocol):
    """One node's view of the ring."""

    on_line: Callable[[Peer, bytes], None] | None
    """Called with each SECP2PSIP line that a peer's adapter sent here; must not block."""
    on_change: Callable[[frozenset[Peer]], None] | None
    """Called, never more than once an event-loop turn, with the nodes that joined, moved, left, fell silent or died."""

    @property
    def me(self) -> Peer:
        """This node: its id and the address that it is bound to."""

    async def join(self, contacts: Sequence[Peer]) -> None:
        """Become a member through any of `contacts`, or a ring of one when there are none; RingUnreachable."""

    async def leave(self) -> None:
        """Hand what is stored here to the successor, say goodbye, and close."""

    async def close(self) -> None:
        """Close without a word to anybody, ending every task."""

    async def find_successor(self, ring_id: RingId) -> Peer:
        """Return the first living node at or clockwise after `ring_id`; this node when it knows no other."""

    async def find_predecessor(self, ring_id: RingId) -> Peer:
        """Return the last living node strictly before `ring_id`; this node when it knows no other."""

    async def successor_list(self, ring_id: RingId, count: int, *, apart: bool = False) -> list[Peer]:
        """Return up to `count` nodes, the successor of `ring_id` first, then clockwise; fewer in a smaller ring.

        `apart` looks them up on disjoint paths, for where somebody lies; it costs more.
        """

    def hearsay(self, ring_id: RingId, count: int) -> AsyncIterator[list[Peer]]:
        """Give up to `count` nodes that each of those near `ring_id` names after it, clockwise: quick, unconfirmed."""

    async def around(self, peer: Peer, ring_id: RingId) -> list[Peer] | None:
        """Return whom one node knows just before and just after `ring_id`, itself left out; None when it is silent."""

    async def put(
        self,
        aor: str,
        pieces: Sequence[KeyPiece],
        record: LookupRecord | None,
        *,
        share_list: ShareList | None = None,
    ) -> dict[int, Peer]:
        """Store each piece (and the record beside it) at its place; return who acknowledged which index.

        A node keeps a piece only where a share list names it: this one, or one that the node has.
        """

    async def get(self, aor: str) -> dict[Peer, Holding]:
        """Return what each owner of the user's places holds of that user, nodes that hold nothing left out."""

    async def bury(self, tombstone: Tombstone) -> frozenset[RingId]:
        """Bring a tombstone to everybody who should have pieces of its key, or second copies; return who keeps it."""

    async def read(
        self, aor: str, n: int, enough: Callable[[Mapping[Peer, Holding]], bool], *, first: int | None = None
    ) -> dict[Peer, Holding]:
        """Return what nodes hold of a user who has n pieces, as soon as it is enough: dead nodes are not waited for.

        `enough` is shown all answers so far whenever one came, nothing of them verified; it must not block. Where it
        never says yes, this returns when nobody is left to ask. `first`: how many places are asked at once, all of them
        where it is None; the others follow soon where these were not enough.

        No call reads by this: a look-up weighs each answer and asks by itself (`adapter.search`).
        """

    async def store_at(
        self,
        peer: Peer,
        piece: KeyPiece | None,
        record: LookupRecord | Tombstone | Seals | None,
        *,
        share_list: ShareList | None = None,
    ) -> bool:
        """Ask one node to keep a piece, a record or both; True only when it says that it does.

        The share list is for the piece, as in put().
        """

    async def fetch_at(self, peer: Peer, aor: str) -> Holding | None:
        """Return everything that one node holds of a user, nothing of it verified; None when it does not answer."""

    async def release_at(self, peer: Peer, release: Release) -> bool:
        """Hand an owner's signed release to the holder that it names; True when the holder obeyed."""

    async def deliver(self, peer: Peer, line: bytes) -> bool:
        """Hand a SECP2PSIP line to a peer's adapter, once at most; True when its node acknowledged it."""

    def peers(self) -> list[Peer]:
        """Return the nodes known to live, this one not among them, in order of id."""

    def size(self) -> int:
        """Return how many nodes are known to live, this one included; cheaper than peers()."""
