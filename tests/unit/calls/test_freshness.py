"""Cookies, timestamps and the replay cache."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.calls.freshness import (
    COOKIE_BYTES,
    COOKIE_S,
    FRESHNESS_S,
    REPLAY_S,
    SECRET_BYTES,
    Cookies,
    ReplayCache,
    Seen,
    is_timely,
)
from overlay.errors import LocalError

NOW = 1_700_000_000.0
COOKIES = Cookies(b"s" * SECRET_BYTES)


def timely(issued_at, *, lifetime=30, started_at=NOW - 1000):
    return is_timely(issued_at=issued_at, expires_at=issued_at + lifetime, started_at=started_at, now=NOW)


def test_the_memory_outlives_every_proof_of_freshness():
    assert REPLAY_S > 2 * FRESHNESS_S
    assert REPLAY_S > COOKIE_S


def test_a_timestamp_counts_within_thirty_seconds_either_way():
    assert timely(int(NOW))
    assert timely(int(NOW) - 30, lifetime=60)
    assert timely(int(NOW) + 30)
    assert not timely(int(NOW) - 31, lifetime=60)
    assert not timely(int(NOW) + 31)


def test_a_timestamp_does_not_count_after_its_expiry():
    assert not timely(int(NOW) - 20, lifetime=20)
    assert not timely(int(NOW), lifetime=0)


def test_a_timestamp_from_before_this_process_does_not_count():
    assert not timely(int(NOW) - 5, started_at=NOW - 4)
    assert not timely(int(NOW), started_at=NOW + 0.5 - 0.25)  # the very second in which it began
    assert timely(int(NOW), started_at=NOW - 1)


def test_a_cookie_is_good_for_its_source_its_invite_and_a_minute():
    cookie = COOKIES.make(source=b"node", invite_id=b"id", now=NOW)
    assert len(cookie) == COOKIE_BYTES
    assert COOKIES.check(cookie, source=b"node", invite_id=b"id", now=NOW)
    assert COOKIES.check(cookie, source=b"node", invite_id=b"id", now=NOW + COOKIE_S)
    assert not COOKIES.check(cookie, source=b"node", invite_id=b"id", now=NOW + COOKIE_S + 1)
    assert not COOKIES.check(cookie, source=b"node", invite_id=b"id", now=NOW - 1)
    assert not COOKIES.check(cookie, source=b"other", invite_id=b"id", now=NOW)
    assert not COOKIES.check(cookie, source=b"node", invite_id=b"other", now=NOW)
    assert not Cookies(b"t" * SECRET_BYTES).check(cookie, source=b"node", invite_id=b"id", now=NOW)


def test_a_byte_moved_from_the_source_to_the_id_makes_another_cookie():
    cookie = COOKIES.make(source=b"node", invite_id=b"id", now=NOW)
    assert not COOKIES.check(cookie, source=b"nod", invite_id=b"eid", now=NOW)


@given(st.binary(max_size=40))
def test_no_bytes_of_a_stranger_are_a_cookie(data):
    assert not COOKIES.check(data, source=b"node", invite_id=b"id", now=NOW)


def test_a_secret_has_its_length():
    with pytest.raises(LocalError):
        Cookies(b"short")


def test_an_id_is_remembered_for_ninety_seconds():
    cache = ReplayCache()
    assert cache.add(b"a", NOW) is Seen.NEW
    assert cache.add(b"a", NOW + REPLAY_S - 1) is Seen.REPLAYED
    assert cache.add(b"a", NOW + REPLAY_S) is Seen.NEW


def test_a_full_cache_refuses_rather_than_forgets():
    cache = ReplayCache(capacity=2)
    assert [cache.add(name, NOW) for name in (b"a", b"b", b"c")] == [Seen.NEW, Seen.NEW, Seen.FULL]
    assert cache.add(b"a", NOW + 1) is Seen.REPLAYED
    assert len(cache) == 2
    assert cache.add(b"c", NOW + REPLAY_S) is Seen.NEW
    assert len(cache) == 1


def test_a_cache_without_room_is_nobodys_wish():
    with pytest.raises(LocalError):
        ReplayCache(capacity=0)
