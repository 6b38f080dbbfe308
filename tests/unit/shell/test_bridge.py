"""What the adapter takes for its own address, and what it passes on of a callee's words."""

from __future__ import annotations

import pytest

from adapter.bridge import MAX_STRANGERS, Bridge, _warning


def bridge(host: str, *, tls_port: int = 5071) -> Bridge:
    return Bridge(
        None,  # type: ignore[arg-type] -- addresses need neither ring nor exchange
        None,  # type: ignore[arg-type]
        steps=None,  # type: ignore[arg-type]
        users=["alice"],
        address=lambda: (host, 5070),
        tls_port=lambda: tls_port,
    )


@pytest.mark.parametrize(
    ("own", "host", "port", "yes"),
    [
        ("192.0.2.1", "192.0.2.1", None, True),
        ("192.0.2.1", "192.0.2.1", 5070, True),
        ("192.0.2.1", "192.0.2.1", 5071, True),
        ("192.0.2.1", "192.0.2.1", 5072, False),
        ("192.0.2.1", "localhost", None, True),
        ("192.0.2.1", "192.0.2.2", None, False),
        ("192.0.2.1", "example.org", None, False),
        ("::1", "[::1]", 5070, True),
        ("2001:db8::1", "[2001:DB8:0::1]", None, True),
        ("2001:db8::1", "[2001:db8::2]", None, False),
        ("my.host", "example.org", None, False),
    ],
)
def test_own_addresses_in_every_spelling(own, host, port, yes):
    assert bridge(own).is_own_host(host, port) is yes


def test_without_tls_only_one_port_is_own():
    assert not bridge("192.0.2.1", tls_port=0).is_own_host("192.0.2.1", 5071)
    assert not bridge("192.0.2.1", tls_port=0).is_own_host("192.0.2.1", 0)


def test_a_phone_with_a_name_of_nobody_is_told_of_once():
    told = []
    door = Bridge(
        None,  # type: ignore[arg-type]
        None,  # type: ignore[arg-type]
        steps=None,  # type: ignore[arg-type]
        users=["alice", "carol"],
        address=lambda: ("192.0.2.1", 5070),
        warn=lambda text, hint: told.append((text, hint)),
    )
    assert door.serves("alice")
    assert [door.serves("alise"), door.serves("alise")] == [False, False]
    ((text, hint),) = told
    assert "registers as alise" in text
    assert "alice or carol" in hint
    assert not any(door.serves(f"guess{number}") for number in range(100))
    assert len(told) == MAX_STRANGERS


def test_the_callee_s_reason_is_passed_on_as_his():
    assert _warning("bob", {"code": "unavailable", "reason": "set it to UDP"}) == "bob's adapter says: set it to UDP"
    assert _warning("bob", {"code": "unavailable", "reason": ""}) is None
    assert _warning("bob", None) is None
