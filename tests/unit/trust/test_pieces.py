from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import LocalError, RemoteError
from overlay.trust.pieces import KeyPiece, deal, draw_indices
from overlay.trust.shamir import combine
from tests.support.people import ALICE, BOB, DAY, DEALER, EVE, NODE, NOW, SEED, pieces

DRAWS = 1000
CHI_SQUARE_34_DOF_AT_0_001 = 65.247
"""35 equally likely sets of 3 of 7: 34 degrees of freedom, exceeded once in a thousand fair trials."""
CHI_SQUARE_6_DOF_AT_0_001 = 22.458


def _deal(**changes):
    given_ = {
        "aor": "alice",
        "generation": 1,
        "k": 3,
        "n": 7,
        "dealing": DEALER,
        "seed": SEED,
        "issued_at": NOW,
        "expires_at": NOW + 30 * DAY,
    }
    bundle = changes.pop("bundle", ALICE.public)
    return deal(bundle, **(given_ | changes))


def test_dealt_pieces_are_signed_and_rebuild_the_bundle():
    dealt = pieces()
    assert [piece.index for piece in dealt] == [1, 2, 3, 4, 5, 6, 7]
    for piece in dealt:
        piece.verify(DEALER.public, now=NOW)
        assert piece.thumbprint == ALICE.public.thumbprint()
    assert combine({piece.index: piece.share for piece in dealt[4:]}, k=3) == ALICE.public.encode()


def test_dealing_again_gives_the_same_shares_with_a_later_expiry():
    later = _deal(issued_at=NOW + DAY, expires_at=NOW + 31 * DAY)
    assert [piece.share for piece in later] == [piece.share for piece in pieces()]


@pytest.mark.parametrize(
    "change", [{"aor": "alicf"}, {"generation": 2}, {"bundle": BOB.public}, {"seed": b"\x71" * 32}, {"k": 2}, {"n": 8}]
)
def test_another_dealing_has_another_polynomial(change):
    assert _deal(**change)[1].share != pieces()[1].share


def test_a_piece_is_small():
    longest = _deal(aor="a" * 32, generation=2**32 - 1, k=8, n=22)
    assert max(len(piece.encode()) for piece in longest) <= 400


@pytest.mark.parametrize(
    "change",
    [{"k": 3, "n": 5}, {"seed": bytes(31)}, {"expires_at": NOW + 32 * DAY}, {"expires_at": NOW}, {"aor": "Alice"}],
)
def test_dealing_nonsense_is_our_own_mistake(change):
    with pytest.raises(LocalError):
        _deal(**change)


def test_a_piece_counts_until_it_expires():
    piece = pieces()[0]
    piece.verify(DEALER.public, now=NOW + 30 * DAY - 0.001)
    with pytest.raises(RemoteError, match="piece expired"):
        piece.verify(DEALER.public, now=NOW + 30 * DAY)


def test_a_piece_from_the_far_future_does_not_count():
    with pytest.raises(RemoteError, match="future"):
        pieces()[0].verify(DEALER.public, now=NOW - 2 * DAY)


def test_a_piece_signed_by_another_key_does_not_count():
    for key in (NODE.public, EVE.public.ed25519):
        with pytest.raises(RemoteError, match="dealing key"):
            pieces()[0].verify(key, now=NOW)


@given(st.sampled_from(["aor", "generation", "index", "share", "thumbprint", "issued_at", "expires_at", "k"]))
def test_a_piece_with_a_changed_field_does_not_verify(field):
    piece = pieces()[0]
    changed = {
        "aor": "alicf",
        "generation": 2,
        "index": 2,
        "share": pieces()[1].share,
        "thumbprint": BOB.public.thumbprint(),
        "issued_at": NOW + 1,
        "expires_at": NOW + DAY,
        "k": 2,
    }
    forged = replace(piece, **{field: changed[field]})
    assert KeyPiece.decode(forged.encode()) == forged
    with pytest.raises(RemoteError):
        forged.verify(DEALER.public, now=NOW)


def test_the_draw_of_pieces_is_uniform():
    rng = random.Random(2015)
    drawn = [draw_indices(7, 3, rng) for _ in range(DRAWS)]
    sets = Counter(frozenset(indices) for indices in drawn)
    expected = DRAWS / 35
    statistic = sum((sets[frozenset(s)] - expected) ** 2 / expected for s in combinations(range(1, 8), 3))
    assert statistic < CHI_SQUARE_34_DOF_AT_0_001
    for place in range(3):
        counts = Counter(indices[place] for indices in drawn)
        statistic = sum((counts[index] - DRAWS / 7) ** 2 / (DRAWS / 7) for index in range(1, 8))
        assert statistic < CHI_SQUARE_6_DOF_AT_0_001


def test_the_chi_square_would_notice_a_crooked_draw():
    rng = random.Random(2015)
    counts = Counter(1 if rng.random() < 0.1 else draw_indices(7, 1, rng)[0] for _ in range(DRAWS))
    statistic = sum((counts[index] - DRAWS / 7) ** 2 / (DRAWS / 7) for index in range(1, 8))
    assert statistic > CHI_SQUARE_6_DOF_AT_0_001


@given(st.integers(1, 22), st.data())
def test_a_draw_gives_distinct_indices_in_range(n, data):
    count = data.draw(st.integers(0, n))
    drawn = draw_indices(n, count, random.Random(data.draw(st.integers())))
    assert len(set(drawn)) == len(drawn) == count
    assert all(1 <= index <= n for index in drawn)


def test_drawing_more_than_there_are_is_our_own_mistake():
    with pytest.raises(LocalError):
        draw_indices(7, 8, random.Random(1))
