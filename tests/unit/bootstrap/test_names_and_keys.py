"""A name's key is changed, revoked or released: what the server makes of each request."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bootstrap.registration import Accepted, Account, Revoked
from overlay.trust.identity import PrivateBundle
from overlay.trust.succession import Succession
from overlay.trust.tombstone import Tombstone
from tests.unit.bootstrap.test_registration_decision import (
    ALICE,
    FREE,
    NODE,
    NOW,
    OWNED,
    record,
    refusal,
    request,
    settle,
)

FRESH = PrivateBundle.generate()
TAKEN = replace(FREE, account=OWNED, node_key_known=True, names=1)


def succession(old=ALICE, *, aor="alice", generation=2, new=FRESH) -> bytes:
    return Succession.issue(old, aor=aor, generation=generation, new=new.public).encode()


def rotation(word: bytes, *, user=FRESH, generation=2):
    return request(user, word=word, record=record(user, generation=generation).encode())


def tombstone(signer=ALICE, *, bundle=ALICE, aor="alice", generation=1, overlay="lan") -> bytes:
    return Tombstone.issue(
        signer, overlay=overlay, aor=aor, generation=generation, bundle=bundle.public, issued_at=int(NOW)
    ).encode()


def test_a_key_that_the_old_one_named_is_the_next_generation():
    decision = settle(rotation(succession()), books=TAKEN)
    assert isinstance(decision, Accepted)
    assert (decision.generation, decision.rotated, decision.first, decision.record_counts) == (2, True, False, True)
    assert decision.bundle == FRESH.public


@pytest.mark.parametrize(
    "word",
    [
        b"",
        succession(PrivateBundle.generate()),
        succession(aor="bob"),
        succession(generation=3),
        succession(new=PrivateBundle.generate()),
    ],
    ids=["nothing", "of another key", "for another name", "of another generation", "for another key"],
)
def test_a_key_that_the_old_one_did_not_name_gets_nothing(word):
    assert refusal(settle(rotation(word), books=TAKEN)) == "taken"


def test_a_succession_with_a_forged_signature_is_bad():
    word = Succession.decode(succession())
    assert refusal(settle(rotation(replace(word, signature=bytes(64)).encode()), books=TAKEN)) == "bad"


def test_a_change_that_was_cut_short_is_taken_up_again():
    done = replace(TAKEN, account=Account(**_fields(OWNED) | {"generation": 2, "bundle": FRESH.public.encode()}))
    decision = settle(rotation(succession()), books=done)
    assert isinstance(decision, Accepted)
    assert (decision.generation, decision.rotated) == (2, False)


def test_the_old_key_gets_nothing_after_the_change():
    done = replace(TAKEN, account=Account(**_fields(OWNED) | {"generation": 2, "bundle": FRESH.public.encode()}))
    assert refusal(settle(request(), books=done)) == "taken"


def test_a_released_name_goes_on_with_the_next_generation_and_a_record_of_an_earlier_one_does_not_count():
    decision = settle(books=replace(FREE, past_generation=4))
    assert isinstance(decision, Accepted)
    assert (decision.generation, decision.first, decision.record_counts) == (5, True, False)


def test_the_owner_revokes_his_key():
    decision = settle(request(word=tombstone()), books=TAKEN)
    assert decision == Revoked(tombstone=Tombstone.decode(tombstone()))


@pytest.mark.parametrize(
    "word",
    [
        tombstone(FRESH),
        tombstone(FRESH, bundle=FRESH),
        tombstone(aor="bob"),
        tombstone(generation=2),
        tombstone(overlay="other"),
    ],
)
def test_a_tombstone_of_anything_else_is_refused(word):
    assert refusal(settle(request(word=word), books=TAKEN)) == "bad"


def test_nobody_revokes_the_key_of_a_name_with_another_key():
    assert refusal(settle(request(FRESH, word=tombstone(FRESH, bundle=FRESH)), books=TAKEN)) == "bad"
    assert refusal(settle(request(FRESH, word=tombstone(FRESH, bundle=FRESH)))) == "bad"


def test_a_revoked_key_neither_renews_nor_names_another_nor_takes_its_name_again():
    dead = replace(TAKEN, account=replace(OWNED, revoked=True), revoked=True)
    assert refusal(settle(books=dead)) == "revoked"
    assert refusal(settle(rotation(succession()), books=replace(dead, revoked=False))) == "revoked"
    assert refusal(settle(books=replace(FREE, past_generation=1, revoked=True))) == "revoked"


@pytest.mark.parametrize("account", [None, "another's"], ids=["released", "another's by now"])
def test_an_owner_who_missed_the_answer_gets_it_though_the_name_is_released(account):
    other = Account(**_fields(OWNED) | {"generation": 2, "bundle": FRESH.public.encode()})
    books = replace(FREE, account=other if account else None, past_generation=1)
    assert refusal(settle(request(word=tombstone()), books=replace(books, revoked=True))) == "revoked"
    assert refusal(settle(request(word=tombstone()), books=books)) == "bad"


def test_garbage_for_a_word_is_bad():
    for word in (b"\xc1", b"\x90", NODE.public):
        assert refusal(settle(request(word=word), books=TAKEN)) == "bad"


def _fields(account: Account) -> dict[str, object]:
    return {name: getattr(account, name) for name in ("aor", "generation", "bundle", "node_public")}
