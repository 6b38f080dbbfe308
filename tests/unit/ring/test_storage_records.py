"""Lookup records lie beside pieces of their own key; releases are their owner's."""

import pytest

from overlay.ring.storage import Kept, RecordStore
from overlay.trust.identity import PrivateBundle
from overlay.trust.signed import CLOCK_SKEW_S
from tests.unit.ring.store_users import ALICE, BOB, DAY, NOW, pieces, put, record, release


@pytest.fixture
def store():
    store = RecordStore()
    put(store, pieces()[0])
    yield store
    store.close()


def test_highest_sequence_wins_in_any_order(store):
    for sequence, outcome in [(2, Kept.KEPT), (1, Kept.OLDER), (3, Kept.KEPT), (3, Kept.SAME), (2, Kept.OLDER)]:
        assert store.put_record(record(sequence=sequence).encode(), NOW) is outcome
    assert store.get("bob", NOW).record == record(sequence=3)


def test_another_record_of_the_same_sequence_changes_nothing(store):
    store.put_record(record().encode(), NOW)
    assert store.put_record(record(port=6000).encode(), NOW) is Kept.OLDER
    assert store.get("bob", NOW).record == record()


def test_expired_record_is_not_shown_and_not_taken(store):
    store.put_record(record().encode(), NOW)
    assert store.get("bob", NOW + 600 + CLOCK_SKEW_S).record is None
    assert store.get("bob", NOW + 600 + CLOCK_SKEW_S).pieces
    assert store.put_record(record(sequence=2).encode(), NOW + 600 + CLOCK_SKEW_S) is Kept.EXPIRED


def test_expired_record_does_not_block_an_owner_who_lost_count(store):
    store.put_record(record(sequence=9).encode(), NOW)
    later = NOW + 700 + CLOCK_SKEW_S
    again = record(sequence=1, issued_at=later)
    assert store.put_record(again.encode(), later) is Kept.KEPT


def test_record_without_a_piece_is_refused(store):
    assert store.put_record(record(ALICE, aor="alice").encode(), NOW) is Kept.NO_PIECE


def test_record_of_an_expired_piece_is_refused(store):
    late = record(issued_at=NOW + 31 * DAY)
    assert store.put_record(late.encode(), NOW + 31 * DAY) is Kept.NO_PIECE


def test_record_of_another_generation_is_refused(store):
    assert store.put_record(record(generation=2).encode(), NOW) is Kept.NO_PIECE


def test_record_for_the_name_by_another_key_is_refused(store):
    assert store.put_record(record(ALICE, aor="bob").encode(), NOW) is Kept.NO_PIECE


def test_record_with_a_changed_byte_is_refused(store):
    sound = record().encode()
    for place in range(len(sound)):
        changed = sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :]
        assert not store.put_record(changed, NOW).held, place
    assert store.get("bob", NOW).record is None


def test_record_that_lives_too_long_is_refused(store):
    assert store.put_record(record(seconds=3601).encode(), NOW) is Kept.FORGED


def test_refused_record_beside_a_good_piece_is_told_and_the_piece_kept(store):
    assert put(store, pieces()[1], record(ALICE, aor="bob")) is Kept.NO_PIECE
    assert store.held(NOW) == [("bob", 1), ("bob", 2)]


def test_owner_releases_a_piece(store):
    put(store, pieces()[1], record())
    assert store.release(release(BOB, 1), NOW) is Kept.KEPT
    assert store.held(NOW) == [("bob", 2)]
    assert store.get("bob", NOW).record == record()


def test_release_of_the_last_piece_takes_the_record_along(store):
    store.put_record(record().encode(), NOW)
    assert store.release(release(BOB, 1), NOW) is Kept.KEPT
    assert store.get("bob", NOW).is_empty
    assert store._db.execute("SELECT COUNT(*) FROM records").fetchone() == (0,)


def test_release_holds_after_the_record_has_expired(store):
    store.put_record(record().encode(), NOW)
    assert store.release(release(BOB, 1), NOW + DAY) is Kept.KEPT


def test_release_played_again_is_refused_after_the_piece_came_back(store):
    store.put_record(record().encode(), NOW)
    old = release(BOB, 1)
    store.release(old, NOW)
    assert store.release(old, NOW) is Kept.SAME
    put(store, pieces()[0], record())
    assert store.release(old, NOW) is Kept.REPLAYED
    assert store.held(NOW) == [("bob", 1)]
    assert store.release(release(BOB, 1, sequence=2), NOW) is Kept.KEPT


def test_release_of_what_is_not_held_changes_nothing(store):
    store.put_record(record().encode(), NOW)
    assert store.release(release(BOB, 5), NOW) is Kept.NO_PIECE
    assert store.release(release(BOB, 1, generation=2), NOW) is Kept.NO_PIECE
    assert store.release(release(ALICE, 1, aor="alice"), NOW) is Kept.NO_PIECE
    assert store.held(NOW) == [("bob", 1)]


@pytest.mark.parametrize("thief", [ALICE, PrivateBundle.generate()])
def test_release_by_another_key_is_refused(store, thief):
    store.put_record(record().encode(), NOW)
    assert store.release(release(thief, 1), NOW) is Kept.FORGED
    assert store.held(NOW) == [("bob", 1)]


def test_release_without_a_known_owner_is_refused(store):
    assert store.release(release(BOB, 1), NOW) is Kept.NO_PIECE


def test_release_memory_is_bounded_and_swept():
    store = RecordStore(max_releases=1)
    put(store, pieces()[0], record())
    put(store, pieces(ALICE, aor="alice")[0], record(ALICE, aor="alice"))
    assert store.release(release(BOB, 1), NOW) is Kept.KEPT
    assert store.release(release(ALICE, 1, aor="alice"), NOW) is Kept.FULL
    store.sweep(NOW + 30 * DAY)
    assert store._db.execute("SELECT COUNT(*) FROM releases").fetchone() == (0,)
    store.close()
