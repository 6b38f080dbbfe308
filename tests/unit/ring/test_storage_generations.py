"""A newer generation takes the place of an older one, and both are shown while the key is being changed."""

import pytest

from overlay.ring.holder import Holder
from overlay.ring.ids import Peer, RingId
from overlay.ring.storage import FORMER_S, Kept, RecordStore
from overlay.trust.identity import SigningKey
from overlay.trust.pieces import KeyPiece
from overlay.trust.records import LookupRecord
from overlay.trust.tombstone import Tombstone
from tests.unit.ring.store_users import (
    ALICE,
    BOB,
    DAY,
    KEYS,
    NOW,
    OVERLAY,
    SENDER,
    pieces,
    put,
    record,
    release,
    share_list,
)

FRESH = ALICE
"""The key that bob changes to."""


@pytest.fixture
def store():
    store = RecordStore()
    for piece in pieces():
        put(store, piece, record(), listed=share_list())
    yield store
    store.close()


def newer(index: int) -> KeyPiece:
    return pieces(FRESH, generation=2)[index - 1]


def newer_record(sequence: int = 1, issued_at: float = NOW) -> LookupRecord:
    return record(FRESH, generation=2, sequence=sequence, issued_at=issued_at)


def change(store, *indices, now=NOW):
    """Store pieces of the second generation, with their share list and record."""
    return [
        put(store, newer(index), newer_record(), listed=share_list(FRESH, generation=2), now=now) for index in indices
    ]


def tombstone(signer=BOB, **changes) -> Tombstone:
    given = {"overlay": "lan", "aor": "bob", "generation": 1, "bundle": BOB.public, "issued_at": int(NOW)}
    return Tombstone.issue(signer, **(given | changes))


def bury(store, stone, now=NOW):
    return store.put_tombstone(stone.encode(), keys=KEYS, now=now)


def test_a_newer_listed_generation_takes_the_place_of_the_older(store):
    assert change(store, 1, 2) == [Kept.KEPT, Kept.KEPT]
    holding = store.get("bob", NOW)
    assert holding.pieces == (newer(1), newer(2))
    assert holding.former == pieces()
    assert store.evidence() == []


def test_a_newer_generation_that_the_overlay_key_does_not_list_replaces_nothing(store):
    thief = SigningKey.generate()
    assert put(store, newer(1), listed=share_list(FRESH, generation=2, signer=FRESH)) is Kept.UNLISTED
    assert put(store, newer(1), listed=share_list()) is Kept.UNLISTED
    forged = pieces(FRESH, generation=2, dealing=thief)[0]
    assert put(store, forged, listed=share_list(FRESH, generation=2)) is Kept.FORGED
    assert store.get("bob", NOW).pieces == pieces()


def test_an_older_generation_never_comes_back(store):
    change(store, 1)
    assert put(store, pieces()[3], listed=share_list()) is Kept.OTHER_GENERATION
    assert store.put_record(record(sequence=99).encode(), NOW) is Kept.NO_PIECE
    assert store.get("bob", NOW).pieces == (newer(1),)


def test_the_record_goes_with_the_generation_whose_key_can_be_had_here(store):
    change(store, 1, 2)
    assert store.get("bob", NOW).shown == record()
    change(store, 3)
    assert store.get("bob", NOW).shown == newer_record()


def test_the_older_generation_goes_once_its_owner_goes_on_with_the_newer_key(store):
    change(store, *range(1, 8))
    month = NOW + 5 * DAY
    assert store.get("bob", month).former == pieces()  # whoever changed the key died half-way: both remain
    assert store.put_record(newer_record(sequence=2, issued_at=month).encode(), month) is Kept.KEPT
    assert store.get("bob", month + FORMER_S - 1).former == pieces()
    assert store.get("bob", month + FORMER_S).former == ()
    store.sweep(month + FORMER_S)
    assert store._db.execute("SELECT count(*) FROM former").fetchone() == (0,)
    assert store._db.execute("SELECT count(*) FROM former_records").fetchone() == (0,)


