"""Who is remembered as a liar: whoever said what no honest node says, and nobody whom others or chance could blame."""

from dataclasses import replace

import pytest

from adapter.evidence import Evidence
from adapter.pins import Pin
from overlay.ring.holding import Holding
from overlay.ring.ids import id_to_bytes
from overlay.trust.pieces import KeyPiece
from overlay.trust.tombstone import Tombstone
from tests.support.people import BOB, BOOTSTRAP, DAY, DEALER, EVE, NOW, OVERLAY
from tests.unit.calls.test_evidence import TRUE, K, N, dealt, node, record, signed_share

LIAR = 0
HONEST = [(number, [TRUE[number]]) for number in range(1, N)]
EVES = dealt(EVE)
"""Signed pieces of eve's key in bob's name: the dealing key has leaked."""


def heard(*answers, now=NOW):
    evidence = Evidence(
        "bob", dealing_public=DEALER.public, k=K, n=N, overlay=OVERLAY, overlay_public=BOOTSTRAP.public.ed25519
    )
    for number, said in answers:
        holding = said if isinstance(said, Holding) else Holding(pieces=tuple(said))
        evidence.hear(node(number), holding, now)
    return evidence


def caught(evidence, *, by=None):
    key = by or evidence.decide(everyone=True)
    return {liar.node for liar in evidence.caught(key)}


def names(*numbers):
    return {id_to_bytes(node(number).id) for number in numbers}


def tombstone(signer, bundle=BOB.public):
    return Tombstone.issue(signer, overlay=OVERLAY, aor="bob", generation=1, bundle=bundle, issued_at=NOW)


LIES = {
    "a changed share": [replace(TRUE[0], share=TRUE[1].share)],
    "no signature": [replace(TRUE[0], signature=bytes(64))],
    "a changed expiry": [replace(TRUE[0], expires_at=TRUE[0].expires_at + 1)],
    "a share off the polynomial, signed": [signed_share(TRUE[0], 7)],
    "a piece of another key, signed": [EVES[0]],
    "a true piece and a false one": [TRUE[0], signed_share(TRUE[1], 7)],
    "a record that nobody signed": Holding(pieces=(TRUE[0],), record=replace(record(), port=9)),
    "a record of another key": Holding(pieces=(TRUE[0],), record=record(EVE)),
    "a record that was made to live for a day": Holding(pieces=(TRUE[0],), record=record(expires_at=NOW + DAY)),
    "a tombstone that nobody signed": Holding(pieces=(TRUE[0],), tombstone=tombstone(EVE)),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_no_honest_node_says_names_who_said_it(lie):
    assert caught(heard((LIAR, LIES[lie]), *HONEST)) == names(LIAR)


NO_LIES = {
    "nothing at all": [],
    "another's piece, which it holds too": [TRUE[0], TRUE[1]],
    "an expired piece": [dealt(expires_at=NOW)[0]],
    "an expired record": Holding(pieces=(TRUE[0],), record=record(issued_at=NOW - 9000, expires_at=NOW - 8400)),
    "an older record": Holding(pieces=(TRUE[0],), record=record(sequence=1)),
    "a piece of another threshold, as the operator once chose": [dealt(k=2, n=4)[0]],
    "the owner's tombstone": Holding(pieces=(TRUE[0],), tombstone=tombstone(BOB)),
    "the operator's tombstone": Holding(pieces=(TRUE[0],), tombstone=tombstone(BOOTSTRAP)),
}


@pytest.mark.parametrize("said", NO_LIES)
def test_what_an_honest_node_may_say_names_nobody(said):
    assert caught(heard((LIAR, NO_LIES[said]), *HONEST)) == set()


def test_while_a_key_is_changed_neither_generation_is_a_lie():
    new = dealt(EVE, generation=2)
    of_new = record(EVE, generation=2)
    answers = [(number, Holding(pieces=(new[number],), record=of_new)) for number in range(1, 6)]
    before = Holding(pieces=(TRUE[0],), record=record())
    both = Holding(pieces=(TRUE[6], new[6]), record=record())
    # of a third one's answer the page with the pieces was lost
    half = Holding(record=record())
    evidence = heard(*answers, (0, before), (6, both), (7, half))
    key = evidence.decide(everyone=True)
    assert key.generation == 2
    assert caught(evidence) == set()


@pytest.mark.parametrize("days", [-400, -3, 3, 400])
def test_a_clock_that_is_wrong_makes_nobody_a_liar(days):
    everybody = [
        (number, Holding(pieces=(piece,), record=record(), tombstone=tombstone(BOB)))
        for number, piece in enumerate(TRUE)
    ]
    assert caught(heard(*everybody, now=NOW + days * DAY)) == set()


def test_without_a_proved_key_only_signatures_speak():
    """Two of three nodes back a false key with the leaked dealing key: nothing tells who is honest."""
    evidence = heard((1, EVES[:3]), (2, EVES[3:]), (3, TRUE), (4, [replace(TRUE[0], signature=bytes(64))]))
    assert evidence.decide(everyone=True) is None
    assert caught(evidence) == names(4)


def test_where_signatures_alone_decide_no_record_is_held_against_anybody():
    """The few that are left may be the liars, with the dealing key, and the record the true one."""
    evidence = heard((1, EVES[:2]), (2, EVES[2:4]), (3, Holding(record=record())))
    key = evidence.decide(everyone=True)
    assert key.basis == "signatures"
    assert caught(evidence, by=key) == set()


def test_a_key_that_stands_on_a_pin_alone_convicts_nobody_of_another_one():
    """The name was released and went to eve; bob, who had it before, still publishes under his key."""
    held = [Holding(pieces=(piece,), record=record(EVE)) for piece in EVES[:6]]
    evidence = heard(*enumerate(held), (6, Holding(record=record(BOB, sequence=99))))
    pin = Pin(aor="bob", bundle=BOB.public.encode(), generation=1, first_seen=1.0)
    key = evidence.pinned_key(pin, NOW)
    assert key.basis == "pin"
    assert caught(evidence, by=key) == set()


def test_a_bad_piece_of_a_name_whose_key_is_not_proved_is_a_lie_all_the_same():
    blank = replace(TRUE[0], share=TRUE[3].share)
    forged = replace(blank, signature=EVE.sign(KeyPiece.domain(), blank.signed_bytes()))
    evidence = heard((LIAR, [forged]))
    assert evidence.decide(everyone=True) is None
    assert caught(evidence) == names(LIAR)
