"""Share lists: which pieces they name, and what they are refused for. Their form is tested with all records."""

from __future__ import annotations

from dataclasses import replace

import pytest

from overlay.errors import LocalError, RemoteError
from overlay.trust.share_list import DIGEST_BYTES, ShareList
from overlay.trust.signed import UNSIGNED
from tests.support.people import BOB, BOOTSTRAP, DAY, EVE, NOW, OVERLAY, pieces, share_list

OVERLAY_KEY = BOOTSTRAP.public.ed25519


def test_a_list_names_every_piece_of_its_dealing_and_no_other():
    named = share_list()
    assert all(named.names(piece) and named.covers(piece) for piece in pieces())
    for other in (pieces(aor="bob"), pieces(BOB), pieces(EVE), pieces(k=2, n=7), pieces(n=8)):
        assert not any(named.names(piece) for piece in other)


def test_a_false_share_under_the_true_name_is_not_named():
    for true, false in zip(pieces(), pieces(EVE), strict=True):
        assert not share_list().names(replace(true, share=false.share))
        assert not share_list().names(replace(false, thumbprint=true.thumbprint))


def test_a_share_is_named_at_its_own_index_only():
    true = pieces()
    for piece in true:
        for other in true:
            assert share_list().names(replace(piece, index=other.index)) == (piece.index == other.index)


def test_a_share_of_another_generation_is_not_named():
    assert not share_list().names(replace(pieces()[0], generation=2))


def test_swapped_digests_are_no_longer_signed_and_no_longer_name():
    named = share_list()
    first, second = named.digests[:DIGEST_BYTES], named.digests[DIGEST_BYTES : 2 * DIGEST_BYTES]
    swapped = replace(named, digests=second + first + named.digests[2 * DIGEST_BYTES :])
    assert [swapped.names(piece) for piece in pieces()[:3]] == [False, False, True]
    with pytest.raises(RemoteError, match="not signed"):
        swapped.verify(OVERLAY_KEY, overlay=OVERLAY, now=NOW)


def test_a_piece_that_outlives_the_list_is_named_and_not_covered():
    longer = replace(pieces()[0], expires_at=pieces()[0].expires_at + 1)
    assert share_list().names(longer)
    assert not share_list().covers(longer)


@pytest.mark.parametrize(
    ("changed", "now", "why"),
    [
        ({}, NOW + 30 * DAY, "expired"),
        ({}, NOW - 2 * DAY, "future"),
        ({"expires_at": NOW + 32 * DAY}, NOW, "too long"),
        ({"overlay": "other"}, NOW, "another overlay"),
        ({"aor": "bob"}, NOW, "not signed"),
        ({"generation": 2}, NOW, "not signed"),
        ({"thumbprint": bytes(16)}, NOW, "not signed"),
        ({"expires_at": NOW + 29 * DAY}, NOW, "not signed"),
        ({"signature": UNSIGNED}, NOW, "not signed"),
    ],
)
def test_what_a_list_is_refused_for(changed, now, why):
    with pytest.raises(RemoteError, match=why):
        replace(share_list(), **changed).verify(OVERLAY_KEY, overlay=OVERLAY, now=now)


def test_a_list_signed_by_another_key_does_not_count():
    with pytest.raises(RemoteError, match="not signed"):
        share_list(EVE).verify(OVERLAY_KEY, overlay=OVERLAY, now=NOW)


def test_dealing_again_lists_the_same():
    first, again = share_list(), replace(share_list(), expires_at=NOW + 31 * DAY)
    assert first.says_the_same(again)
    assert not first.says_the_same(share_list(aor="bob"))


@pytest.mark.parametrize(
    "dealt",
    [(), pieces()[:6], pieces()[::-1], (*pieces()[:6], pieces()[0]), (*pieces()[:6], pieces(EVE)[6])],
)
def test_a_list_of_anything_but_one_whole_dealing_is_our_own_mistake(dealt):
    with pytest.raises(LocalError):
        ShareList.issue(BOOTSTRAP, overlay=OVERLAY, pieces=dealt)
