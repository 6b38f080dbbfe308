"""A key is changed on the disk: at whatever step the power fails, no key is lost and the right one is in force."""

from __future__ import annotations

import stat

import pytest

from adapter import key_change
from adapter.key_change import finish, is_pending, next_key, promote, retire
from adapter.keystore import Keys, known_users, load_or_create, load_private
from adapter.problems import DamagedFile
from overlay.trust.identity import SigningKey
from tests.unit.shell.enrolments import enrol


class PowerCutError(Exception):
    """The machine is gone."""


def enrolment_of(keys):
    return enrol("alice", Keys(user=keys, node=SigningKey.generate()))


def thumbprints(folder) -> set[bytes]:
    """Return every user key that lies on the disk whole, whatever its file is called."""
    found = set()
    for path in (folder / "users").iterdir():
        if path.suffix in {".key", ".next", ".former", ".revoked"}:
            found.add(load_private(path).public.thumbprint())
    return found


def begun(folder):
    """Return the old key and the next one, both on the disk."""
    old = load_or_create(folder, "alice").user
    return old, next_key(folder, "alice")


def test_the_next_key_is_made_once_and_is_nobody_s_name(tmp_path):
    old, new = begun(tmp_path)
    assert next_key(tmp_path, "alice").public == new.public != old.public
    assert is_pending(tmp_path, "alice")
    assert known_users(tmp_path) == ("alice",)


def test_promoting_keeps_the_old_key_beside_the_new(tmp_path):
    old, new = begun(tmp_path)
    promote(tmp_path, "alice")
    assert load_or_create(tmp_path, "alice").user.public == new.public
    assert load_private(tmp_path / "users" / "alice.former").public == old.public
    assert not is_pending(tmp_path, "alice")
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "users").iterdir()} == {0o600}


@pytest.mark.parametrize("step", range(3))
def test_a_power_cut_while_promoting_loses_neither_key_and_the_next_start_finishes(tmp_path, monkeypatch, step):
    old, new = begun(tmp_path)
    enrolment = enrolment_of(new)
    reached = iter(range(10))

    def cut(real):
        def call(*args):
            if next(reached) == step:
                raise PowerCutError
            return real(*args)

        return call

    with monkeypatch.context() as patch:
        for name in ("load_private", "replace_private", "sync_dir"):
            patch.setattr(key_change, name, cut(getattr(key_change, name)))
        with pytest.raises(PowerCutError):
            promote(tmp_path, "alice")
    assert {old.public.thumbprint(), new.public.thumbprint()} <= thumbprints(tmp_path)
    finish(tmp_path, "alice", enrolment)
    assert load_or_create(tmp_path, "alice").user.public == new.public
    assert {old.public.thumbprint(), new.public.thumbprint()} <= thumbprints(tmp_path)


def test_a_change_that_the_server_has_not_agreed_to_is_not_finished_at_start(tmp_path):
    old, _ = begun(tmp_path)
    assert not finish(tmp_path, "alice", enrolment_of(old))
    assert not finish(tmp_path, "alice", None)
    assert load_or_create(tmp_path, "alice").user.public == old.public
    assert is_pending(tmp_path, "alice")


def test_a_revoked_key_is_out_of_use_and_kept(tmp_path):
    old = load_or_create(tmp_path, "alice").user
    retire(tmp_path, "alice")
    assert known_users(tmp_path) == ()
    assert thumbprints(tmp_path) == {old.public.thumbprint()}


def test_a_missing_key_is_not_made_up(tmp_path):
    with pytest.raises(DamagedFile):
        load_private(tmp_path / "alice.key")
