"""The books: what is written is read again, as one or not at all, also after a restart."""

from __future__ import annotations

import stat

import pytest

from bootstrap.accounts import MAX_UNTOLD, Accounts, OverlayFacts
from bootstrap.registration import Accepted
from overlay.errors import LocalError, RemoteError
from overlay.ring.ids import Peer, RingId
from overlay.trust.identity import PrivateBundle, SigningKey
from overlay.trust.records import PENDING_NODE_ID, LookupRecord
from overlay.trust.tombstone import Tombstone

NOW = 1_800_000_000.0
DAY = 86_400
FACTS = OverlayFacts(name="lan", k=3, n=7)


def accepted(aor="alice", user=None, node=None):
    user = user or PrivateBundle.generate()
    record = LookupRecord.issue(
        user,
        aor=aor,
        generation=1,
        node_id=PENDING_NODE_ID,
        host="192.0.2.7",
        port=5000,
        sequence=1,
        issued_at=int(NOW),
        expires_at=int(NOW) + 600,
    )
    return Accepted(
        aor=aor,
        generation=1,
        bundle=user.public,
        node_public=(node or SigningKey.generate()).public,
        record=record,
        first=True,
        new_node_key=True,
    )


def enter(accounts, granted, *, source="192.0.2.7", now=NOW):
    with accounts.transaction():
        accounts.enter(granted, source=source, now=now)


def books(accounts, granted, *, source="192.0.2.7", now=NOW):
    return accounts.books(granted.aor, node_public=granted.node_public, source=source, now=now)


@pytest.fixture
def accounts():
    with Accounts(":memory:") as opened:
        yield opened


def test_free_name_has_no_account(accounts):
    found = books(accounts, accepted())
    assert found.account is None
    assert not found.node_key_known
    assert (found.names, found.names_of_node_key, found.new_node_keys) == (0, 0, 0)


def test_entered_name_is_found(accounts):
    alice = accepted()
    enter(accounts, alice)
    found = books(accounts, alice)
    assert found.account.bundle == alice.bundle.encode()
    assert found.account.generation == 1
    assert found.node_key_known
    assert (found.names, found.new_node_keys) == (1, 1)


def test_names_outlive_a_restart(tmp_path):
    alice = accepted()
    with Accounts(tmp_path / "a.sqlite") as accounts:
        enter(accounts, alice)
    with Accounts(tmp_path / "a.sqlite") as accounts:
        assert books(accounts, alice).account.bundle == alice.bundle.encode()


def test_books_are_for_their_owner_alone(tmp_path):
    with Accounts(tmp_path / "a.sqlite") as accounts:
        enter(accounts, accepted())
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_renewal_keeps_the_first_day_and_takes_the_new_node(accounts):
    user, other = PrivateBundle.generate(), SigningKey.generate()
    enter(accounts, accepted(user=user))
    enter(accounts, accepted(user=user, node=other), source="192.0.2.8", now=NOW + DAY)
    (row,) = accounts.names()
    assert (row.first_at, row.last_at, row.source) == (int(NOW), int(NOW) + DAY, "192.0.2.8")
    assert row.node_public == other.public


def test_key_of_a_name_never_changes(accounts):
    alice = accepted()
    enter(accounts, alice)
    enter(accounts, accepted())
    assert accounts.names()[0].bundle == alice.bundle.encode()


def test_new_node_keys_are_counted_by_source_and_day(accounts):
    for number in range(3):
        enter(accounts, accepted(f"user{number}"))
    enter(accounts, accepted("other"), source="192.0.2.8")
    newcomer = accepted("next")
    assert books(accounts, newcomer).new_node_keys == 3
    assert books(accounts, newcomer, source="192.0.2.8").new_node_keys == 1
    assert books(accounts, newcomer, now=NOW + DAY + 1).new_node_keys == 0


def test_names_of_one_node_key_are_counted_without_the_one_asked_for(accounts):
    node = SigningKey.generate()
    enter(accounts, accepted("alice", node=node))
    enter(accounts, accepted("bob", node=node))
    assert books(accounts, accepted("alice", node=node)).names_of_node_key == 1
    assert books(accounts, accepted("carol", node=node)).names_of_node_key == 2


def test_failed_transaction_leaves_nothing(accounts):
    def enter_and_fail():
        with accounts.transaction():
            accounts.enter(accepted(), source="192.0.2.7", now=NOW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        enter_and_fail()
    assert accounts.names() == []


def test_overlay_is_fixed_at_the_first_start(accounts):
    assert accounts.overlay() is None
    accounts.fix_overlay(FACTS)
    accounts.fix_overlay(FACTS)
    assert accounts.overlay() == FACTS
    for other in (OverlayFacts(name="lan", k=4, n=10), OverlayFacts(name="lan2", k=3, n=7)):
        with pytest.raises(LocalError, match="these accounts are of overlay lan"):
            accounts.fix_overlay(other)


@pytest.mark.parametrize(("name", "k", "n"), [("lan", 3, 5), ("lan", 1, 7), ("no spaces", 3, 7), ("", 3, 7)])
def test_impossible_overlay_is_refused(name, k, n):
    with pytest.raises(LocalError):
        OverlayFacts(name=name, k=k, n=n)


def test_peers_are_replaced(accounts):
    first, second = (Peer(id=RingId(number), host="192.0.2.1", port=5000) for number in (1, 2))
    accounts.keep_peers([first])
    accounts.keep_peers([second])
    assert accounts.peers() == [second]


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.sqlite").write_bytes(b"this is no database, and never was one" * 100)
    with pytest.raises(RemoteError, match="holds no accounts"):
        Accounts(tmp_path / "a.sqlite")


def test_tombstones_that_nobody_takes_keep_no_other_from_its_turn():
    accounts = Accounts(":memory:")
    accounts.fix_overlay(FACTS)
    for number in range(2 * MAX_UNTOLD):
        key = PrivateBundle.generate()
        stone = Tombstone.issue(
            key, overlay="lan", aor=f"old{number}", generation=1, bundle=key.public, issued_at=int(NOW)
        )
        accounts.revoke(stone, now=NOW + number)
    seen: set[bytes] = set()
    # each is drawn with a chance of a half: that one is left out a hundred times does not happen
    for _ in range(100):
        some = accounts.untold()
        assert len(some) == MAX_UNTOLD
        seen.update(stone.bundle for stone in some)
    assert len(seen) == 2 * MAX_UNTOLD
    accounts.close()
