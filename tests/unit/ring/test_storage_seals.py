"""Seals in the store: beside live pieces of their key, the user's own, those of the latest dealing."""

import pytest

from overlay.ring.storage import Kept, RecordStore
from overlay.trust.seals import Seals
from tests.unit.ring.store_users import ALICE, BOB, DAY, NOW, pieces, put

TRUE = Seals.issue(BOB, pieces())


@pytest.fixture
def store():
    store = RecordStore()
    yield store
    store.close()


def rows(store):
    return store._db.execute("SELECT COUNT(*) FROM seals").fetchone()[0]


def test_seals_lie_beside_a_piece_of_their_key_only(store):
    assert store.put_seals(TRUE[0].encode(), NOW) is Kept.NO_PIECE
    assert put(store, pieces()[0]).held
    assert store.put_seals(TRUE[0].encode(), NOW) is Kept.KEPT
    assert store.put_seals(TRUE[0].encode(), NOW) is Kept.SAME
    assert store.put_seals(Seals.issue(ALICE, pieces(ALICE))[0].encode(), NOW) is Kept.NO_PIECE
    assert store.put_seals(b"\x90", NOW) is Kept.MALFORMED
    assert store.seals("bob", NOW) == TRUE
    assert store.seals("alice", NOW) == ()


def test_a_later_dealing_replaces_an_earlier_one_and_never_the_other_way(store):
    assert put(store, pieces()[0]).held
    later = Seals.issue(BOB, pieces(issued_at=NOW + DAY))
    assert store.put_seals(TRUE[0].encode(), NOW) is Kept.KEPT
    assert store.put_seals(later[0].encode(), NOW) is Kept.KEPT
    assert store.put_seals(TRUE[0].encode(), NOW) is Kept.OLDER
    assert store.seals("bob", NOW) == later


def test_seals_go_with_the_last_piece(store):
    assert put(store, pieces()[0]).held
    assert store.put_seals(TRUE[0].encode(), NOW) is Kept.KEPT
    store.sweep(NOW + 31 * DAY)
    assert rows(store) == 0


def test_a_damaged_row_is_none(store):
    assert put(store, pieces()[0]).held
    assert store.put_seals(TRUE[0].encode(), NOW) is Kept.KEPT
    store._db.execute("UPDATE seals SET body = x'00'")
    assert store.seals("bob", NOW) == ()
    assert store.put_seals(TRUE[0].encode(), NOW) is Kept.KEPT
