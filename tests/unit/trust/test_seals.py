"""Seals and rebuilding: the very piece that was dealt comes back, or none, whatever was given."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import PrivateBundle, SigningKey
from overlay.trust.rebuilding import rebuild
from overlay.trust.seals import MAX_SEALS, Seals
from overlay.trust.share_list import ShareList
from tests.unit.ring.store_users import BOB, DAY, DEALER, NOW, OVERLAY, pieces, share_list

EVE = PrivateBundle.generate()


def rebuilt(index, given, *, seals=None, listed=None, now=NOW + 1, dealing_public=DEALER.public):
    return rebuild(
        index,
        given,
        share_list=listed or share_list(),
        seals=Seals.issue(BOB, pieces()) if seals is None else seals,
        dealing_public=dealing_public,
        now=now,
    )


def test_any_k_pieces_give_each_of_the_others_bit_for_bit():
    for some in itertools.combinations(pieces(), 3):
        for piece in pieces():
            assert rebuilt(piece.index, some) == piece


@pytest.mark.parametrize(("k", "n"), [(2, 4), (3, 11), (3, 12), (8, 22)])
def test_two_records_bear_the_seals_of_as_many_pieces_as_there_may_be(k, n):
    dealt, listed = pieces(k=k, n=n), share_list(k=k, n=n)
    seals = Seals.issue(BOB, dealt)
    assert len(seals) == (1 if n <= MAX_SEALS else 2)
    assert all(Seals.decode(some.encode()) == some for some in seals)
    for piece in dealt:
        assert rebuilt(piece.index, dealt[-k:], seals=seals, listed=listed) == piece


def test_fewer_than_k_pieces_give_none():
    assert rebuilt(7, pieces()[:2]) is None
    assert rebuilt(7, [pieces()[0]] * 3) is None


def test_liars_however_many_change_nothing():
    false = [replace(piece, share=bytes(66)) for piece in pieces()]
    thiefs = [replace(piece, thumbprint=BOB.public.thumbprint()) for piece in pieces(EVE)]
    assert rebuilt(7, [*false, *thiefs]) is None
    assert rebuilt(7, [*false[:6], *pieces()[:3], *thiefs]) == pieces()[6]


def test_no_seal_or_a_false_one_gives_none():
    (true,) = Seals.issue(BOB, pieces())
    swapped = replace(true, signatures=true.signatures[64:] + true.signatures[:64])
    assert rebuilt(7, pieces()[:3], seals=()) is None
    assert rebuilt(7, pieces()[:3], seals=(swapped,)) is None
    assert rebuilt(7, pieces()[:3], seals=Seals.issue(EVE, pieces(EVE))) is None
    assert rebuilt(7, pieces()[:3], seals=(swapped, true)) == pieces()[6]


def test_only_the_dealing_key_and_the_list_of_the_overlay_make_a_piece():
    assert rebuilt(7, pieces()[:3], dealing_public=SigningKey.generate().public) is None
    evil = ShareList.issue(OVERLAY, overlay="lan", pieces=pieces(EVE))
    assert rebuilt(7, pieces()[:3], listed=evil) is None


def test_a_piece_comes_back_with_its_own_end():
    assert rebuilt(7, pieces()[:3], now=NOW + 30 * DAY) is None
    later = Seals.issue(BOB, pieces(issued_at=NOW + 60))
    # sealed for longer than the list lives
    assert rebuilt(7, pieces()[:3], seals=later, now=NOW + 61) is None
    relisted = share_list(issued_at=NOW + 60)
    assert rebuilt(7, pieces()[:3], seals=later, listed=relisted, now=NOW + 61) == pieces(issued_at=NOW + 60)[6]


def test_seals_are_of_a_whole_dealing_of_the_signer():
    for wrong in ((), pieces()[:6], pieces()[::-1], (*pieces()[:6], pieces(issued_at=NOW + 9)[6]), pieces(EVE)):
        with pytest.raises(LocalError):
            Seals.issue(BOB, wrong)
    (true,) = Seals.issue(BOB, pieces())
    true.verify()
    for changed in (replace(true, generation=2), replace(true, bundle=EVE.public.encode())):
        with pytest.raises(RemoteError, match="own key"):
            changed.verify()
    for field in ({"first": 2}, {"signatures": b""}, {"signatures": bytes(65)}, {"signatures": bytes(64 * 12)}):
        with pytest.raises(LocalError):
            replace(true, **field)
