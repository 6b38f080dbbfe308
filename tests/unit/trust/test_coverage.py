from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from overlay.trust.coverage import attackers_needed, maximum_matching

graphs = st.dictionaries(st.integers(0, 6).map(lambda i: bytes([i])), st.frozensets(st.integers(1, 7)), max_size=7)


def _matching_by_trying(edges: list[frozenset[int]], taken: frozenset[int] = frozenset()) -> int:
    if not edges:
        return 0
    best = _matching_by_trying(edges[1:], taken)
    for index in edges[0] - taken:
        best = max(best, 1 + _matching_by_trying(edges[1:], taken | {index}))
    return best


@given(graphs)
def test_a_matching_is_as_large_as_trying_everything_finds(graph):
    assert maximum_matching(graph) == _matching_by_trying(list(graph.values()))


def test_a_matching_moves_earlier_choices_out_of_the_way():
    assert maximum_matching({b"a": [1, 2], b"b": [1], b"c": [2, 3]}) == 3


@given(graphs, st.integers(1, 7))
def test_the_fewest_attackers_are_what_trying_everything_finds(graph, k):
    sets = list(graph.values())
    fewest = next(
        (
            size
            for size in range(1, len(sets) + 1)
            if any(len(frozenset().union(*some)) >= k for some in combinations(sets, size))
        ),
        0,
    )
    assert attackers_needed(graph, k=k) == fewest


def test_always_taking_the_largest_holder_would_overestimate():
    holdings = {b"a": frozenset({1, 2, 3, 4}), b"b": frozenset({1, 2, 5}), b"c": frozenset({3, 4, 6})}
    assert attackers_needed(holdings, k=6) == 2


def test_three_nodes_with_seven_pieces_need_two_attackers():
    holdings = {b"a": frozenset({1, 4, 7}), b"b": frozenset({2, 5}), b"c": frozenset({3, 6})}
    assert attackers_needed(holdings, k=3) == 1
    assert attackers_needed(holdings, k=4) == 2


def test_one_node_alone_needs_one_attacker_and_too_few_pieces_need_none_at_all():
    assert attackers_needed({b"a": frozenset(range(1, 8))}, k=3) == 1
    assert attackers_needed({b"a": frozenset({1, 2})}, k=3) == 0
    assert attackers_needed({}, k=3) == 0


def test_many_holders_are_counted_at_once():
    holdings = {bytes([node]): frozenset({node % 25 + 1, (node * 7) % 25 + 1}) for node in range(64)}
    assert attackers_needed(holdings, k=9) == 5
