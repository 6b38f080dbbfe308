"""Counting nodes rather than copies: who covers which pieces.  I/O: none.

Two questions over the same picture, nodes on one side and piece indices on the other: how many nodes can each answer
for an index of their own (the acceptance rule), and how few nodes hold k indices between them (an attacker's need).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def maximum_matching(edges: Mapping[bytes, Iterable[int]]) -> int:
    """Return the most nodes that can be given an index each, no index twice; by augmenting paths [Kuhn 1955].

    `edges` maps a node to the indices that it may stand for. Taking them greedily can fall short of the truth.
    """
    sides = {node: tuple(indices) for node, indices in edges.items()}
    owner: dict[int, bytes] = {}

    def place(node: bytes, tried: set[int]) -> bool:
        for index in sides[node]:
            if index in tried:
                continue
            tried.add(index)
            if index not in owner or place(owner[index], tried):
                owner[index] = node
                return True
        return False

    return sum(place(node, set()) for node in sides)


def attackers_needed(holdings: Mapping[bytes, frozenset[int]], *, k: int) -> int:
    """Return the fewest nodes that hold k distinct indices between them, copies counted; 0 when all together do not.

    `holdings` maps each node to the indices that it holds. Exact: always taking the node that adds most can need more.
    """
    sets = _undominated(holdings.values())
    everything = frozenset[int]().union(*sets)
    if k <= 0 or len(everything) < k:
        return 0
    for count in range(1, k + 1):
        if _reachable(sets, 0, frozenset(), count, k):
            return count
    raise AssertionError("k sets cover k of the indices that all sets cover")


def _undominated(sets: Iterable[frozenset[int]]) -> list[frozenset[int]]:
    """Return the sets that no other contains, largest first: the others can never help an attacker more."""
    kept: list[frozenset[int]] = []
    for candidate in sorted(set(sets), key=lambda indices: (-len(indices), sorted(indices))):
        if not any(candidate <= other for other in kept):
            kept.append(candidate)
    return kept


def _reachable(sets: list[frozenset[int]], start: int, covered: frozenset[int], count: int, k: int) -> bool:
    """Tell whether `count` of sets[start:] bring `covered` to k indices; the sets are sorted by size, largest first."""
    if len(covered) >= k:
        return True
    for position in range(start, len(sets)):
        if count == 0 or len(covered) + count * len(sets[position]) < k:
            return False
        if _reachable(sets, position + 1, covered | sets[position], count - 1, k):
            return True
    return False
