"""The acceptance rule: which key a set of claims proves, with no signature in it.  I/O: none.

A claim is "this node says that piece `index` is `share`". The rule:

    a polynomial of degree < k is taken only if at least 2k-1 distinct nodes each gave a share of a distinct index that
    lies on it; a node counts once, whatever it claims.

Sound: a false polynomial meets the true one in at most k-1 points, so honest nodes bear it in k-1 indices at most, and
fewer than k liars add k-1 nodes: 2k-2 together. Complete: of n >= 3k-2 holders at least 2k-1 are honest. So the rule
holds even for liars who have the dealing key and sign whatever they like; k of them break it, as the paper says
[paper §II.C]. How many nodes stand for distinct indices is a maximum matching, not a count of shares.

Finding the polynomial: Gao's decoder over the indices that nobody contests comes first and is enough as a rule. Liars
who contest every index blind it, so then the polynomials through k claimed points of k nodes are tried. Nodes with few
claims come first, and among the first 2k-1 of them k are honest: the search ends soon, and it is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, islice, product
from math import comb
from typing import TYPE_CHECKING, Final

from overlay.errors import LocalError, RemoteError
from overlay.trust.coverage import attackers_needed, maximum_matching
from overlay.trust.credentials import NODE_ID_BYTES
from overlay.trust.polynomial import Polynomial, evaluate, interpolate
from overlay.trust.shamir import MAX_PIECES, check_threshold, decode, decode_share, encode_share, secret_of
from overlay.trust.signed import check_bytes, check_int

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Accepted", "Claim", "Liar", "accept", "attackers_needed", "search_bound"]

MAX_SUBSETS: Final = 25_000
"""Most point sets that one search tries, at some 50 us each; C(17, 9) = 24,310 suffices for the largest k."""
SUBSETS_PER_NEED: Final = 64
"""The search tries that many times the C(2k-1, k) sets it needs when every honest node holds one piece: in a ring so
small that honest nodes hold c pieces each it needs c**k times as many."""

Holdings = dict[bytes, dict[int, int]]
"""Node -> index -> claimed field element."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One node's word on one piece."""

    node: bytes
    """20 bytes: the ring id of the node that said so, proved by its handshake."""
    index: int
    """Which piece."""
    share: bytes
    """66 bytes."""

    def __post_init__(self) -> None:
        check_bytes("node", self.node, NODE_ID_BYTES)
        check_int("index", self.index, 1, MAX_PIECES)
        try:
            decode_share(self.share)
        except RemoteError as error:
            raise LocalError(error.reason) from None


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Liar:
    """A node that said something false about one piece."""

    node: bytes
    """20 bytes."""
    index: int
    """The piece it lied about."""
    why: str
    """One clause in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What the claims prove."""

    secret: bytes
    """64 bytes: the key bundle."""
    support: int
    """Distinct nodes that bear it with distinct indices, 2k-1 or more."""
    liars: tuple[Liar, ...]
    """Everybody caught on the way, in order of node and index."""


def accept(claims: Iterable[Claim], *, k: int, n: int) -> Accepted | None:
    """Apply the acceptance rule to claims about one user and one generation.

    None when no polynomial is borne by 2k-1 nodes, or two are borne equally well. LocalError on a bad threshold.
    """
    check_threshold(k, n)
    holdings, liars = _sort_out(claims, n)
    best = _best(holdings, k, n)
    if best is None:
        return None
    polynomial, support = best
    off = _off(holdings, polynomial)
    caught = [
        *liars,
        *(Liar(node=node, index=i, why="share off the proved polynomial") for node in off for i in off[node]),
    ]
    return Accepted(secret=secret_of(polynomial), support=support, liars=tuple(sorted(caught)))


def search_bound(k: int) -> int:
    """Return how many point sets a search with threshold k tries before it gives up."""
    return min(MAX_SUBSETS, SUBSETS_PER_NEED * comb(2 * k - 1, k))


