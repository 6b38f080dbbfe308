from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlay.errors import LocalError, RemoteError
from overlay.trust.shamir import (
    MAX_PIECES,
    PRIME,
    SHARE_BYTES,
    check_threshold,
    combine,
    decode,
    encode_share,
    share_at,
    split,
)

OPTIONS = [(3, 7), (4, 10), (5, 13)]
secrets = st.binary(min_size=64, max_size=64)


def _points(secret: bytes, k: int, n: int, seed: int = 0) -> dict[int, bytes]:
    shares = split(secret, k=k, n=n, draw=random.Random(seed).randrange)
    return dict(enumerate(shares, start=1))


@pytest.mark.parametrize(("k", "n"), [*OPTIONS, (2, 4), (3, 8), (8, 22)])
def test_pairs_that_keep_the_rule_are_taken(k, n):
    check_threshold(k, n)


@pytest.mark.parametrize(
    ("k", "n", "why"), [(3, 5, "at least 7"), (3, 6, "at least 7"), (1, 7, "single"), (8, 23, "22")]
)
def test_pairs_that_break_the_rule_are_refused_with_the_reason(k, n, why):
    with pytest.raises(LocalError, match=why):
        check_threshold(k, n)


@pytest.mark.parametrize(("k", "n"), OPTIONS)
@given(data=st.data())
def test_any_k_of_n_pieces_rebuild_the_secret(k, n, data):
    secret = data.draw(secrets)
    points = _points(secret, k, n, data.draw(st.integers(0, 2**32)))
    chosen = data.draw(st.permutations(sorted(points)))[:k]
    assert combine({index: points[index] for index in chosen}, k=k) == secret


@pytest.mark.parametrize(("k", "n"), OPTIONS)
@given(data=st.data())
def test_up_to_half_of_the_redundancy_may_lie_and_is_named(k, n, data):
    secret = data.draw(secrets)
    points = _points(secret, k, n, data.draw(st.integers(0, 2**32)))
    here = data.draw(st.lists(st.sampled_from(sorted(points)), min_size=k, unique=True))
    points = {index: points[index] for index in here}
    liars = data.draw(st.sets(st.sampled_from(here), max_size=(len(here) - k) // 2))
    for index in liars:
        lie = data.draw(st.integers(1, PRIME - 1))
        points[index] = encode_share((int.from_bytes(points[index], "big") + lie) % PRIME)
    decoded = decode(points, k=k)
    assert decoded is not None
    assert decoded.secret == secret
    assert decoded.liars == liars


@pytest.mark.parametrize(("k", "n"), OPTIONS)
@given(data=st.data())
def test_one_liar_too_many_is_never_taken_for_the_truth_silently(k, n, data):
    """With more liars than can be corrected, a decode gives nothing or names no more liars than it may."""
    points = _points(data.draw(secrets), k, n)
    for index in data.draw(st.sets(st.sampled_from(sorted(points)), min_size=(n - k) // 2 + 1)):
        points[index] = encode_share(data.draw(st.integers(0, PRIME - 1)))
    decoded = decode(points, k=k)
    assert decoded is None or 2 * len(decoded.liars) <= n - k


@given(secrets, st.integers(1, 7))
def test_a_missing_piece_can_be_rebuilt_by_its_holders_friends(secret, index):
    points = _points(secret, 3, 7)
    others = {i: share for i, share in points.items() if i != index}
    assert share_at(others, k=3, index=index) == points[index]


def test_one_lying_share_among_k_moves_the_plain_rebuild_to_a_chosen_secret():
    """The paper's plain reading, broken: why combine alone is never believed."""
    points = _points(b"\x01" * 64, 3, 7)
    wanted = b"\x02" * 64
    # the liar at index 1 knows the secret (it is public) and two honest shares
    aim = {4: points[4], 6: points[6]}
    difference = int.from_bytes(wanted, "big") - int.from_bytes(b"\x01" * 64, "big")
    weight = 4 * 6 * pow((4 - 1) * (6 - 1), -1, PRIME)
    lie = (int.from_bytes(points[1], "big") + difference * pow(weight, -1, PRIME)) % PRIME
    assert combine({1: encode_share(lie), **aim}, k=3) == wanted
    every = {**points, 1: encode_share(lie)}
    decoded = decode(every, k=3)
    assert decoded is not None
    assert decoded.secret == b"\x01" * 64
    assert decoded.liars == {1}


def test_the_edges_of_the_secret_survive():
    for secret in (bytes(64), b"\xff" * 64):
        points = _points(secret, 3, 7)
        assert combine(points, k=3) == secret
        decoded = decode(points, k=3)
        assert decoded is not None
        assert decoded.secret == secret


def test_a_polynomial_of_lower_degree_still_decodes():
    points = dict(enumerate(split(b"\x05" * 64, k=3, n=7, draw=lambda _bound: 0), start=1))
    points[3] = bytes(SHARE_BYTES)
    decoded = decode(points, k=3)
    assert decoded is not None
    assert decoded.secret == b"\x05" * 64
    assert decoded.liars == {3}


def test_a_result_that_is_no_64_byte_secret_is_refused():
    points = {index: encode_share(2**512) for index in range(1, 8)}
    with pytest.raises(RemoteError, match="64 bytes"):
        combine(points, k=3)
    assert decode(points, k=3) is None


@pytest.mark.parametrize("share", [b"", bytes(65), bytes(67), b"\xff" * 66, PRIME.to_bytes(66, "big"), None])
def test_a_malformed_share_is_refused(share):
    points = {**_points(bytes(64), 3, 7), 2: share}
    for read in (decode, combine):
        with pytest.raises(RemoteError):
            read(points, k=3)


@pytest.mark.parametrize("index", [0, -1, MAX_PIECES + 1, True, "1"])
def test_a_malformed_index_is_refused(index):
    with pytest.raises(RemoteError, match="index"):
        decode({index: bytes(66)}, k=2)


def test_too_few_pieces_are_too_few():
    points = _points(bytes(64), 3, 7)
    two = {1: points[1], 2: points[2]}
    assert decode(two, k=3) is None
    with pytest.raises(RemoteError, match="fewer"):
        combine(two, k=3)


def test_splitting_nonsense_is_our_own_mistake():
    with pytest.raises(LocalError):
        split(bytes(63), k=3, n=7, draw=lambda _bound: 1)
    with pytest.raises(LocalError):
        split(bytes(64), k=3, n=5, draw=lambda _bound: 1)
    with pytest.raises(LocalError):
        split(bytes(64), k=3, n=7, draw=lambda bound: bound)
