"""What a lookup gives back: a key with all that it rests on, or the reason why there is none.  I/O: none.

The three failures are apart because a phone is told three different things: nobody has that name (404), the name is
there and its adapter is not (480), somebody may be lying (438) [RFC 3261 §21.4; RFC 8224 §6.2.2].  That the ring does
not answer at all is a fourth, `overlay.ring.chord.RingUnreachable` (503).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from overlay.errors import RemoteError
from overlay.ring.ids import Peer, id_to_bytes
from overlay.trust.acceptance import Liar
from overlay.trust.coverage import attackers_needed
from overlay.trust.identity import KeyBundle
from overlay.trust.records import LookupRecord

Basis = Literal["polynomial", "signatures", "pin"]
"""What a key rests on: the acceptance rule over 2k-1 distinct nodes, the bootstrap's signatures, or a pin alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceVerdict:
    """What was made of one piece that one node gave."""

    index: int
    """Which piece, 1..n."""
    peer: Peer
    """Who gave it."""
    generation: int
    """The generation that the piece names."""
    ok: bool
    """Whether it counts."""
    why: str = ""
    """Why it does not count; empty if it does."""
    lie: bool = False
    """Whether only a lying node, or one that was lied to, gives such a piece; an expired piece is no lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A public key bundle that the evidence supports."""

    bundle: KeyBundle
    """The key rebuilt from the pieces."""
    generation: int
    """Its generation."""
    basis: Basis
    """What it rests on."""
    support: int
    """How many distinct nodes bear it."""
    verdicts: tuple[PieceVerdict, ...]
    """Every piece heard."""
    liars: tuple[Liar, ...]
    """The nodes that are shown to have lied, each lie named once."""
    holders: dict[int, tuple[Peer, ...]]
    """Who gave a piece that lies on the polynomial, by index."""
    attackers_needed: int
    """The fewest of these nodes that hold k distinct indices together, copies counted; 0 when k are not held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The answer to "who is bob, and where": one user's key, record, and what they rest on."""

    aor: str
    """The name asked for."""
    bundle: KeyBundle
    """The user's public key, rebuilt from pieces."""
    generation: int
    """Its generation, 1 at the first registration."""
    record: LookupRecord | None
    """The newest valid lookup record; None only where the caller asked for the key alone."""
    contact: Peer | None
    """The node that the record names, ready to deliver to; None if its id is not known yet and nobody knows it."""
    basis: Basis
    """What the key rests on."""
    support: int
    """How many distinct nodes bear the key; at least 2k-1 when the basis is the polynomial."""
    drawn: tuple[int, ...]
    """The randomly drawn indices of the first wave, in the order drawn."""
    holders: dict[int, tuple[Peer, ...]]
    """Who gave a good piece, by index."""
    verdicts: tuple[PieceVerdict, ...]
    """Every piece heard and what was made of it."""
    liars: tuple[Liar, ...]
    """Nodes that gave a forged piece or record; index 0 stands for a record."""
    conflicts: tuple[str, ...]
    """Pieces with two different signed shares: evidence of a leaked dealing key or a lying bootstrap."""
    attackers_needed: int
    """The fewest of the nodes seen that hold k distinct indices; counts the whole ring only if `asked_everyone`."""
    asked_everyone: bool
    """Whether every known node was asked, so that the figures speak of the ring and not of a sample."""
    asked: tuple[Peer, ...]
    """The nodes asked, in order."""
    silent: tuple[Peer, ...]
    """Those of them that gave no answer."""
    waves: int
    """1 if the randomly drawn pieces sufficed, 2 or 3 if more nodes had to be asked."""
    ring_size_known: int
    """Nodes known when the lookup began, this one included."""
    took_ms: float
    """How long the lookup took, in milliseconds."""
    avoided: tuple[bytes, ...] = ()
    """Nodes (20 bytes each) at whose places nobody was asked in the first wave, because they lied before."""
    followed: bool = False
    """Whether the name was pinned to an earlier key, whose signatures lead to this one."""

    @property
    def thumbprint(self) -> bytes:
        """The 16-byte thumbprint of the key."""
        return self.bundle.thumbprint()


class LookupFailed(RemoteError):
    """The ring answered, and there is nothing to call; one of the five below."""

    liars: tuple[Liar, ...] = ()
    """Nodes that lied for certain in this lookup; index 0 stands for a record."""
    newest_generation: int = 0
    """The newest generation of which anybody gave a signed piece, 0 where nobody gave any."""
    proved: KeyBundle | None = None
    """The key that the acceptance rule proved all the same."""
    hint = ""


class NameRevoked(LookupFailed):
    """The name's key is on the ring, and its owner or the operator has revoked it."""

    hint = "who runs the bootstrap server can release it to a new key: secp2psip-bootstrap names release NAME"


class NameUnknown(LookupFailed):
    """No node of the ring holds anything of that name."""


class NameAway(LookupFailed):
    """The name's key is on the ring and no live lookup record is: its adapter is away."""


class KeyUnverifiable(LookupFailed):
    """There are pieces of that name, and no key that enough of them agree on."""


class KeyChanged(LookupFailed):
    """The name's key is another than the pinned one, and no signature of the pinned key leads to it."""

    hint = "ask the person by another way; if the new key is right: secp2psip contacts forget NAME"


def fewest_holders(holders: Mapping[int, Iterable[Peer]], *, k: int) -> int:
    """Return the fewest nodes that hold k distinct indices together, copies counted; 0 when k indices are not held.

    `holders` maps a piece index to the nodes that hold it.
    """
    held: dict[bytes, set[int]] = {}
    for index, peers in holders.items():
        for peer in peers:
            held.setdefault(id_to_bytes(peer.id), set()).add(index)
    return attackers_needed({node: frozenset(indices) for node, indices in held.items()}, k=k)
