"""The acceptance rule as two laws, over any spread of pieces and any lies of fewer than k nodes."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlay.trust.acceptance import Claim, accept
from overlay.trust.polynomial import PRIME, evaluate, interpolate
from overlay.trust.shamir import encode_share, split

OPTIONS = [(2, 4), (3, 7), (4, 10), (5, 13)]
SECRET = bytes(range(64))


def _node(side: int, number: int) -> bytes:
    return bytes([side, number]) * 10


@st.composite
def _lies(draw, true, k, n):
    """Draw what k-1 nodes claim: each any indices, on shared false polynomials, on the true one, or noise."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    polynomials = []
    for _ in range(draw(st.integers(1, 3))):
        meets = rng.sample(range(1, n + 1), k - 1)
        secret = rng.getrandbits(512)
        polynomials.append(interpolate({0: secret, **{index: evaluate(true, index) for index in meets}}))
    claims = []
    for number in range(k - 1):
        for index in draw(st.lists(st.integers(1, n), max_size=n + 3)):
            choice = draw(st.integers(0, len(polynomials) + 1))
            if choice < len(polynomials):
                value = evaluate(polynomials[choice], index)
            else:
                value = evaluate(true, index) if choice == len(polynomials) else rng.randrange(PRIME)
            claims.append(Claim(node=_node(255, number), index=index, share=encode_share(value)))
    return claims


@pytest.mark.parametrize(("k", "n"), OPTIONS)
@given(data=st.data())
@settings(deadline=None)
def test_sound_and_complete_for_any_spread_of_pieces(k, n, data):
    """Sound: never another key. Complete: the key, whenever 2k-1 honest nodes hold different pieces."""
    shares = split(SECRET, k=k, n=n, draw=random.Random(n).randrange)
    true = interpolate({index: int.from_bytes(shares[index - 1], "big") for index in range(1, k + 1)})
    nodes = data.draw(st.integers(1, n))
    # every piece lies with one of the honest nodes, or has been lost
    holders = data.draw(st.lists(st.integers(0, nodes), min_size=n, max_size=n))
    honest = [
        Claim(node=_node(0, holder), index=index, share=shares[index - 1])
        for index, holder in enumerate(holders, start=1)
        if holder != nodes
    ]
    claims = data.draw(st.permutations([*honest, *data.draw(_lies(true, k, n))]))
    accepted = accept(claims, k=k, n=n)
    if len({claim.node for claim in honest}) >= 2 * k - 1:
        assert accepted is not None
    if accepted is not None:
        assert accepted.secret == SECRET
        assert all(liar.node[0] == 255 for liar in accepted.liars)
