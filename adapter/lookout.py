"""Whether the places of a user are still where they were, for two questions a place.  I/O: dht.

A round of upkeep costs look-ups and fetches; most of the time nothing has happened. The owner of a place and the last
node that keeps a copy behind it both know who stands between and around them: where both answer and neither names
anybody else, the place is as it was. One of them that lies is contradicted by the other, as in a look-up's early stop
[docs/adr/0009].
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from overlay.ring.ids import Peer, RingId, clockwise_from

if TYPE_CHECKING:
    from collections.abc import Mapping

    from overlay.ring.chord import Chord


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What one look found."""

    moved: frozenset[int]
    """The indices whose places may belong to others by now."""
    nearby: dict[int, tuple[Peer, ...]]
    """Piece index -> the nodes at and after its place, as its holders name them."""


async def look(ring: Chord, positions: Mapping[int, RingId], runs: Mapping[int, tuple[Peer, ...]]) -> Sight:
    """Ask about some places; `runs` are the nodes at and after each as they were, up to the last that keeps a copy."""
    ends = [(index, peer) for index in positions for peer in dict.fromkeys((runs[index][0], runs[index][-1]))]
    answers = await asyncio.gather(*(ring.around(peer, positions[index]) for index, peer in ends))
    known: dict[int, set[Peer]] = {index: {ring.me} for index in positions}
    silent = {index for (index, _), named in zip(ends, answers, strict=True) if named is None}
    for (index, peer), named in zip(ends, answers, strict=True):
        if named is not None:
            known[index].update((peer, *named))
    nearby = {index: tuple(clockwise_from(at, known[index])) for index, at in positions.items()}
    moved = {index for index, run in runs.items() if index in positions and nearby[index][: len(run)] != run}
    return Sight(moved=frozenset(moved | silent), nearby=nearby)
