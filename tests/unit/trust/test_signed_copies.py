"""Shamir's pieces against n signed copies of the key: what each bears, in honesty, for a secret that is public."""

from __future__ import annotations

from collections import Counter

import pytest

from overlay.trust.acceptance import Claim, accept
from overlay.trust.polynomial import evaluate, interpolate
from overlay.trust.shamir import decode_share, encode_share
from tests.support.people import ALICE, EVE, pieces

K, N = 3, 7
TRUE = pieces()


def by_pieces(liars: int) -> bytes | None:
    """Return the key of the acceptance rule; liars sign what they like, on one polynomial that meets the true one."""
    met = {piece.index: decode_share(piece.share) for piece in TRUE[N - K + 1 :]}
    curve = interpolate({0: int.from_bytes(EVE.public.encode(), "big"), **met})
    shares = [encode_share(evaluate(curve, piece.index)) if i < liars else piece.share for i, piece in enumerate(TRUE)]
    claims = [Claim(node=bytes([i]) * 20, index=i + 1, share=share) for i, share in enumerate(shares)]
    accepted = accept(claims, k=K, n=N)
    return None if accepted is None else accepted.secret


def by_copies(liars: int) -> bytes | None:
    """Return the key that more than half of n copies show, the key that signs them leaked."""
    copies = [EVE.public.encode()] * liars + [ALICE.public.encode()] * (N - liars)
    key, votes = Counter(copies).most_common(1)[0]
    return key if 2 * votes > N else None


@pytest.mark.parametrize("liars", range(K))
def test_both_bear_fewer_than_k_liars_with_the_leaked_key(liars):
    assert by_pieces(liars) == by_copies(liars) == ALICE.public.encode()


def test_copies_bear_one_liar_more():
    assert by_copies(K) == ALICE.public.encode()
    assert by_pieces(K) != ALICE.public.encode()
    assert by_copies(K + 1) == EVE.public.encode()


def test_a_piece_is_no_smaller_than_a_copy():
    # 66 bytes of share for 64 bytes of key: nothing is saved either
    assert len(TRUE[0].share) > len(ALICE.public.encode())
