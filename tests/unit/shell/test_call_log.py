"""The history of calls: bounded, private, and whole lines only."""

import stat
import subprocess
import sys

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


def test_what_became_of_a_call_joins_its_receipt(tmp_path):
    log = CallLog(tmp_path)
    for side, call in (("callee", "aa"), ("caller", "bb"), ("callee", "bb")):
        log.keep({"side": side, "call": call, "callee": "bob"}, 1.0)
    log.keep({"kind": "talk", "side": "callee", "call": "bb", "talk": {"duration_s": 3.0}}, 2.0)
    log.keep({"kind": "talk", "side": "callee", "call": "", "caller": "eve", "talk": {"duration_s": 0.0}}, 3.0)
    rows = read_calls(tmp_path, last=9)
    assert [(row.get("call"), row.get("talk", {}).get("duration_s")) for row in rows] == [
        ("aa", None),
        ("bb", None),
        ("bb", 3.0),
        ("", 0.0),
    ]


def test_two_processes_lose_nobodys_line(tmp_path):
    code = (
        "import sys; from pathlib import Path; from adapter.call_log import CallLog\n"
        "log = CallLog(Path(sys.argv[1]), max_bytes=20_000)\n"
        "for n in range(100): log.keep({'callee': sys.argv[2], 'n': n}, 1.0)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in ("adapter", "phone")]
    assert [writer.wait(30) for writer in writers] == [0, 0]
    rows = read_calls(tmp_path, last=1000)
    for name in ("adapter", "phone"):
        assert [row["n"] for row in rows if row["callee"] == name] == list(range(100))
