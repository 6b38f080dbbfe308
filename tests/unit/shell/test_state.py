"""The state directory: one adapter at a time, and files that are whole, private and checked."""

import json
import signal
import stat
import subprocess
import sys

import pytest

from adapter.keystore import load_or_create
from adapter.problems import DamagedFile
from adapter.state import MAX_PEERS, StateDir, StateLocked
from overlay.ring.ids import Peer, RingId

from .enrolments import enrol

HOLD_THE_LOCK = """
import sys
from pathlib import Path
from adapter.state import StateDir
StateDir(Path(sys.argv[1])).lock()
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def state(tmp_path):
    with StateDir(tmp_path / "state") as state:
        yield state


@pytest.fixture
def other_process(tmp_path):
    argv = [sys.executable, "-c", HOLD_THE_LOCK, str(tmp_path / "state")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "locked\n"
        yield process
        process.kill()


def test_an_enrolment_comes_back_as_it_was(state):
    keys = load_or_create(state.path, "alice")
    enrolment = enrol("alice", keys)
    state.save_enrolment("alice", enrolment)
    assert StateDir(state.path).load_enrolment("ALICE") == enrolment
    assert state.users() == ("alice",)


def test_before_the_first_registration_there_is_none(state):
    assert state.load_enrolment("alice") is None
    assert state.load_peers() == ()
    assert StateDir(state.path / "nowhere").users() == ()


def test_a_forgotten_enrolment_leaves_the_keys(state):
    keys = load_or_create(state.path, "alice")
    state.save_enrolment("alice", enrol("alice", keys))
    state.forget_enrolment("alice")
    state.forget_enrolment("alice")
    assert state.load_enrolment("alice") is None
    assert load_or_create(state.path, "alice").user.public == keys.user.public


def test_saving_twice_leaves_one_private_file_and_no_draft(state):
    keys = load_or_create(state.path, "alice")
    for _ in range(2):
        state.save_enrolment("alice", enrol("alice", keys))
    path = state.path / "users" / "alice.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["alice.json", "alice.key"]


def _damage(value, key, damaged):
    return json.dumps(value | {key: damaged})


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: "",
        lambda _: "{",
        lambda _: "[]",
        lambda _: "[" * 100_000,
        lambda _: "{}",
        lambda value: _damage(value, "v", 2),
        lambda value: _damage(value, "aor", "bob"),
        lambda value: _damage(value, "overlay", 7),
        lambda value: _damage(value, "generation", "1"),
        lambda value: _damage(value, "overlay_bundle", "AAAA"),
        lambda value: _damage(value, "credential", "%%"),
        lambda value: _damage(value, "credential", value["dealing"]),
        lambda value: _damage(value, "pieces", []),
        lambda value: _damage(value, "pieces", value["pieces"][:-1]),
        lambda value: _damage(value, "pieces", value["pieces"] * 10),
        lambda value: _damage(value, "pieces", None),
        lambda value: _damage(value, "nodes", [["00", "127.0.0.1", 70000]]),
        lambda value: _damage(value, "nodes", [1, 2, 3]),
        lambda value: json.dumps({key: item for key, item in value.items() if key != "dealing"}),
    ],
)
def test_a_damaged_enrolment_is_an_error_with_a_cure(state, damage):
    keys = load_or_create(state.path, "alice")
    state.save_enrolment("alice", enrol("alice", keys))
    path = state.path / "users" / "alice.json"
    path.write_text(damage(json.loads(path.read_text())))
    with pytest.raises(DamagedFile, match="is damaged") as caught:
        state.load_enrolment("alice")
    assert str(path) in caught.value.hint


def test_peers_come_back_in_order_and_bounded(state):
    peers = [Peer(id=RingId(number), host="127.0.0.1", port=4000 + number) for number in range(MAX_PEERS + 5)]
    state.save_peers(peers)
    assert list(state.load_peers()) == peers[:MAX_PEERS]


@pytest.mark.parametrize("rows", [[["zz", "127.0.0.1", 1]], [["00" * 20, "nowhere", 1]], [["00" * 20]], 7, None])
def test_damaged_peers_are_an_error_with_a_cure(state, rows):
    (state.path / "peers.json").write_text(json.dumps({"v": 1, "peers": rows}))
    with pytest.raises(DamagedFile):
        state.load_peers()


def test_a_second_process_is_refused_and_told_who_has_it(tmp_path, other_process):
    state = StateDir(tmp_path / "state")
    with pytest.raises(StateLocked) as caught:
        state.lock()
    assert str(caught.value) == f"another adapter already uses {state.path} (pid {other_process.pid})"
    assert "--state DIR" in caught.value.hint


def test_the_lock_of_a_killed_process_is_free(tmp_path, other_process):
    other_process.send_signal(signal.SIGKILL)
    other_process.wait()
    with StateDir(tmp_path / "state"):
        pass


def test_the_lock_can_be_given_back_and_taken_again(tmp_path):
    state = StateDir(tmp_path)
    with state:
        assert state.lock() is state
        with pytest.raises(StateLocked):
            StateDir(tmp_path).lock()
    with StateDir(tmp_path):
        pass


def test_reading_needs_no_lock(tmp_path, other_process):
    assert StateDir(tmp_path / "state").load_peers() == ()


def test_own_port_is_remembered_beside_the_peers(tmp_path):
    state = StateDir(tmp_path / "state")
    assert state.load_own_port() == 0
    state.save_peers([], own_port=5481)
    assert StateDir(tmp_path / "state").load_own_port() == 5481


def test_the_bootstrap_server_of_last_time_is_remembered(tmp_path):
    state = StateDir(tmp_path / "state")
    assert state.load_server() is None
    state.save_server(("192.0.2.7", 5480))
    assert StateDir(tmp_path / "state").load_server() == ("192.0.2.7", 5480)


@pytest.mark.parametrize(
    "content", ["{", '{"v": 1}', '{"v": 1, "host": "a", "port": true}', '{"v": 1, "host": "", "port": 1}']
)
def test_a_damaged_address_of_the_server_says_so(tmp_path, content):
    state = StateDir(tmp_path / "state")
    state.save_server(("192.0.2.7", 5480))
    (tmp_path / "state" / "server.json").write_text(content)
    with pytest.raises(DamagedFile):
        state.load_server()
