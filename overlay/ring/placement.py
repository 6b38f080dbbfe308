"""Which node keeps which piece of a user: the walk that writers follow.  I/O: none.

Piece i belongs to the successor of its place on the circle; where that node owns another piece of the same user
already, to the next node that owns none, in index order. So n pieces lie on n distinct nodes whenever the ring has n,
and every writer that sees the same ring comes to the same result [paper §II.B] [Harvesf & Blough].
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from overlay.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from overlay.ring.ids import Peer, RingId


def place(positions: Mapping[int, RingId], successors: Mapping[int, Sequence[Peer]]) -> dict[int, Peer]:
    """Return the owner of each piece index.

    `positions[i]` is the place of piece i, `successors[i]` the nodes met clockwise from there, nearest first: as many
    as there are pieces, or the whole ring. In a ring with fewer nodes than pieces a node gets its second piece only
    when all have one, again nearest first. LocalError when a position has no successors.
    """
    owned: Counter[RingId] = Counter()
    owners: dict[int, Peer] = {}
    for index in sorted(positions):
        walk = successors.get(index, ())
        if not walk:
            raise LocalError(f"no successors for piece {index}")
        # min() takes the first of equals: the nearest clockwise among those that own the fewest
        owner = min(walk, key=lambda peer: owned[peer.id])
        owned[owner.id] += 1
        owners[index] = owner
    return owners
