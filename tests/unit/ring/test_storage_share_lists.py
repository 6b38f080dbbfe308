"""Share lists in the store: without the overlay key's word nothing is kept, whoever signed the piece."""

from dataclasses import replace

import pytest

from overlay.ring.listed import weigh
from overlay.ring.storage import Kept, RecordStore
from overlay.trust.identity import KeyBundle, PrivateBundle
from overlay.trust.signed import UNSIGNED
from tests.unit.ring.store_users import (
    ALICE,
    BOB,
    DAY,
    DEALER,
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

EVE = PrivateBundle.generate()


@pytest.fixture
def store():
    store = RecordStore()
    yield store
    store.close()


def offer(store, piece, share_list=None, *, now=NOW):
    """Offer a piece with these very bytes as its share list, or none."""
    return store.put_piece(piece.encode(), None, share_list=share_list, keys=KEYS, sender=SENDER, now=now)


def lists_kept(store):
    return store._db.execute("SELECT COUNT(*) FROM share_lists").fetchone()[0]


def test_without_a_list_nothing_is_kept(store):
    assert offer(store, pieces()[0]) is Kept.UNLISTED
    assert store.held(NOW) == []
    assert store.counters == {Kept.UNLISTED.value: 1}


def test_one_list_serves_every_piece_of_the_user_that_comes_after(store):
    assert offer(store, pieces()[0], share_list().encode()) is Kept.KEPT
    assert offer(store, pieces()[3]) is Kept.KEPT
    assert store.share_list("bob", NOW) == share_list()
    assert lists_kept(store) == 1
    assert offer(store, pieces(ALICE, aor="alice")[0]) is Kept.UNLISTED


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (share_list(signer=EVE), Kept.UNLISTED),
        (share_list(EVE, signer=EVE), Kept.UNLISTED),
        (share_list(overlay="other"), Kept.UNLISTED),
        (share_list(aor="alice"), Kept.UNLISTED),
        (share_list(generation=2), Kept.UNLISTED),
        (share_list(days=1, issued_at=NOW - 2 * DAY), Kept.EXPIRED),
        (replace(share_list(), signature=UNSIGNED), Kept.UNLISTED),
        (replace(share_list(), digests=share_list().digests[::-1]), Kept.UNLISTED),
        (share_list(days=29), Kept.UNLISTED),
    ],
)
def test_a_list_that_does_not_count_lets_nothing_in(store, given, why):
    assert offer(store, pieces()[0], given.encode()) is why
    assert store.held(NOW) == []
    assert lists_kept(store) == 0


@pytest.mark.parametrize("changed", range(0, 217, 7))
def test_a_changed_byte_lets_nothing_in(store, changed):
    sound = share_list().encode()
    given = sound[:changed] + bytes([sound[changed] ^ 1]) + sound[changed + 1 :]
    assert offer(store, pieces()[0], given) in {Kept.MALFORMED, Kept.UNLISTED}
    assert lists_kept(store) == 0


def in_bobs_name(piece):
    blank = replace(piece, thumbprint=BOB.public.thumbprint(), signature=UNSIGNED)
    return replace(blank, signature=DEALER.sign(type(piece).domain(), blank.signed_bytes()))


@pytest.mark.parametrize("false", [pieces(EVE)[1], in_bobs_name(pieces(EVE)[1]), pieces(seed=b"t" * 32)[1]])
@pytest.mark.parametrize("holds_one", [False, True])
def test_thief_of_the_dealing_key_lets_in_no_false_share(store, holds_one, false):
    if holds_one:
        put(store, pieces()[0])
    assert offer(store, false) in {Kept.UNLISTED, Kept.CONFLICT}
    assert offer(store, false, share_list().encode()) is Kept.CONFLICT
    assert [index for _, index in store.held(NOW)] == ([1] if holds_one else [])
    (proof,) = store.evidence()
    assert proof.offered == false
    assert offer(store, pieces()[1], share_list().encode()) is Kept.KEPT