def test_the_older_generation_goes_with_the_last_piece_of_the_newer(store):
    change(store, 1)
    assert store.release(release(FRESH, 1, generation=2), NOW) is Kept.KEPT
    assert store.get("bob", NOW).is_empty
    assert store._db.execute("SELECT count(*) FROM former").fetchone() == (0,)


def test_a_reader_gets_all_pieces_of_both_generations_page_by_page(store):
    change(store, 1, 2, 5)
    holder = Holder(store, me=RingId(9), keys=KEYS, clock=lambda: NOW)
    peer = Peer(id=SENDER, host="10.0.0.1", port=5000)
    got, first, more = [], 0, True
    while more:
        page, _, more = holder.on_fetch(peer, "bob", first)
        got += [KeyPiece.decode(piece) for piece in page]
        first = got[-1].index + 1
    assert sorted(got, key=lambda piece: (piece.generation, piece.index)) == [*pieces(), newer(1), newer(2), newer(5)]


# ---- revoked keys


def test_a_tombstone_of_the_owner_or_of_the_overlay_key_ends_the_record_and_is_shown(store):
    for signer in (BOB, OVERLAY):
        assert bury(store, tombstone(signer)).held
        holding = store.get("bob", NOW)
        assert (holding.record, holding.tombstone) == (None, tombstone(BOB))
        assert holding.pieces == pieces()


@pytest.mark.parametrize(
    ("stone", "outcome"),
    [
        (tombstone(ALICE), Kept.FORGED),
        (tombstone(overlay="other"), Kept.FORGED),
        (tombstone(OVERLAY, generation=2), Kept.NO_PIECE),
        (tombstone(OVERLAY, bundle=ALICE.public), Kept.NO_PIECE),
        (tombstone(OVERLAY, aor="carol"), Kept.NO_PIECE),
    ],
)
def test_a_tombstone_of_anybody_else_or_anything_else_is_not_kept(store, stone, outcome):
    assert bury(store, stone) is outcome
    assert store.get("bob", NOW).record == record()


def test_who_has_a_revoked_key_can_neither_publish_nor_renew(store):
    bury(store, tombstone())
    assert store.put_record(record(sequence=99).encode(), NOW) is Kept.REVOKED
    later = pieces(issued_at=NOW + 7 * DAY)[0]
    assert put(store, later, listed=share_list(issued_at=NOW + 7 * DAY), now=NOW + 7 * DAY) is Kept.REVOKED
    assert put(store, pieces()[0], listed=share_list()) is Kept.SAME


def test_a_tombstone_outlives_the_pieces_that_were_released_and_bars_their_return(store):
    bury(store, tombstone())
    store._shelves.drop_user("bob")
    assert put(store, pieces()[0], listed=share_list()) is Kept.REVOKED
    store.sweep(NOW + 29 * DAY)
    assert store._db.execute("SELECT count(*) FROM tombstones").fetchone() == (1,)
    store.sweep(NOW + 30 * DAY)
    assert store._db.execute("SELECT count(*) FROM tombstones").fetchone() == (0,)


def test_a_newer_generation_comes_in_over_a_revoked_key_and_shows_nothing_of_it(store):
    bury(store, tombstone())
    change(store, 1)
    holding = store.get("bob", NOW)
    assert (holding.pieces, holding.former, holding.tombstone) == ((newer(1),), (), None)
    assert holding.record == newer_record()


def test_a_tombstone_travels_in_the_record_s_place(store):
    holder = Holder(store, me=RingId(9), keys=KEYS, clock=lambda: NOW)
    peer = Peer(id=SENDER, host="10.0.0.1", port=5000)
    assert holder.on_store(peer, None, tombstone().encode(), None) == [True, "kept"]
    _, beside, _ = holder.on_fetch(peer, "bob", 0)
    assert Tombstone.decode(beside) == tombstone()
