"""What may be concluded from holders' answers; the liars here have the dealing key."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.evidence import MAX_PIECES_HEARD, RECORD_INDEX, Evidence
from overlay.ring.holding import Holding
from overlay.ring.ids import Peer, RingId, id_to_bytes
from overlay.trust.pieces import KeyPiece, deal
from overlay.trust.shamir import PRIME, encode_share
from overlay.trust.tombstone import Tombstone
from tests.support.people import BOB, BOOTSTRAP, DAY, DEALER, EVE, NOW, SEED, lookup_record

K, N = 3, 7


def node(number):
    return Peer(id=RingId(1000 + number), host="127.0.0.1", port=7000 + number)


def dealt(keys=BOB, *, generation=1, dealing=DEALER, k=K, n=N, expires_at=NOW + 30 * DAY, aor="bob"):
    return deal(
        keys.public,
        aor=aor,
        generation=generation,
        k=k,
        n=n,
        dealing=dealing,
        seed=SEED,
        issued_at=NOW - 10,
        expires_at=expires_at,
    )


def record(keys=BOB, **changes):
    return lookup_record(keys, aor="bob", **changes)


TRUE = dealt()


def evidence(*answers, k=K, n=N):
    heard = Evidence("bob", dealing_public=DEALER.public, k=k, n=n)
    for number, pieces in answers:
        holding = pieces if pieces is None or isinstance(pieces, Holding) else Holding(pieces=tuple(pieces))
        heard.hear(node(number), holding, NOW)
    return heard


def signed_share(piece, value):
    blank = replace(piece, share=encode_share(value % PRIME))
    return replace(blank, signature=DEALER.sign(KeyPiece.domain(), blank.signed_bytes()))


def test_five_nodes_with_a_piece_each_are_a_key():
    key = evidence(*((number, [TRUE[number]]) for number in range(5))).decide(everyone=False)
    assert key.bundle == BOB.public
    assert (key.basis, key.support, key.liars) == ("polynomial", 5, ())
    assert key.attackers_needed == 3


def test_four_nodes_are_none_until_everyone_was_asked():
    heard = evidence(*((number, [TRUE[number]]) for number in range(4)))
    assert heard.decide(everyone=False) is None
    key = heard.decide(everyone=True)
    assert (key.bundle, key.basis, key.support) == (BOB.public, "signatures", 4)


def test_one_node_with_all_pieces_counts_once():
    heard = evidence((0, TRUE), (1, [TRUE[0]]))
    assert heard.decide(everyone=False) is None
    key = heard.decide(everyone=True)
    assert (key.basis, key.attackers_needed) == ("signatures", 1)


def test_two_pieces_are_no_key():
    assert evidence((0, [TRUE[0]]), (1, [TRUE[1]])).decide(everyone=True) is None


def test_a_rule_that_fails_is_not_overruled_by_signatures():
    lies = dealt(EVE)
    heard = evidence(*((number, [TRUE[number]]) for number in range(4)), *((n, [lies[n]]) for n in range(4, 7)))
    assert heard.decide(everyone=True) is None


def test_signatures_that_contradict_decide_nothing():
    assert evidence((0, TRUE[:4]), (1, [dealt(EVE)[0]])).decide(everyone=True) is None


def test_a_higher_generation_with_too_little_support_is_no_answer():
    lies = dealt(EVE, generation=9)
    heard = evidence(*((number, [TRUE[number]]) for number in range(5)), (5, lies), (6, lies))
    key = heard.decide(everyone=True)
    assert (key.bundle, key.generation) == (BOB.public, 1)


def test_the_highest_generation_that_passes_wins():
    newer = dealt(EVE, generation=2)
    heard = evidence(*((number, [TRUE[number]]) for number in range(5)), *((n + 10, [newer[n]]) for n in range(5)))
    assert heard.decide(everyone=False).generation == 2


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_two_nodes_with_the_dealing_key_change_nothing(data):
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    order = list(range(N))
    rng.shuffle(order)
    answers = [(number, [TRUE[number]]) for number in order]
    eve = dealt(EVE)
    for liar in rng.sample(order, K - 1):
        lies = [
            rng.choice([TRUE[i], eve[i], signed_share(TRUE[i], rng.randrange(PRIME))])
            for i in range(N)
            if rng.random() < 0.8
        ]
        answers[order.index(liar)] = (liar, lies)
    key = evidence(*answers).decide(everyone=True)
    assert key.bundle == BOB.public
    assert key.basis == "polynomial"


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_liars_are_named_and_honest_nodes_never(data):
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    liars = set(rng.sample(range(N), K - 1))
    answers = [
        (number, [signed_share(piece, int.from_bytes(piece.share, "big") + 1) if number in liars else piece])
        for number, piece in enumerate(TRUE)
    ]
    key = evidence(*answers).decide(everyone=True)
    assert {liar.node for liar in key.liars} == {id_to_bytes(node(number).id) for number in liars}


@pytest.mark.parametrize(
    ("piece", "why", "lie"),
    [
        (dealt(expires_at=NOW)[0], "piece expired", False),
        (dealt(aor="robert")[0], "piece of another name", True),
        (dealt(k=3, n=8)[0], "piece of another threshold", False),
        (replace(TRUE[0], signature=bytes(64)), "piece not signed by the dealing key", True),
    ],
    ids=["expired", "another name", "another threshold", "unsigned"],
)
def test_a_piece_that_does_not_count_says_why(piece, why, lie):
    heard = evidence(*((number, [TRUE[number]]) for number in range(1, 6)), (0, [piece]))
    key = heard.decide(everyone=True)
    (verdict,) = [verdict for verdict in key.verdicts if not verdict.ok]
    assert (verdict.why, verdict.lie) == (why, lie)
    assert [liar.why for liar in key.liars] == ([why] if lie else [])


def test_silence_is_kept_apart_from_having_nothing():
    heard = evidence((0, None), (1, []))
    assert heard.answered == {node(0): False, node(1): True}
    assert not heard.heard_pieces


def test_forged_pieces_are_not_pieces():
    assert not evidence((0, [replace(piece, signature=bytes(64)) for piece in TRUE])).heard_pieces


def test_an_answer_without_end_is_cut():
    heard = evidence((0, TRUE * 20))
    assert len(heard.decide(everyone=True).verdicts) == MAX_PIECES_HEARD


def test_the_highest_valid_sequence_wins():
    answers = [(number, Holding(pieces=(TRUE[number],), record=record(sequence=number + 1))) for number in range(5)]
    heard = evidence(*answers)
    best, liars = heard.newest_record(heard.decide(everyone=False), NOW)
    assert (best.sequence, liars) == (5, ())


@pytest.mark.parametrize(
    "bad",
    [
        record(EVE, sequence=99),
        replace(record(sequence=99), host="192.0.2.99"),
        record(sequence=99, generation=2),
        replace(record(sequence=99), aor="robert"),
    ],
    ids=["another key", "altered", "another generation", "another name"],
)
def test_a_record_that_the_key_does_not_verify_names_a_liar(bad):
    answers = [(number, Holding(pieces=(TRUE[number],), record=record(sequence=7))) for number in range(4)]
    heard = evidence(*answers, (4, Holding(pieces=(TRUE[4],), record=bad)))
    best, liars = heard.newest_record(heard.decide(everyone=False), NOW)
    assert best.sequence == 7
    assert [(liar.node, liar.index) for liar in liars] == [(id_to_bytes(node(4).id), RECORD_INDEX)]


def test_an_expired_record_is_no_lie_and_no_answer():
    answers = [(number, Holding(pieces=(TRUE[number],), record=record())) for number in range(5)]
    heard = evidence(*answers)
    assert heard.newest_record(heard.decide(everyone=False), NOW + 3600) == (None, ())


def test_two_signed_shares_of_one_piece_are_evidence():
    heard = evidence((0, [TRUE[2]]), (1, [dealt(EVE)[2]]))
    assert heard.conflicts() == ("two signed shares for piece 3 of generation 1",)


def grave(signer=BOB, **changes):
    given = {"overlay": "lan", "aor": "bob", "generation": 1, "bundle": BOB.public, "issued_at": int(NOW)}
    return Tombstone.issue(signer, **(given | changes))


@pytest.mark.parametrize(
    ("stone", "revoked"),
    [
        (grave(), True),
        (grave(BOOTSTRAP), True),
        (grave(EVE), False),
        (grave(overlay="other"), False),
        (grave(BOOTSTRAP, generation=2), False),
        (grave(EVE, bundle=EVE.public), False),
        (grave(aor="carol"), False),
    ],
)
def test_one_true_tombstone_is_enough_and_a_false_one_is_nothing(stone, revoked):
    heard = Evidence(
        "bob", dealing_public=DEALER.public, k=K, n=N, overlay="lan", overlay_public=BOOTSTRAP.public.ed25519
    )
    for piece in dealt():
        shown = stone if piece.index == 7 else None
        heard.hear(node(piece.index), Holding(pieces=(piece,), tombstone=shown), NOW)
    assert heard.is_revoked(heard.decide(everyone=False)) is revoked


@pytest.mark.parametrize("changed", range(8))
def test_a_reader_in_the_middle_of_a_change_gets_one_key_or_the_other(changed):
    old, new = dealt(), dealt(EVE, generation=2)
    answers = [Holding(pieces=(piece, new[piece.index - 1]) if piece.index <= changed else (piece,)) for piece in old]
    heard = Evidence("bob", dealing_public=DEALER.public, k=K, n=N)
    for number, holding in enumerate(answers, start=1):
        heard.hear(node(number), holding, NOW)
    key = heard.decide(everyone=True)
    assert key.bundle == (EVE if changed >= 2 * K - 1 else BOB).public
    assert key.liars == ()


def test_an_older_generation_does_not_stand_for_a_piece_of_the_newer_one():
    newer = dealt(EVE, generation=2)
    heard = evidence((0, [TRUE[0]]))
    assert heard.has(1)
    heard.hear(node(1), Holding(pieces=(newer[1],)), NOW)
    assert (heard.has(1), heard.has(2)) == (False, True)


def test_a_true_tombstone_counts_however_many_false_ones_came_before_it():
    heard = Evidence(
        "bob", dealing_public=DEALER.public, k=K, n=N, overlay="lan", overlay_public=BOOTSTRAP.public.ed25519
    )
    junk = Holding(tombstone=grave(EVE, bundle=EVE.public))
    for number in range(200):
        heard.hear(node(100 + number), junk, NOW)
    for piece in TRUE:
        heard.hear(node(piece.index), Holding(pieces=(piece,), tombstone=grave()), NOW)
    assert heard.is_revoked(heard.decide(everyone=False))


def wide(*answers, at_home=1):
    """Answers of a wide ring: the first `at_home` nodes are where their pieces belong, as the ring has confirmed."""
    heard = evidence(*answers)
    for index in range(1, N + 1):
        heard.place(index, node(index - 1 if index <= at_home else 900 + index))
    return heard


def test_pieces_from_anywhere_decide_early_where_all_agree():
    heard = wide(*((number, [TRUE[number]]) for number in range(5)))
    assert heard.decide(everyone=False) is None
    assert heard.decide(everyone=False, agreed=True).bundle == BOB.public


def test_who_is_quicker_than_the_holders_and_not_among_them_decides_nothing_early():
    # with the dealing key, and as many nodes as he likes beside the places
    heard = wide(*((number, [piece]) for number, piece in enumerate(dealt(EVE))), at_home=0)
    assert heard.decide(everyone=False, agreed=True) is None
    for number, piece in enumerate(TRUE):
        heard.place(piece.index, node(50 + number))
        heard.hear(node(50 + number), Holding(pieces=(piece,)), NOW)
    assert heard.decide(everyone=False, agreed=True).bundle == BOB.public


@pytest.mark.parametrize("contradiction", [dealt(EVE)[5], signed_share(TRUE[5], 7)])
def test_one_signed_contradiction_puts_it_off_until_everybody_was_asked(contradiction):
    heard = wide(*((number, [TRUE[number]]) for number in range(5)), (6, [contradiction]))
    assert heard.decide(everyone=False, agreed=True) is None
    assert heard.decide(everyone=True).bundle == BOB.public


def test_fewer_than_the_rule_asks_for_never_agree():
    assert wide(*((number, [TRUE[number]]) for number in range(4))).decide(everyone=False, agreed=True) is None


def test_signatures_alone_do_not_bring_back_a_key_that_another_has_followed():
    newer = dealt(EVE, generation=2)
    brought_back = (0, TRUE)
    assert evidence(brought_back).decide(everyone=True).basis == "signatures"
    assert evidence(brought_back, (1, [newer[0]])).decide(everyone=True) is None
    # while the key is changed the holders have both
    both = evidence((0, [*TRUE[:4], newer[0]]), (1, [*TRUE[4:], newer[1]])).decide(everyone=True)
    assert (both.bundle, both.basis) == (BOB.public, "signatures")


@pytest.mark.parametrize("days", [-3, 40], ids=["behind", "ahead"])
def test_a_reader_whose_clock_is_days_off_blames_nobody(days):
    now = NOW + days * DAY
    heard = Evidence("bob", dealing_public=DEALER.public, k=K, n=N)
    for number, piece in enumerate(TRUE):
        heard.hear(node(number), Holding(pieces=(piece,), record=record()), now)
    assert not heard.is_contradictory
    assert heard.decide(everyone=True) is None


def test_a_record_dated_by_a_clock_that_is_days_off_makes_no_liar_of_its_holder():
    ahead = record(issued_at=NOW + 3 * DAY, expires_at=NOW + 3 * DAY + 600, sequence=9)
    heard = evidence(*((number, Holding(pieces=(piece,), record=ahead)) for number, piece in enumerate(TRUE)))
    assert heard.newest_record(heard.decide(everyone=False), NOW) == (None, ())
