"""Room for connections: other hosts may fill theirs and never the phones' own."""

from __future__ import annotations

from adapter.sip.admission import (
    MAX_CONNECTIONS,
    MAX_FOREIGN_CONNECTIONS,
    MAX_PER_FOREIGN_SOURCE,
    MAX_PER_SOURCE,
    Admission,
)


def make() -> Admission:
    return Admission(is_own=lambda host: host.startswith(("127.", "192.0.2.")) or host == "::1")


def fill(admission: Admission, host: str) -> int:
    count = 0
    while admission.enter(host):
        count += 1
    return count


def test_one_source_has_its_share():
    admission = make()
    assert fill(admission, "127.0.0.1") == MAX_PER_SOURCE
    assert fill(admission, "198.51.100.1") == MAX_PER_FOREIGN_SOURCE


def test_other_hosts_together_leave_room_for_the_phones_of_this_one():
    admission = make()
    assert sum(fill(admission, f"198.51.100.{number}") for number in range(1, 50)) == MAX_FOREIGN_CONNECTIONS
    assert fill(admission, "127.0.0.1") == MAX_PER_SOURCE


def test_there_is_an_end_for_all():
    admission = make()
    for number in range(1, 9):
        fill(admission, f"192.0.2.{number}")
    assert len(admission) == MAX_CONNECTIONS


def test_the_addresses_of_one_ipv6_site_are_one_source():
    admission = make()
    assert sum(admission.enter(f"2001:db8::{number:x}") for number in range(1, 99)) == MAX_PER_FOREIGN_SOURCE
    assert admission.enter("2001:db8:0:1::1")


def test_who_leaves_makes_room():
    admission = make()
    fill(admission, "198.51.100.1")
    admission.leave("198.51.100.1")
    assert admission.enter("198.51.100.1")
    for _ in range(MAX_PER_FOREIGN_SOURCE):
        admission.leave("198.51.100.1")
    assert len(admission) == 0
    assert admission._foreign == set()