def _sort_out(claims: Iterable[Claim], n: int) -> tuple[Holdings, list[Liar]]:
    """Group claims by node. A node that gives two shares for one piece contradicts itself, and nothing it says counts.

    An honest node keeps the first share of a piece that it is given and never another.
    """
    holdings: Holdings = {}
    liars: set[Liar] = set()
    for claim in claims:
        value = decode_share(claim.share)
        if claim.index > n:
            liars.add(Liar(node=claim.node, index=claim.index, why=f"index beyond {n}"))
        elif holdings.setdefault(claim.node, {}).setdefault(claim.index, value) != value:
            liars.add(Liar(node=claim.node, index=claim.index, why="two shares for one piece"))
    excluded = {liar.node for liar in liars}
    return {node: held for node, held in holdings.items() if node not in excluded}, sorted(liars)


def _best(holdings: Holdings, k: int, n: int) -> tuple[Polynomial, int] | None:
    """Return the polynomial that most nodes bear, with its support, or None."""
    best = _first([_gao(holdings, k)], holdings, k, n) or _first(_through_subsets(holdings, k), holdings, k, n)
    while best is not None:
        # A polynomial borne by 2k-1 nodes that is not this one has k of them off it. Fewer than k liars cannot be
        # those; where there are more, the better borne polynomial wins and a tie proves nothing.
        rivals = _off(holdings, best[0])
        if maximum_matching(rivals) < k:
            return best
        rival = _first(_through_subsets(rivals, k), holdings, k, n, above=best[1] - 1)
        if rival is None:
            return best
        if rival[1] == best[1]:
            return None
        best = rival
    return None


def _first(
    candidates: Iterable[Polynomial | None], holdings: Holdings, k: int, n: int, *, above: int = 0
) -> tuple[Polynomial, int] | None:
    """Return the first candidate that at least 2k-1 and more than `above` nodes bear, with its support."""
    points = {point for held in holdings.values() for point in held.items()}
    needed = max(2 * k - 1, above + 1)
    for polynomial in candidates:
        if polynomial is None:
            continue
        values = [evaluate(polynomial, index) for index in range(1, n + 1)]
        # cheap first: so many indices must be on it at all before nodes are counted
        if sum((index, value) in points for index, value in enumerate(values, start=1)) < needed:
            continue
        support = maximum_matching(
            {node: [i for i, value in held.items() if values[i - 1] == value] for node, held in holdings.items()}
        )
        if support >= needed and _hides_a_secret(polynomial):
            return polynomial, support
    return None


def _gao(holdings: Holdings, k: int) -> Polynomial | None:
    """Decode the indices for which one share only is claimed."""
    shares: dict[int, set[int]] = {}
    for held in holdings.values():
        for index, value in held.items():
            shares.setdefault(index, set()).add(value)
    points = {index: next(iter(values)) for index, values in shares.items() if len(values) == 1}
    decoded = decode({index: encode_share(value) for index, value in points.items()}, k=k)
    if decoded is None:
        return None
    honest = [index for index in sorted(points) if index not in decoded.liars]
    return interpolate({index: points[index] for index in honest[:k]})


def _through_subsets(holdings: Holdings, k: int) -> Iterator[Polynomial]:
    """Yield the polynomials through k claims of k nodes on k pieces, most promising first, search_bound(k) at most."""
    # nodes that claim exactly the same (copies of a piece) lead to the same polynomials: one speaks for all
    voices: dict[frozenset[tuple[int, int]], int] = {}
    for held in holdings.values():
        voice = frozenset(held.items())
        voices[voice] = voices.get(voice, 0) + 1
    order = [sorted(voice) for voice in sorted(voices, key=lambda voice: (len(voice), -voices[voice], sorted(voice)))]
    # every subset of the first m voices comes before voice m+1 is heard at all
    subsets = (
        points
        for last in range(k - 1, len(order))
        for others in combinations(order[:last], k - 1)
        for points in product(*others, order[last])
    )
    for points in islice(subsets, search_bound(k)):
        chosen = dict(points)
        if len(chosen) == k:
            yield interpolate(chosen)


def _off(holdings: Holdings, polynomial: Polynomial) -> Holdings:
    """Return the claims that are not on a polynomial, without the nodes that have none."""
    off = {
        node: {index: value for index, value in held.items() if evaluate(polynomial, index) != value}
        for node, held in holdings.items()
    }
    return {node: held for node, held in off.items() if held}


def _hides_a_secret(polynomial: Polynomial) -> bool:
    try:
        secret_of(polynomial)
    except RemoteError:
        return False
    return True
