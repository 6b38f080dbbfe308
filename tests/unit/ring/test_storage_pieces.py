"""Pieces: what is kept, renewed, refused, expired."""

import pytest

from overlay.ring.storage import Holding, Kept, RecordStore
from overlay.trust.identity import SigningKey
from overlay.trust.shamir import MAX_PIECES
from tests.unit.ring.store_users import ALICE, BOB, DAY, KEYS, NOW, SENDER, pieces, put, record, release


@pytest.fixture
def store():
    store = RecordStore()
    yield store
    store.close()


def test_piece_and_record_come_back_as_they_were_put(store):
    assert put(store, pieces()[2], record()) is Kept.KEPT
    assert store.get("bob", NOW) == Holding(pieces=(pieces()[2],), record=record())
    assert store.held(NOW) == [("bob", 3)]


def test_get_returns_every_piece_of_the_user_in_order(store):
    for index in (6, 1, 4):
        put(store, pieces()[index - 1])
    put(store, pieces(ALICE, aor="alice")[0])
    assert [piece.index for piece in store.get("bob", NOW).pieces] == [1, 4, 6]
    assert [piece.aor for piece in store.get("alice", NOW).pieces] == ["alice"]


def test_unknown_user_is_an_empty_holding(store):
    assert store.get("nobody", NOW) == Holding()
    assert store.get("nobody", NOW).is_empty


def test_same_piece_again_is_held_already(store):
    put(store, pieces()[0])
    outcome = put(store, pieces()[0])
    assert outcome is Kept.SAME
    assert outcome.held


def test_renewal_by_the_dealer_moves_the_expiry(store):
    put(store, pieces()[0])
    later = pieces(issued_at=NOW + 7 * DAY)[0]
    assert put(store, later, now=NOW + 7 * DAY) is Kept.KEPT
    assert store.get("bob", NOW + 31 * DAY).pieces == (later,)


def test_earlier_expiry_changes_nothing(store):
    put(store, pieces()[0])
    outcome = put(store, pieces(days=10)[0])
    assert outcome is Kept.OLDER
    assert outcome.held
    assert store.get("bob", NOW).pieces == (pieces()[0],)


def test_expired_piece_is_gone(store):
    put(store, pieces()[0], record())
    assert store.get("bob", NOW + 30 * DAY - 1).pieces
    assert store.get("bob", NOW + 30 * DAY).is_empty
    assert store.held(NOW + 30 * DAY) == []


def test_sweep_drops_what_expired_and_nothing_else(store):
    put(store, pieces()[0], record())
    put(store, pieces(ALICE, aor="alice", days=10)[0], record(ALICE, aor="alice"))
    assert store.sweep(NOW + 10 * DAY) == 1
    assert store.sweep(NOW + 10 * DAY) == 0
    assert store.held(NOW + 10 * DAY) == [("bob", 1)]
    assert store._db.execute("SELECT COUNT(*) FROM records").fetchone() == (1,)


def test_expired_piece_is_not_taken(store):
    assert put(store, pieces(days=1)[0], now=NOW + 2 * DAY) is Kept.EXPIRED


def test_piece_signed_by_another_key_is_refused(store):
    assert put(store, pieces(dealing=SigningKey.generate())[0]) is Kept.FORGED
    assert store.get("bob", NOW).is_empty
    assert store.counters == {Kept.FORGED.value: 1}


def test_every_changed_byte_is_refused(store):
    sound = pieces()[0].encode()
    for place in range(len(sound)):
        changed = sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :]
        outcome = store.put_piece(changed, None, keys=KEYS, sender=SENDER, now=NOW)
        assert outcome in {Kept.MALFORMED, Kept.FORGED, Kept.EXPIRED}, place
    assert store.held(NOW) == []


@pytest.mark.parametrize("garbage", [b"", b"\xc1", b"\x91" * 1000, b"x" * 5000, b"\x90", b"\xdd\xff\xff\xff\xff"])
def test_garbage_is_malformed(store, garbage):
    assert store.put_piece(garbage, None, keys=KEYS, sender=SENDER, now=NOW) is Kept.MALFORMED
    assert store.put_record(garbage, NOW) is Kept.MALFORMED


def test_another_generation_comes_in_when_the_first_has_expired(store):
    put(store, pieces(days=1)[0], record())
    assert put(store, pieces(generation=2)[4], now=NOW + 2 * DAY) is Kept.KEPT
    assert store.held(NOW + 2 * DAY) == [("bob", 5)]
    assert store.get("bob", NOW + 2 * DAY).record is None


def test_all_pieces_of_the_largest_dealing_fit(store):
    for piece in pieces(k=8, n=MAX_PIECES):
        assert put(store, piece) is Kept.KEPT
    assert len(store.get("bob", NOW).pieces) == MAX_PIECES


def test_user_cap():
    store = RecordStore(max_users=1)
    put(store, pieces()[0])
    assert put(store, pieces(ALICE, aor="alice")[0]) is Kept.FULL
    assert put(store, pieces()[1]) is Kept.KEPT
    store.close()


def test_expired_users_make_room():
    store = RecordStore(max_users=1)
    put(store, pieces(days=1)[0])
    alice = pieces(ALICE, aor="alice", issued_at=NOW + 2 * DAY)[0]
    assert put(store, alice, now=NOW + 2 * DAY) is Kept.KEPT
    store.close()


def test_sender_cap_and_what_frees_it():
    store = RecordStore(max_per_sender=2)
    put(store, pieces()[0], record())
    put(store, pieces()[1])
    assert put(store, pieces()[2]) is Kept.FULL
    assert put(store, pieces()[2], sender=78) is Kept.KEPT
    assert store.release(release(BOB, 1), NOW) is Kept.KEPT
    assert put(store, pieces()[3]) is Kept.KEPT
    store.close()


def test_renewal_counts_for_its_new_sender():
    store = RecordStore(max_per_sender=1)
    put(store, pieces()[0], sender=1)
    assert put(store, pieces(issued_at=NOW + DAY)[0], sender=2, now=NOW + DAY) is Kept.KEPT
    assert put(store, pieces()[1], sender=1) is Kept.KEPT
    assert put(store, pieces()[2], sender=2) is Kept.FULL
    store.close()
