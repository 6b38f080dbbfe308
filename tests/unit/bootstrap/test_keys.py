"""The server's secrets: made once, for their owner's eyes alone, and the same node key always gets the same place."""

from __future__ import annotations

import json
import stat

import pytest

from bootstrap import keys as keys_module
from bootstrap.keys import (
    ACCOUNTS_FILE,
    DEALING_FILE,
    OLD_FILE,
    OVERLAY_FILE,
    ServerKeys,
    load,
    load_or_create,
)
from overlay.errors import LocalError, RemoteError
from overlay.trust.identity import SigningKey

NOW = 1_800_000_000.0


def test_keys_are_made_once(tmp_path):
    first = load_or_create(tmp_path)
    again = load_or_create(tmp_path)
    assert again.overlay.public == first.overlay.public
    assert again.dealing.public == first.dealing.public
    assert again.node.public == first.node.public
    assert (again.salt_secret, again.dealing_seed) == (first.salt_secret, first.dealing_seed)


@pytest.fixture(params=[OVERLAY_FILE, DEALING_FILE])
def file(request):
    return request.param


def old_file(folder) -> ServerKeys:
    """Write the one file of earlier versions."""
    keys = ServerKeys.generate()
    names = ("overlay", "dealing", "node", "salt_secret", "dealing_seed")
    values = {name: getattr(keys, name) for name in names}
    text = json.dumps({"v": 1} | {n: (v if isinstance(v, bytes) else v.to_bytes()).hex() for n, v in values.items()})
    (folder / OLD_FILE).write_text(text)
    (folder / OLD_FILE).chmod(0o600)
    return keys


def secrets_of(keys: ServerKeys) -> tuple[bytes, ...]:
    return (
        keys.overlay.to_bytes(),
        keys.dealing.to_bytes(),
        keys.node.to_bytes(),
        keys.salt_secret,
        keys.dealing_seed,
    )


def test_files_are_for_their_owner_alone(tmp_path):
    load_or_create(tmp_path)
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {
        OVERLAY_FILE: 0o600,
        DEALING_FILE: 0o600,
    }


def test_neither_file_holds_a_secret_of_the_other(tmp_path):
    keys = load_or_create(tmp_path)
    overlay, dealing = ((tmp_path / name).read_text() for name in (OVERLAY_FILE, DEALING_FILE))
    for secret in (keys.dealing.to_bytes(), keys.dealing_seed):
        assert secret.hex() in dealing
        assert secret.hex() not in overlay
    for secret in (keys.overlay.to_bytes(), keys.node.to_bytes(), keys.salt_secret):
        assert secret.hex() in overlay
        assert secret.hex() not in dealing


def test_readable_keys_are_refused(tmp_path, file):
    load_or_create(tmp_path)
    (tmp_path / file).chmod(0o644)
    with pytest.raises(LocalError, match="can be read by others"):
        load_or_create(tmp_path)


def test_one_file_of_an_earlier_version_is_divided_and_goes(tmp_path):
    keys = old_file(tmp_path)
    assert secrets_of(load(tmp_path)) == secrets_of(keys)  # a command beside an older server changes nothing
    assert (tmp_path / OLD_FILE).exists()
    assert secrets_of(load_or_create(tmp_path)) == secrets_of(keys)
    assert {path.name for path in tmp_path.iterdir()} == {OVERLAY_FILE, DEALING_FILE}


@pytest.mark.parametrize("step", range(3))
def test_a_division_that_was_cut_short_is_finished_with_the_same_keys(tmp_path, monkeypatch, step):
    keys = old_file(tmp_path)
    reached = iter(range(10))
    real = keys_module._sync

    def cut(folder):
        if next(reached) == step:
            raise KeyboardInterrupt
        real(folder)

    with monkeypatch.context() as patch:
        patch.setattr(keys_module, "_sync", cut)
        with pytest.raises(KeyboardInterrupt):
            load_or_create(tmp_path)
    assert secrets_of(load_or_create(tmp_path)) == secrets_of(keys)
    assert not (tmp_path / OLD_FILE).exists()


def test_a_first_start_that_was_cut_short_is_begun_again(tmp_path):
    load_or_create(tmp_path)
    (tmp_path / OVERLAY_FILE).unlink()
    load_or_create(tmp_path)


def test_a_key_that_is_lost_is_not_made_up(tmp_path, file):
    load_or_create(tmp_path)
    (tmp_path / ACCOUNTS_FILE).touch()
    (tmp_path / file).unlink()
    with pytest.raises(LocalError, match="cannot be read"):
        load_or_create(tmp_path)
    assert not (tmp_path / file).exists()


def test_no_keys_to_load(tmp_path):
    with pytest.raises(LocalError, match="cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"v": 2}', '{"v": 1, "overlay": "00"}', "no json", "[" * 3000])
def test_damaged_keys_are_refused_without_quoting_them(tmp_path, text, file):
    load_or_create(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(RemoteError) as caught:
        load_or_create(tmp_path)
    assert caught.value.__cause__ is None


def test_repr_shows_no_secret():
    keys = ServerKeys.generate()
    shown = repr(keys)
    for secret in (keys.overlay.to_bytes(), keys.dealing.to_bytes(), keys.salt_secret, keys.dealing_seed):
        assert secret.hex() not in shown
        assert repr(secret) not in shown


def test_node_key_always_gets_the_same_id():
    keys, node = ServerKeys.generate(), SigningKey.generate()
    first = keys.credential(node.public, overlay="lan", now=NOW)
    later = keys.credential(node.public, overlay="lan", now=NOW + 1000)
    assert first.node_id == later.node_id == keys.node_id(node.public)
    first.verify(keys.overlay.public.ed25519, overlay="lan", now=NOW)


def test_other_secret_gives_another_id():
    node = SigningKey.generate()
    assert ServerKeys.generate().node_id(node.public) != ServerKeys.generate().node_id(node.public)
