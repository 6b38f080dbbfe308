"""The history of calls: bounded, private, and whole lines only."""

import stat

from adapter.call_log import CALLS_FILE, MAX_LINE_BYTES, OLDER_FILE, CallLog, read_calls


def test_receipts_come_back_in_order(tmp_path):
    log = CallLog(tmp_path)
    for number in range(5):
        log.keep({"caller": "alice", "callee": f"b{number}"}, 10.0 + number)
    assert [row["callee"] for row in read_calls(tmp_path, last=3)] == ["b2", "b3", "b4"]
    assert stat.S_IMODE((tmp_path / CALLS_FILE).stat().st_mode) == 0o600


def test_the_file_is_turned_over_and_the_two_never_grow_past_their_bound(tmp_path):
    log = CallLog(tmp_path, max_bytes=500)
    for number in range(200):
        log.keep({"callee": f"b{number}"}, 1.0)
    assert (tmp_path / CALLS_FILE).stat().st_size <= 500
    assert (tmp_path / OLDER_FILE).stat().st_size <= 500
    names = [row["callee"] for row in read_calls(tmp_path, last=1000)]
    assert names[-1] == "b199"
    assert names == [f"b{number}" for number in range(200 - len(names), 200)]


def test_a_receipt_full_of_liars_is_kept_without_them(tmp_path):
    CallLog(tmp_path).keep({"callee": "bob", "liars": [{"why": "x" * 100}] * 1000}, 1.0)
    (row,) = read_calls(tmp_path, last=9)
    assert (row["callee"], row["cut"], "liars" in row) == ("bob", True, False)
    assert (tmp_path / CALLS_FILE).stat().st_size < MAX_LINE_BYTES


def test_a_line_cut_by_a_power_failure_loses_no_other(tmp_path):
    CallLog(tmp_path).keep({"callee": "bob"}, 1.0)
    with (tmp_path / CALLS_FILE).open("ab") as file:
        file.write(b'{"v":1,"callee":"car')
    assert [row["callee"] for row in read_calls(tmp_path, last=9)] == ["bob"]
