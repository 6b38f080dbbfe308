"""What the doctor says of what it found, each with its cure."""

from __future__ import annotations

import pytest

from adapter import checkup

STATUS = {
    "pid": 7,
    "sip": "192.0.2.1:5070",
    "ring": "192.0.2.1:4000",
    "nodes": 8,
    "users": [{"user": "alice", "registered": True, "phones": ["192.0.2.1:5060"], "placed": "7 of 7"}],
    "warnings": [],
}


def test_all_is_well():
    found = [
        checkup.adapter(STATUS, "/state"),
        checkup.address("192.0.2.1", 5070),
        checkup.port(("192.0.2.1", 5070), {}),
        checkup.clock(1.0, is_synchronised=False),
        checkup.clock(None, is_synchronised=True),
        checkup.ring(STATUS, pieces=7),
        *checkup.phones(STATUS),
        checkup.enrolled(["alice"]),
    ]
    assert {one.level for one in found} == {"good"}
    assert not any(one.hint for one in found)


@pytest.mark.parametrize(
    ("finding", "level", "text", "hint"),
    [
        (checkup.adapter(None, "/state"), "doubtful", "/state", "secp2psip adapter"),
        (checkup.address("127.0.0.1", 5070), "doubtful", "only this machine", "--sip"),
        (checkup.address("::1", 5070), "doubtful", "[::1]:5070", "--sip"),
        (checkup.address("192.0.2.1", 5070, warning="no default route"), "doubtful", "no default route", "--sip"),
        (checkup.port(("192.0.2.1", 5070), {"UDP": "in use"}), "bad", "UDP: in use", "5070"),
        (checkup.port(("192.0.2.1", 5070), {"TCP": "in use"}), "doubtful", "TCP: in use", "5070"),
        (checkup.clock(900.0, is_synchronised=True), "bad", "900 s ahead of", "timedatectl"),
        (checkup.clock(-900.0, is_synchronised=True), "bad", "900 s behind", "timedatectl"),
        (checkup.clock(None, is_synchronised=False), "doubtful", "nothing keeps", "timedatectl"),
        (checkup.ring(STATUS | {"ring": ""}, pieces=7), "doubtful", "not on the ring", "registers"),
        (checkup.ring(STATUS | {"nodes": 1}, pieces=7), "bad", "no other", "firewall"),
        (checkup.ring(STATUS | {"nodes": 3}, pieces=7), "doubtful", "3 nodes for 7 pieces", "more adapters"),
    ],
)
def test_what_is_wrong_is_named_with_its_cure(finding, level, text, hint):
    assert finding.level == level
    assert text in finding.text
    assert hint in finding.hint


def test_each_user_is_looked_at_and_a_phone_that_nobody_can_call():
    warning = "carol's phone at 192.0.2.1:40000 cannot be called: it is. Set its transport to UDP"
    users = [{"user": "bob", "registered": True, "phones": []}, {"user": "carol", "registered": False, "phones": []}]
    bob, carol, phone = checkup.phones(STATUS | {"users": users, "warnings": [warning]})
    assert (bob.check, bob.level) == ("bob", "doubtful")
    assert "192.0.2.1:5070" in bob.hint
    assert (carol.check, carol.level) == ("carol", "bad")
    assert (phone.level, phone.hint) == ("bad", "Set its transport to UDP")


def test_an_older_adapter_that_says_less_is_no_error():
    assert checkup.ring({}, pieces=7).level == "doubtful"
    assert checkup.phones({}) == []
