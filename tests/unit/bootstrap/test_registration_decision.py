"""The decision about a REGISTER: who gets a name, and what is refused with which reason."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bootstrap.admission import Policy
from bootstrap.registration import (
    MAX_NAMES,
    MAX_NAMES_PER_NODE_KEY,
    Accepted,
    Account,
    Books,
    Expected,
    Refused,
    decide,
)
from overlay.errors import LocalError
from overlay.trust.identity import PrivateBundle, SigningKey
from overlay.trust.records import PENDING_NODE_ID, LookupRecord
from overlay.wire.messages import Register

NOW = 1_800_000_000.0
ALICE = PrivateBundle.generate()
NODE = SigningKey.generate()
NONCE = bytes(range(16))
SERVER = bytes(range(16, 32))
NODE_ID = bytes(range(20))
FREE = Books(account=None, node_key_known=False, names_of_node_key=0, new_node_keys=0, names=0)
EXPECTED = Expected(overlay="lan", thumbprint=SERVER, nonce=NONCE, source="192.0.2.7", node_id=NODE_ID)
OWNED = Account(aor="alice", generation=1, bundle=ALICE.public.encode(), node_public=NODE.public)


def record(user=ALICE, **changes):
    fields = {
        "aor": "alice",
        "generation": 1,
        "node_id": PENDING_NODE_ID,
        "host": "192.0.2.7",
        "port": 5000,
        "sequence": 1,
        "issued_at": int(NOW),
        "expires_at": int(NOW) + 600,
    }
    return LookupRecord.issue(user, **fields | changes)


def request(user=ALICE, node=NODE, **changes):
    fields = {
        "aor": "alice",
        "bundle": user.public.encode(),
        "record": record(user).encode(),
        "nonce": NONCE,
        "bootstrap": SERVER,
        "overlay": "lan",
    }
    return Register.issue(node, **fields | changes)


def settle(asked=None, *, books=FREE, expected=EXPECTED, policy=None, now=NOW):
    return decide(asked or request(), books=books, expected=expected, policy=policy or Policy(), now=now)


def refusal(decision):
    assert isinstance(decision, Refused), decision
    return decision.code


def test_free_name_is_given():
    decision = settle()
    assert isinstance(decision, Accepted)
    assert (decision.aor, decision.generation, decision.first, decision.new_node_key) == ("alice", 1, True, True)
    assert decision.bundle == ALICE.public


def test_same_key_comes_again_in_the_same_generation():
    decision = settle(books=replace(FREE, account=OWNED, node_key_known=True, names=1))
    assert isinstance(decision, Accepted)
    assert (decision.generation, decision.first, decision.new_node_key) == (1, False, False)


def test_same_key_with_a_new_node_key_replaces_the_old():
    other = SigningKey.generate()
    decision = settle(request(node=other), books=replace(FREE, account=OWNED, names=1))
    assert isinstance(decision, Accepted)
    assert decision.node_public == other.public


def test_another_key_is_told_that_the_name_is_taken():
    mallory = PrivateBundle.generate()
    decision = settle(request(mallory), books=replace(FREE, account=OWNED, names=1))
    assert refusal(decision) == "taken"
    assert "alice is taken" in decision.reason


def test_nonce_of_another_connection_is_refused():
    assert refusal(settle(request(nonce=bytes(16)))) == "unverified"


def test_request_for_another_server_is_refused():
    assert refusal(settle(request(bootstrap=bytes(16)))) == "unverified"


def test_request_for_another_overlay_is_refused():
    assert refusal(settle(request(overlay="other"))) == "unverified"


@pytest.mark.parametrize("field", ["aor", "nonce", "record", "bundle", "overlay", "bootstrap", "code"])
def test_node_signature_covers_everything(field):
    changed = {
        "aor": "bob",
        "nonce": bytes(16),
        "record": record(sequence=2).encode(),
        "bundle": PrivateBundle.generate().public.encode(),
        "overlay": "lan2",
        "bootstrap": bytes(16),
        "code": "x",
    }[field]
    forged = replace(request(), **{field: changed})
    # the connection's own facts are made to fit, so that only the signature can tell
    expected = replace(EXPECTED, overlay=forged.overlay, nonce=forged.nonce, thumbprint=forged.bootstrap)
    decision = settle(forged, expected=expected)
    assert refusal(decision) == "unverified"
    assert "node key" in decision.reason


def test_who_proves_nothing_learns_nothing_about_names():
    books = replace(FREE, account=OWNED, names=1)
    assert refusal(settle(request(PrivateBundle.generate(), nonce=bytes(16)), books=books)) == "unverified"


@pytest.mark.parametrize(
    "odd",
    [
        {"aor": "bob"},
        {"generation": 2},
        {"node_id": bytes(range(1, 21))},
        {"host": "127.0.0.1"},
        {"issued_at": int(NOW) - 2000, "expires_at": int(NOW) - 1400},
        {"issued_at": int(NOW) + 200_000, "expires_at": int(NOW) + 200_600},
        {"expires_at": int(NOW) + 5000},
    ],
)
def test_odd_lookup_record_is_refused(odd):
    assert refusal(settle(request(record=record(**odd).encode()))) == "bad"


def test_expired_record_names_the_clocks():
    late = record(issued_at=int(NOW) - 2000, expires_at=int(NOW) - 1400)
    assert "clocks" in settle(request(record=late.encode())).reason


def test_record_of_another_key_is_refused():
    assert refusal(settle(request(record=record(PrivateBundle.generate()).encode()))) == "bad"


def test_garbage_for_a_record_is_refused():
    assert refusal(settle(request(record=b"\x93garbage"))) == "bad"


def test_record_may_name_its_true_node():
    assert isinstance(settle(request(record=record(node_id=NODE_ID).encode())), Accepted)


def test_loopback_adapter_is_welcome_from_this_host():
    asked = request(record=record(host="127.0.0.1").encode())
    assert isinstance(settle(asked, expected=replace(EXPECTED, source="127.0.0.1")), Accepted)


def test_fifth_new_device_of_an_address_waits_a_day():
    decision = settle(books=replace(FREE, new_node_keys=4))
    assert refusal(decision) == "policy"
    assert "tomorrow" in decision.reason
    assert isinstance(settle(books=replace(FREE, new_node_keys=3)), Accepted)


def test_known_device_is_never_counted():
    assert isinstance(settle(books=replace(FREE, new_node_keys=4, node_key_known=True)), Accepted)


def test_limit_can_be_raised_or_lifted():
    books = replace(FREE, new_node_keys=10)
    assert refusal(settle(books=books, policy=Policy(enrolments_per_day=10))) == "policy"
    assert isinstance(settle(books=books, policy=Policy(enrolments_per_day=11)), Accepted)
    assert isinstance(settle(books=books, policy=Policy(enrolments_per_day=0)), Accepted)


def test_code_is_asked_for_where_there_is_one():
    policy = Policy(code="let me in")
    assert refusal(settle(policy=policy)) == "policy"
    assert refusal(settle(request(code="let me out"), policy=policy)) == "policy"
    assert isinstance(settle(request(code="let me in"), policy=policy, books=replace(FREE, new_node_keys=9)), Accepted)


def test_full_server_keeps_serving_the_names_it_has():
    full = replace(FREE, names=MAX_NAMES)
    assert refusal(settle(books=full)) == "policy"
    assert isinstance(settle(books=replace(full, account=OWNED)), Accepted)


def test_one_device_holds_so_many_names_and_no_more():
    assert refusal(settle(books=replace(FREE, names_of_node_key=MAX_NAMES_PER_NODE_KEY))) == "policy"


def test_policy_hides_its_code():
    assert "secret word" not in repr(Policy(code="secret word"))


def test_policy_refuses_a_negative_limit():
    with pytest.raises(LocalError):
        Policy(enrolments_per_day=-1)


@pytest.mark.parametrize("skew_s", [-900, -600, 600, 900])
def test_clocks_ten_minutes_apart_register(skew_s):
    assert isinstance(settle(now=NOW + skew_s), Accepted)
