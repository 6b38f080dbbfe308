"""Private keys: made once, readable by their owner alone, refused otherwise."""

import stat

import pytest

from adapter.keystore import known_users, load_or_create
from adapter.problems import DamagedFile, Problem
from overlay.errors import RemoteError


def test_keys_are_made_once_and_read_back(tmp_path):
    first = load_or_create(tmp_path / "state", "alice")
    again = load_or_create(tmp_path / "state", "Alice")
    assert again.user.to_bytes() == first.user.to_bytes()
    assert again.node.to_bytes() == first.node.to_bytes()


def test_users_of_one_device_share_the_node_key_and_nothing_else(tmp_path):
    alice, bob = load_or_create(tmp_path, "alice"), load_or_create(tmp_path, "bob")
    assert alice.node.public == bob.node.public
    assert alice.user.public != bob.user.public
    assert known_users(tmp_path) == ("alice", "bob")


def test_a_user_called_node_does_not_share_the_node_key_file(tmp_path):
    keys = load_or_create(tmp_path, "node")
    assert load_or_create(tmp_path, "node.key").node.public == keys.node.public
    assert known_users(tmp_path) == ("node", "node.key")


def test_every_file_is_0600_and_every_directory_0700(tmp_path):
    state = tmp_path / "deep" / "state"
    load_or_create(state, "alice")
    for path in [state, *state.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    assert not list(state.rglob(".*")), "no draft is left behind"


def test_a_directory_that_others_may_read_is_closed(tmp_path):
    state = tmp_path / "state"
    state.mkdir(mode=0o755)
    load_or_create(state, "alice")
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_that_others_may_read_is_refused(tmp_path, mode):
    load_or_create(tmp_path, "alice")
    (tmp_path / "users" / "alice.key").chmod(mode)
    with pytest.raises(Problem, match="can be read by others") as caught:
        load_or_create(tmp_path, "alice")
    assert caught.value.hint.startswith("chmod 600 ")


@pytest.mark.parametrize(
    "text", ["", "nonsense", "secp2psip-private-key-1 AAAA\n", "secp2psip-private-key-1 %%\n", "a b c"]
)
def test_a_damaged_key_is_an_error_that_does_not_quote_it(tmp_path, text):
    load_or_create(tmp_path, "alice")
    path = tmp_path / "users" / "alice.key"
    path.write_text(text)
    with pytest.raises(DamagedFile) as caught:
        load_or_create(tmp_path, "alice")
    assert str(caught.value) == "alice.key holds no private key of secp2psip"
    assert caught.value.hint


def test_a_key_in_another_spelling_is_refused(tmp_path):
    load_or_create(tmp_path, "alice")
    path = tmp_path / "node.key"
    path.write_text(path.read_text() + "\n")
    with pytest.raises(DamagedFile):
        load_or_create(tmp_path, "alice")


def test_a_symbolic_link_is_not_followed(tmp_path):
    load_or_create(tmp_path, "alice")
    path = tmp_path / "users" / "alice.key"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        load_or_create(tmp_path, "alice")


def test_a_bad_name_never_reaches_the_file_system(tmp_path):
    with pytest.raises(RemoteError):
        load_or_create(tmp_path / "state", "../mallory")
    assert not (tmp_path / "state").exists()


def test_no_key_shows_in_a_repr(tmp_path):
    keys = load_or_create(tmp_path, "alice")
    assert keys.user.to_bytes().hex()[:16] not in repr(keys)
    assert keys.node.to_bytes().hex()[:16] not in repr(keys)
