"""The file: private, surviving a restart, mended when damaged."""

import sqlite3
import stat

import pytest

from overlay.ring.storage import Holding, Kept, RecordStore
from tests.unit.ring.store_users import ALICE, BOB, NOW, pieces, put, record, release


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ring.sqlite"


def test_everything_survives_a_restart(path):
    store = RecordStore(path)
    put(store, pieces()[0], record())
    put(store, pieces()[1])
    put(store, pieces(seed=b"t" * 32)[0])
    gone = release(BOB, 2, sequence=5)
    store.release(gone, NOW)
    before = store.get("bob", NOW)
    store.close()
    store = RecordStore(path)
    assert store.get("bob", NOW) == before
    assert len(store.evidence()) == 1
    put(store, pieces()[1])
    assert store.release(gone, NOW) is Kept.REPLAYED
    store.close()


def test_it_survives_without_a_close(path):
    store = RecordStore(path)
    put(store, pieces()[0], record())
    other = RecordStore(path)
    assert other.get("bob", NOW).record == record()
    other.close()
    store.close()


def test_caps_count_what_was_there_before(path):
    store = RecordStore(path, max_users=1)
    put(store, pieces()[0])
    store.close()
    store = RecordStore(path, max_users=1, max_per_sender=1)
    assert put(store, pieces(ALICE, aor="alice")[0], sender=5) is Kept.FULL
    assert put(store, pieces()[1]) is Kept.FULL
    store.close()


def test_files_are_for_their_owner_alone(path):
    path.touch(mode=0o644)
    path.chmod(0o644)
    store = RecordStore(path)
    put(store, pieces()[0])
    files = sorted(path.parent.iterdir())
    assert len(files) == 3
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600] * 3
    store.close()


def test_writes_go_to_a_log(path):
    store = RecordStore(path)
    assert store._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    store.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE pieces SET body = x'00'",
        "UPDATE pieces SET body = 'text'",
        "UPDATE pieces SET body = 5",
        "UPDATE pieces SET piece = 7",
        "UPDATE pieces SET piece = 'seven'",
        "UPDATE pieces SET expires_at = expires_at + 1",
        "UPDATE pieces SET expires_at = 'never'",
        "UPDATE pieces SET aor = 'carol'",
    ],
)
def test_malformed_piece_row_is_dropped(path, change):
    store = RecordStore(path)
    put(store, pieces()[0])
    store.close()
    with sqlite3.connect(path) as raw:
        raw.execute(change)
    raw.close()
    store = RecordStore(path)
    assert store.get("bob", NOW) == Holding()
    assert store.get("carol", NOW) == Holding()
    assert store.counters["malformed row"] == 1
    assert store._db.execute("SELECT COUNT(*) FROM pieces").fetchone() == (0,)
    assert put(store, pieces()[0]) is Kept.KEPT
    store.close()


@pytest.mark.parametrize("change", ["UPDATE records SET body = x'00'", "UPDATE records SET body = 7"])
def test_malformed_record_row_is_dropped(path, change):
    store = RecordStore(path)
    put(store, pieces()[0], record())
    store._db.execute(change)
    assert store.get("bob", NOW) == Holding(pieces=(pieces()[0],))
    assert store.put_record(record().encode(), NOW) is Kept.KEPT
    store.close()


def test_record_row_of_another_user_is_dropped(path):
    store = RecordStore(path)
    put(store, pieces()[0], record())
    put(store, pieces(ALICE, aor="alice")[0])
    store._db.execute("UPDATE records SET aor = 'alice'")
    assert store.get("alice", NOW).record is None
    store.close()


def test_malformed_evidence_row_is_passed_over(path):
    store = RecordStore(path)
    put(store, pieces()[0])
    put(store, pieces(seed=b"t" * 32)[0])
    store._db.execute("UPDATE evidence SET offered = x'00'")
    assert store.evidence() == []
    store.close()


@pytest.mark.parametrize(
    "content", [b"this is no database at all, whatever its name says" * 100, b"SQLite format 3\0junk" * 300]
)
def test_damaged_file_is_set_aside_and_a_new_one_begun(path, content):
    path.write_bytes(content)
    store = RecordStore(path)
    assert store.counters["damaged file set aside"] == 1
    assert put(store, pieces()[0]) is Kept.KEPT
    assert path.with_name("ring.sqlite.damaged").read_bytes() == content
    store.close()


def test_file_of_another_schema_is_set_aside(path):
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA user_version = 99")
    raw.close()
    store = RecordStore(path)
    assert store.counters["damaged file set aside"] == 1
    store.close()


def test_damaged_page_is_noticed(path):
    store = RecordStore(path)
    for user in range(40):
        put(store, pieces(aor=f"user{user}")[0], record(aor=f"user{user}"))
    store.close()
    data = bytearray(path.read_bytes())
    for place in range(4096, len(data), 7):
        data[place] ^= 0x55
    path.write_bytes(data)
    store = RecordStore(path)
    assert store.counters["damaged file set aside"] == 1
    store.close()


def test_store_that_fails_says_so_and_does_not_crash(path):
    store = RecordStore(path)
    put(store, pieces()[0], record())
    store._db.execute("DROP TABLE pieces")
    store._db.execute("DROP TABLE evidence")
    assert put(store, pieces()[0]) is Kept.FAILED
    assert store.put_record(record().encode(), NOW) is Kept.FAILED
    assert store.release(release(BOB, 1), NOW) is Kept.FAILED
    assert store.get("bob", NOW) == Holding()
    assert store.held(NOW) == []
    assert store.sweep(NOW) == 0
    assert store.evidence() == []
    store.close()


def test_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        RecordStore(tmp_path / "nowhere" / "ring.sqlite")
