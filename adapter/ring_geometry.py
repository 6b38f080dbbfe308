"""Where things stand in a picture of the ring: angles, fingers, lanes, labels that do not overlap.  I/O: none.

The circle begins with id 0 at the top and grows clockwise; x goes right and y down, as in SVG.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Final

from overlay.ring.ids import RING_BITS, RING_SIZE, RingId, clockwise, shift

TURN: Final = 2 * math.pi


def angle_of(ring_id: RingId) -> float:
    """Return the direction of an id from the centre, in radians clockwise from the top, 0 <= angle < 2 pi."""
    return ring_id / RING_SIZE * TURN


def point(centre: tuple[float, float], angle: float, radius: float) -> tuple[float, float]:
    """Return x and y of the point in a direction, at a distance from the centre."""
    return centre[0] + radius * math.sin(angle), centre[1] - radius * math.cos(angle)


def fingers(me: RingId, others: Iterable[RingId]) -> dict[RingId, int]:
    """Return the fingers among the nodes that `me` knows, each with the largest i that it answers for.

    Finger i is the first node at or after me + 2^i; most i share the successor [Chord 2001 §4.3].
    """
    known = sorted({other for other in others if other != me}, key=lambda other: clockwise(me, other))
    found: dict[RingId, int] = {}
    nearest = 0
    for i in range(RING_BITS):
        step = clockwise(me, shift(me, 1 << i))
        while nearest < len(known) and clockwise(me, known[nearest]) < step:
            nearest += 1
        if nearest == len(known):
            break
        found[known[nearest]] = i
    return found


def lanes(arcs: Sequence[tuple[float, float]], *, apart: float) -> list[int]:
    """Return a lane for each arc (start and length, radians clockwise), so that no two in a lane come near each other.

    The lowest lane that is free, arcs in the order given; `apart` radians stay free around each.
    """
    taken: list[list[tuple[float, float]]] = []
    chosen: list[int] = []
    for arc in arcs:
        lane = next((i for i, held in enumerate(taken) if not any(_meet(arc, one, apart) for one in held)), len(taken))
        if lane == len(taken):
            taken.append([])
        taken[lane].append(arc)
        chosen.append(lane)
    return chosen


def _meet(one: tuple[float, float], other: tuple[float, float], apart: float) -> bool:
    """Tell whether two arcs come nearer than `apart`: the start of either lies on the other or right after it."""
    return (other[0] - one[0]) % TURN < one[1] + apart or (one[0] - other[0]) % TURN < other[1] + apart


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Return places at least `gap` apart, in the same order, as near to the wanted ones as that allows.

    `wanted` rises. The sum of squared moves is the least possible: groups that would overlap are centred on the mean of
    what they want (pool adjacent violators).
    """
    groups: list[tuple[float, int]] = []
    for number, place in enumerate(wanted):
        total, count = place - number * gap, 1
        while groups and groups[-1][0] / groups[-1][1] > total / count:
            before, members = groups.pop()
            total, count = total + before, count + members
        groups.append((total, count))
    level = [total / count for total, count in groups for _ in range(count)]
    return [place + number * gap for number, place in enumerate(level)]