def test_thief_can_renew_a_true_share_and_no_longer_than_its_list(store):
    put(store, pieces()[0], listed=share_list())
    for days, outcome in ((30, Kept.KEPT), (31, Kept.UNLISTED)):
        blank = replace(pieces()[1], expires_at=int(NOW) + days * DAY, signature=UNSIGNED)
        longer = replace(blank, signature=DEALER.sign(type(blank).domain(), blank.signed_bytes()))
        assert offer(store, longer) is outcome
        assert offer(store, longer) in {outcome, Kept.SAME}


def test_a_later_list_of_the_same_dealing_replaces(store):
    put(store, pieces()[0], listed=share_list())
    then = NOW + 7 * DAY
    later, listed = pieces(issued_at=then)[0], share_list(issued_at=then)
    assert offer(store, later, now=then) is Kept.UNLISTED
    assert offer(store, later, listed.encode(), now=then) is Kept.KEPT
    assert store.share_list("bob", then) == listed
    # the earlier one, which is as true, does not come back
    assert offer(store, pieces()[1], share_list().encode(), now=then) is Kept.KEPT
    assert store.share_list("bob", then) == listed
    assert lists_kept(store) == 1


def test_another_list_of_the_same_generation_is_refused_and_kept_as_evidence(store):
    put(store, pieces()[0], listed=share_list())
    for _ in range(2):
        assert offer(store, pieces(EVE)[1], share_list(EVE).encode()) is Kept.CONFLICT
        assert offer(store, pieces()[0], share_list(EVE).encode()) is Kept.CONFLICT
    assert store.share_list("bob", NOW) == share_list()
    (proof,) = store.evidence()
    assert (proof.held, proof.offered, proof.sender) == (share_list(), share_list(EVE), SENDER)


def test_another_generation_brings_its_list_when_the_first_has_expired(store):
    put(store, pieces(days=1)[0], listed=share_list(days=1))
    then = NOW + 2 * DAY
    second = share_list(generation=2)
    assert offer(store, pieces(generation=2)[4], second.encode(), now=then) is Kept.KEPT
    assert store.share_list("bob", then) == second


def test_a_list_goes_with_the_last_piece(store):
    put(store, pieces()[0], record())
    put(store, pieces()[1])
    store.release(release(BOB, 1), NOW)
    assert lists_kept(store) == 1
    store.release(release(BOB, 2, sequence=2), NOW)
    assert lists_kept(store) == 0
    put(store, pieces()[2])
    store.sweep(NOW + 31 * DAY)
    assert lists_kept(store) == 0


def test_a_list_comes_back_from_the_file_and_a_spoilt_one_is_dropped(tmp_path):
    store = RecordStore(tmp_path / "ring.sqlite")
    put(store, pieces()[0], listed=share_list())
    store.close()
    store = RecordStore(tmp_path / "ring.sqlite")
    assert store.share_list("bob", NOW) == share_list()
    assert offer(store, pieces()[1]) is Kept.KEPT
    store._db.execute("UPDATE share_lists SET body = ?", (share_list(aor="alice").encode(),))
    assert store.share_list("bob", NOW) is None
    assert offer(store, pieces()[2]) is Kept.UNLISTED
    assert offer(store, pieces()[2], share_list().encode()) is Kept.KEPT
    assert store.share_list("bob", NOW) == share_list()
    store.close()


def test_a_list_that_is_held_is_not_verified_again(monkeypatch):
    held = share_list()
    monkeypatch.setattr("overlay.trust.share_list.verify", lambda *_: pytest.fail("verified again"))
    listed = weigh(held.encode(), held, aor="bob", generation=1, keys=KEYS, now=NOW)
    assert (listed.counts, listed.is_new, listed.flaw) == (held, False, None)


def test_a_list_proves_nothing_under_another_overlay_key(store):
    keys = replace(KEYS, overlay_public=KeyBundle.decode(EVE.public.encode()).ed25519)
    outcome = store.put_piece(
        pieces()[0].encode(), None, share_list=share_list(signer=OVERLAY).encode(), keys=keys, sender=SENDER, now=NOW
    )
    assert outcome is Kept.UNLISTED
