"""What a thief of the dealing key, another user and a greedy node cannot do to an honest holder."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.ring.ids import RingId
from overlay.ring.storage import Kept, RecordStore
from overlay.trust.shamir import PRIME, SHARE_BYTES
from overlay.trust.signed import UNSIGNED
from tests.unit.ring.store_users import ALICE, BOB, DAY, DEALER, KEYS, NOW, pieces, put, record, share_list

THIEF = RingId(666)


def forged(piece, **changes):
    """Sign a changed piece as whoever has the dealing key can."""
    from dataclasses import replace

    blank = replace(piece, signature=UNSIGNED, **changes)
    return replace(blank, signature=DEALER.sign(type(piece).domain(), blank.signed_bytes()))


@pytest.fixture
def store():
    store = RecordStore()
    for piece in pieces()[:3]:
        put(store, piece, record())
    yield store
    store.close()


def test_thief_of_the_dealing_key_replaces_no_share(store):
    before = store.get("bob", NOW)
    for number in range(20):
        share = (int.from_bytes(hashlib.sha512(bytes([number])).digest()) % PRIME).to_bytes(SHARE_BYTES, "big")
        for days in (1, 29, 31):
            fake = forged(pieces()[0], share=share, expires_at=int(NOW) + days * DAY)
            assert put(store, fake, sender=THIEF) is Kept.CONFLICT
    assert store.get("bob", NOW) == before


def test_thief_replaces_nothing_with_a_whole_other_dealing(store):
    before = store.get("bob", NOW)
    for other in (
        pieces(ALICE),
        pieces(seed=b"t" * 32),
        pieces(k=2, n=4),
        pieces(ALICE, generation=2),
        pieces(generation=4_000_000_000),
    ):
        for piece in other:
            put(store, piece, record(ALICE, sequence=99), sender=THIEF, listed=share_list())
    after = store.get("bob", NOW)
    assert after.record == before.record
    assert after.pieces[:3] == before.pieces


def test_contradiction_is_kept_as_evidence_and_bounded(store):
    for number in range(10):
        put(store, forged(pieces()[0], share=bytes([0] * 65 + [number])), sender=THIEF)
    found = store.evidence()
    assert len(found) == 4
    assert all(proof.held == pieces()[0] and proof.sender == THIEF for proof in found)
    assert all(proof.offered.share != proof.held.share for proof in found)


def test_same_contradiction_is_noted_once(store):
    fake = forged(pieces()[0], share=bytes(66))
    for _ in range(3):
        put(store, fake, sender=THIEF)
    assert len(store.evidence()) == 1
    assert store.counters[Kept.CONFLICT.value] == 3


def test_evidence_of_all_users_is_bounded():
    store = RecordStore(max_evidence=2)
    for aor in ("a", "b", "c"):
        put(store, pieces(aor=aor)[0])
        put(store, pieces(aor=aor, seed=b"t" * 32)[0])
    assert len(store.evidence()) == 2
    store.close()


def test_unsigned_contradiction_proves_nothing(store):
    from dataclasses import replace

    fake = replace(pieces()[0], share=bytes(66))
    assert put(store, fake) is Kept.FORGED
    assert store.evidence() == []


def test_nobody_but_the_dealer_extends_an_expiry(store):
    from dataclasses import replace

    longer = replace(pieces()[0], expires_at=pieces()[0].expires_at + 60)
    assert put(store, longer) is Kept.FORGED
    assert store.get("bob", NOW + 30 * DAY).is_empty
    for _ in range(5):
        assert put(store, pieces()[0], now=NOW + 29 * DAY) is Kept.SAME
    assert store.get("bob", NOW + 30 * DAY).is_empty


def test_not_even_the_dealer_extends_it_beyond_the_cap(store):
    for_ever = forged(pieces()[0], expires_at=int(NOW) + 3650 * DAY)
    assert put(store, for_ever) is Kept.FORGED


def test_another_users_record_does_not_come_in_under_the_name(store):
    assert put(store, pieces()[0], record(ALICE, sequence=50)) is Kept.NO_PIECE
    assert store.get("bob", NOW).record == record()


def test_record_of_a_user_cannot_be_rewritten_for_another_name(store):
    put(store, pieces(ALICE, aor="alice")[0], record(ALICE, aor="alice"))
    assert store.put_record(record(BOB, aor="alice", sequence=9).encode(), NOW) is Kept.NO_PIECE
    assert store.get("alice", NOW).record == record(ALICE, aor="alice")


@given(st.binary(max_size=1100))
def test_any_bytes_are_refused_without_an_exception(data):
    store = RecordStore()
    assert not store.put_piece(data, data, keys=KEYS, share_list=data, sender=THIEF, now=NOW).held
    assert not store.put_record(data, NOW).held
    store.close()
