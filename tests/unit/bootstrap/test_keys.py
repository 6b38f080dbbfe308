"""The server's secrets: made once, for their owner's eyes alone, and the same node key always gets the same place."""

from __future__ import annotations

import stat

import pytest

from bootstrap.keys import KEYS_FILE, ServerKeys, load, load_or_create
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


def test_file_is_for_its_owner_alone(tmp_path):
    load_or_create(tmp_path)
    assert stat.S_IMODE((tmp_path / KEYS_FILE).stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [KEYS_FILE]


def test_readable_keys_are_refused(tmp_path):
    load_or_create(tmp_path)
    (tmp_path / KEYS_FILE).chmod(0o644)
    with pytest.raises(LocalError, match="chmod 600"):
        load_or_create(tmp_path)


def test_no_keys_to_load(tmp_path):
    with pytest.raises(LocalError, match="cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"v": 2}', '{"v": 1, "overlay": "00"}', "no json", "[" * 3000])
def test_damaged_keys_are_refused_without_quoting_them(tmp_path, text):
    (tmp_path / KEYS_FILE).write_text(text)
    (tmp_path / KEYS_FILE).chmod(0o600)
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
