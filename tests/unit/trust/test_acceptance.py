"""The acceptance rule against nodes that lie together, hold the dealing key and claim whatever they like."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overlay.errors import LocalError
from overlay.trust.acceptance import Accepted, Claim, Liar, accept, search_bound
from overlay.trust.polynomial import PRIME, Polynomial, evaluate, interpolate
from overlay.trust.shamir import encode_share, split

OPTIONS = [(3, 7), (4, 10), (5, 13)]
TIGHT = [(2, 4), (3, 7), (4, 10), (5, 13)]
SECRET = bytes(range(64))
CHOSEN = b"\xee" * 64


def _honest(index: int) -> bytes:
    return bytes([0, index]) * 10


def _liar(number: int) -> bytes:
    return bytes([255, number]) * 10


def _true_polynomial(k: int, n: int) -> Polynomial:
    shares = split(SECRET, k=k, n=n, draw=random.Random(k * n).randrange)
    return interpolate({index: int.from_bytes(shares[index - 1], "big") for index in range(1, k + 1)})


def _claim(node: bytes, index: int, value: int) -> Claim:
    return Claim(node=node, index=index, share=encode_share(value))


def _honest_claims(true: Polynomial, indices: range | list[int]) -> list[Claim]:
    return [_claim(_honest(index), index, evaluate(true, index)) for index in indices]


def _false_polynomial(true: Polynomial, secret: bytes, meets: list[int]) -> Polynomial:
    """Return the polynomial that hides another secret and meets the true one in k-1 places."""
    return interpolate({0: int.from_bytes(secret, "big"), **{index: evaluate(true, index) for index in meets}})


@pytest.mark.parametrize(("k", "n"), OPTIONS)
@given(data=st.data())
@settings(deadline=None)
def test_fewer_than_k_colluding_nodes_forge_nothing_and_block_nothing(k, n, data):
    true = _true_polynomial(k, n)
    meets = data.draw(st.permutations(range(1, n + 1)))[: k - 1]
    false = _false_polynomial(true, data.draw(st.binary(min_size=64, max_size=64)), meets)
    claims = _honest_claims(true, range(1, n + 1))
    values = {
        "false": lambda index: evaluate(false, index),
        "true": lambda index: evaluate(true, index),
        "noise": lambda index: data.draw(st.integers(0, PRIME - 1)),
    }
    for number in range(k - 1):
        for index in data.draw(st.lists(st.integers(1, n), max_size=2 * n)):
            kind = data.draw(st.sampled_from(["false", "false", "true", "noise"]))
            claims.append(_claim(_liar(number), index, values[kind](index)))
    accepted = accept(data.draw(st.permutations(claims)), k=k, n=n)
    assert accepted is not None
    assert accepted.secret == SECRET
    assert accepted.support >= 2 * k - 1
    assert {liar.node for liar in accepted.liars} <= {_liar(number) for number in range(k - 1)}


@pytest.mark.parametrize(("k", "n"), OPTIONS)
@pytest.mark.parametrize("many", [1, 3, 100])
def test_liars_who_contest_every_index_still_lose(k, n, many):
    """Each liar claims `many` indices, all on one false polynomial: Gao is blind where every index is contested."""
    true = _true_polynomial(k, n)
    false = _false_polynomial(true, CHOSEN, list(range(1, k)))
    claims = _honest_claims(true, range(1, n + 1))
    for number in range(k - 1):
        claims += [_claim(_liar(number), index, evaluate(false, index)) for index in range(1, n + 1)[-many:]]
    accepted = accept(claims, k=k, n=n)
    assert accepted is not None
    assert accepted.secret == SECRET
    assert {liar.node for liar in accepted.liars} == {_liar(number) for number in range(k - 1)}


@pytest.mark.parametrize(("k", "n"), TIGHT)
def test_holders_who_lie_instead_of_keeping_their_piece_lose_too(k, n):
    true = _true_polynomial(k, n)
    false = _false_polynomial(true, CHOSEN, list(range(1, k)))
    liars = list(range(n - k + 2, n + 1))
    claims = _honest_claims(true, [index for index in range(1, n + 1) if index not in liars])
    claims += [_claim(_liar(index), index, evaluate(false, index)) for index in liars]
    accepted = accept(claims, k=k, n=n)
    assert accepted is not None
    assert accepted.secret == SECRET
    assert [liar.index for liar in accepted.liars] == liars


@pytest.mark.parametrize(("k", "n"), TIGHT)
def test_exactly_k_liars_among_the_holders_do_forge(k, n):
    """The bound is tight: k holders plus the k-1 places where their polynomial meets the true one make 2k-1."""
    true = _true_polynomial(k, n)
    false = _false_polynomial(true, CHOSEN, list(range(1, k)))
    liars = list(range(n - k + 1, n + 1))
    claims = _honest_claims(true, [index for index in range(1, n + 1) if index not in liars])
    claims += [_claim(_liar(index), index, evaluate(false, index)) for index in liars]
    accepted = accept(claims, k=k, n=n)
    assert accepted is not None
    assert accepted.secret == CHOSEN
    assert accepted.support == 2 * k - 1


@pytest.mark.parametrize(("k", "n"), TIGHT)
def test_exactly_k_liars_among_the_holders_do_block_by_noise(k, n):
    true = _true_polynomial(k, n)
    rng = random.Random(5)
    liars = list(range(n - k + 1, n + 1))
    claims = _honest_claims(true, [index for index in range(1, n + 1) if index not in liars])
    claims += [_claim(_liar(index), index, rng.randrange(PRIME)) for index in liars]
    assert accept(claims, k=k, n=n) is None


def test_one_node_with_every_share_is_one_node():
    true = _true_polynomial(3, 7)
    claims = [_claim(_liar(0), index, evaluate(true, index)) for index in range(1, 8)]
    assert accept(claims, k=3, n=7) is None


def test_copies_of_one_piece_count_once():
    true = _true_polynomial(3, 7)
    claims = [_claim(_liar(number), number % 4 + 1, evaluate(true, number % 4 + 1)) for number in range(12)]
    assert accept(claims, k=3, n=7) is None
    assert accept([*claims, *_honest_claims(true, [5])], k=3, n=7) is not None


@pytest.mark.parametrize("nodes", [5, 6, 7])
def test_a_ring_smaller_than_n_is_enough_from_2k_minus_1_nodes_on(nodes):
    true = _true_polynomial(3, 7)
    claims = [_claim(_liar(index % nodes), index, evaluate(true, index)) for index in range(1, 8)]
    accepted = accept(claims, k=3, n=7)
    assert accepted == Accepted(secret=SECRET, support=nodes, liars=())


def test_a_ring_of_four_nodes_cannot_bear_a_key():
    true = _true_polynomial(3, 7)
    claims = [_claim(_liar(index % 4), index, evaluate(true, index)) for index in range(1, 8)]
    assert accept(claims, k=3, n=7) is None


@pytest.mark.parametrize(("k", "n"), OPTIONS)
def test_small_rings_with_liars_who_contest_everything_find_the_key(k, n):
    """2k-1 honest nodes hold all n pieces between them, and k-1 more nodes claim every index falsely."""
    true = _true_polynomial(k, n)
    false = _false_polynomial(true, CHOSEN, list(range(1, k)))
    nodes = 2 * k - 1
    claims = [_claim(_honest(index % nodes), index, evaluate(true, index)) for index in range(1, n + 1)]
    for number in range(k - 1):
        claims += [_claim(_liar(number), index, evaluate(false, index)) for index in range(1, n + 1)]
    accepted = accept(claims, k=k, n=n)
    assert accepted is not None
    assert accepted.secret == SECRET
    assert accepted.support >= nodes


@pytest.mark.parametrize(("k", "n"), OPTIONS)
def test_second_copies_do_not_lead_the_search_astray(k, n):
    true = _true_polynomial(k, n)
    rng = random.Random(k)
    claims = _honest_claims(true, range(1, n + 1))
    claims += [_claim(bytes([7, index]) * 10, index, evaluate(true, index)) for index in range(1, n + 1)]
    for number in range(k - 1):
        claims += [_claim(_liar(number), index, rng.randrange(PRIME)) for index in range(1, n + 1)]
    accepted = accept(claims, k=k, n=n)
    assert accepted is not None
    assert accepted.secret == SECRET


def test_the_first_wave_of_2k_minus_1_honest_holders_is_enough():
    true = _true_polynomial(3, 7)
    assert accept(_honest_claims(true, [7, 2, 5, 1, 3]), k=3, n=7) == Accepted(secret=SECRET, support=5, liars=())
    assert accept(_honest_claims(true, [7, 2, 5, 1]), k=3, n=7) is None


def test_a_node_that_gives_two_shares_for_one_piece_is_not_heard_at_all():
    true = _true_polynomial(3, 7)
    claims = _honest_claims(true, [1, 2, 3, 4])
    two_faced = [_claim(_liar(1), 5, evaluate(true, 5)), _claim(_liar(1), 6, 1), _claim(_liar(1), 6, 2)]
    assert accept(claims + two_faced, k=3, n=7) is None
    accepted = accept(_honest_claims(true, range(1, 8)) + two_faced, k=3, n=7)
    assert accepted is not None
    assert accepted.liars == (Liar(node=_liar(1), index=6, why="two shares for one piece"),)


def test_an_index_beyond_n_is_a_lie():
    true = _true_polynomial(3, 7)
    accepted = accept([*_honest_claims(true, range(1, 8)), _claim(_liar(1), 8, evaluate(true, 8))], k=3, n=7)
    assert accepted is not None
    assert accepted.support == 7
    assert accepted.liars == (Liar(node=_liar(1), index=8, why="index beyond 7"),)


def test_the_same_claim_twice_is_one_claim():
    true = _true_polynomial(3, 7)
    claims = _honest_claims(true, [1, 2, 3, 4]) * 3
    assert accept(claims, k=3, n=7) is None


def test_of_two_keys_the_better_borne_wins_and_a_tie_proves_nothing():
    """Both cases need k liars or more, so they are past the promise; what happens is still decided."""
    true = _true_polynomial(3, 7)
    false = _false_polynomial(true, CHOSEN, [6, 7])
    five = [_claim(_liar(index), index, evaluate(false, index)) for index in range(1, 6)]
    better = accept(_honest_claims(true, range(1, 7)) + five[:4], k=3, n=7)
    assert better is not None
    assert better.secret == SECRET
    assert accept(_honest_claims(true, range(1, 6)) + five, k=3, n=7) is None


def test_the_answer_does_not_hang_on_the_order_of_claims():
    true = _true_polynomial(4, 10)
    false = _false_polynomial(true, CHOSEN, [1, 2, 3])
    claims = _honest_claims(true, range(1, 11))
    claims += [_claim(_liar(number), index, evaluate(false, index)) for number in range(3) for index in range(4, 11)]
    answers = set()
    for seed in range(20):
        random.Random(seed).shuffle(claims)
        answers.add(accept(claims, k=4, n=10))
    assert len(answers) == 1


@pytest.mark.parametrize(("k", "n"), [*OPTIONS, (8, 22)])
def test_a_flood_of_noise_ends_the_search_at_its_bound(k, n):
    rng = random.Random(1)
    claims = [_claim(_liar(node), index, rng.randrange(PRIME)) for node in range(2 * n) for index in range(1, n + 1)]
    assert accept(claims, k=k, n=n) is None
    assert search_bound(k) <= 25_000


def test_nothing_claimed_proves_nothing():
    assert accept([], k=3, n=7) is None


def test_a_polynomial_that_hides_no_secret_is_not_taken():
    claims = [_claim(_honest(index), index, 2**512) for index in range(1, 8)]
    assert accept(claims, k=3, n=7) is None


def test_a_bad_threshold_or_claim_is_our_own_mistake():
    with pytest.raises(LocalError):
        accept([], k=3, n=5)
    for wrong in ({"node": b"short"}, {"index": 0}, {"share": b""}, {"share": b"\xff" * 66}):
        with pytest.raises(LocalError):
            Claim(**({"node": _liar(1), "index": 1, "share": bytes(66)} | wrong))
