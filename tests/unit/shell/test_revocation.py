"""A wish to revoke a key: it outlives every stop, and ends with the key out of use and nothing lost."""

from __future__ import annotations

import asyncio
import stat

import pytest

from adapter import revocation
from adapter.enrolment import EnrolmentFailed, EnrolmentRefused, ServerBusy
from adapter.keystore import Keys, known_users, load_or_create, load_private
from adapter.problems import DamagedFile
from adapter.revocation import Revocations, finish_revocation, load_revocation
from adapter.state import StateDir
from overlay.errors import LocalError, RemoteError
from tests.unit.shell.enrolments import enrol

NOW = 1_800_000_000.0


class PowerCutError(Exception):
    """The machine is gone."""


def begun(folder, told: list[str] | None = None) -> tuple[Revocations, Keys]:
    """Return what a device has right after alice wished her key revoked."""
    state, keys = StateDir(folder), load_or_create(folder, "alice")
    enrolment = enrol("alice", keys)
    state.save_enrolment("alice", enrolment)
    revocations = Revocations(state, warn=lambda text, _hint: None if told is None else told.append(text))
    revocations.begin("alice", keys.user, enrolment, now=NOW)
    return revocations, keys


def answering(error: Exception | None):
    async def ask(_tombstone) -> None:
        if error is not None:
            raise error

    return ask


def revoked(revocations: Revocations):
    return revocations.carry_out("alice", ring=None, ask=answering(EnrolmentRefused("revoked", "the key is revoked")))


def test_the_wish_is_on_the_disk_before_anybody_is_told(tmp_path):
    revocations, keys = begun(tmp_path)
    wish = load_revocation(tmp_path, "alice")
    assert wish == revocations.of("alice")
    assert (wish.tombstone.thumbprint, wish.tombstone.overlay) == (keys.user.public.thumbprint(), "home")
    assert (wish.holders, wish.server, wish.why) == (0, False, "")
    assert stat.S_IMODE((tmp_path / "users" / "alice.revoking").stat().st_mode) == 0o600


def test_the_same_tombstone_goes_on_after_a_restart(tmp_path):
    before, _ = begun(tmp_path)
    after = Revocations(StateDir(tmp_path), warn=lambda _text, _hint: None)
    after.read(("alice", "bob"))
    assert after.users() == ("alice",)
    assert after.of("alice") == before.of("alice")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (EnrolmentFailed("nobody answers"), "nobody answers"),
        (EnrolmentRefused("policy", "not today"), "refused: not today"),
        (ServerBusy("too many"), "busy: too many"),
        (OSError("no route"), "no route"),
        (None, "did not take it"),
    ],
)
async def test_what_the_server_does_not_know_stays_a_wish(tmp_path, error, why):
    told: list[str] = []
    revocations, keys = begun(tmp_path, told)
    for _ in range(2):
        wish = await revocations.carry_out("alice", ring=None, ask=answering(error))
        assert not wish.server
        assert why in wish.why
    assert load_revocation(tmp_path, "alice") == wish
    assert not finish_revocation(StateDir(tmp_path), "alice")
    assert load_or_create(tmp_path, "alice").user.public == keys.user.public
    # said once, not at every try
    assert [why in text for text in told] == [True]


async def test_what_the_server_knows_is_done(tmp_path):
    revocations, keys = begun(tmp_path)
    assert (await revoked(revocations)).server
    assert revocations.of("alice") is None
    assert load_revocation(tmp_path, "alice") is None
    assert StateDir(tmp_path).load_enrolment("alice") is None
    assert known_users(tmp_path) == ()
    assert load_private(tmp_path / "users" / "alice.revoked").public == keys.user.public


@pytest.mark.parametrize("cut_at", ["forget_enrolment", "retire", "unlink"])
async def test_a_power_cut_at_the_end_is_finished_at_the_next_start(tmp_path, monkeypatch, cut_at):
    revocations, keys = begun(tmp_path)

    def cut(*_args, **_options):
        raise PowerCutError

    with monkeypatch.context() as patch:
        if cut_at == "forget_enrolment":
            patch.setattr(StateDir, cut_at, cut)
        elif cut_at == "retire":
            patch.setattr(revocation, cut_at, cut)
        else:
            real = revocation.retire
            patch.setattr(revocation, "retire", lambda *args: (real(*args), cut()))
        with pytest.raises(PowerCutError):
            await revoked(revocations)
    assert finish_revocation(StateDir(tmp_path), "alice")
    assert known_users(tmp_path) == ()
    assert load_private(tmp_path / "users" / "alice.revoked").public == keys.user.public
    assert StateDir(tmp_path).load_enrolment("alice") is None
    assert load_revocation(tmp_path, "alice") is None


async def test_a_new_key_of_the_same_name_is_not_taken_for_the_revoked_one(tmp_path, monkeypatch):
    revocations, _ = begun(tmp_path)
    real = revocation.retire
    with monkeypatch.context() as patch:
        patch.setattr(revocation, "retire", lambda *args: (real(*args), 1 / 0))
        with pytest.raises(ZeroDivisionError):
            await revoked(revocations)
    new = load_or_create(tmp_path, "alice").user
    assert finish_revocation(StateDir(tmp_path), "alice")
    assert load_or_create(tmp_path, "alice").user.public == new.public


def test_where_nothing_can_be_written_nothing_is_begun(tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(revocation, "write_private", full)
    with pytest.raises(OSError, match="No space"):
        begun(tmp_path)
    assert load_revocation(tmp_path, "alice") is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"v": 2}', "x" * 5000])
def test_a_damaged_wish_is_no_reason_to_publish_the_key_again(tmp_path, text):
    begun(tmp_path)
    (tmp_path / "users" / "alice.revoking").write_text(text)
    with pytest.raises(DamagedFile, match="a wish to revoke") as caught:
        load_revocation(tmp_path, "alice")
    assert "keys revoke" in caught.value.hint


async def test_it_is_tried_again_until_it_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(revocation, "RETRY_S", 0.01)
    revocations, _ = begun(tmp_path)
    answers = iter([EnrolmentFailed("nobody answers"), OSError(28, "No space"), EnrolmentRefused("revoked", "done")])
    stopping = asyncio.Event()

    async def go_on(user: str) -> None:
        if (await revocations.carry_out(user, ring=None, ask=answering(next(answers)))).server:
            stopping.set()

    await revocations.run(go_on, stopping)
    assert revocations.users() == ()


@pytest.mark.parametrize(
    "error", [LocalError("not open"), RemoteError("gone"), OSError(5, "I/O error")], ids=["local", "remote", "os"]
)
async def test_whatever_a_try_comes_to_the_next_is_made(tmp_path, monkeypatch, error):
    monkeypatch.setattr(revocation, "RETRY_S", 0.01)
    told: list[str] = []
    revocations, _ = begun(tmp_path, told)
    tries, stopping = iter([error, error, None]), asyncio.Event()

    async def go_on(_user: str) -> None:
        if (problem := next(tries)) is not None:
            raise problem
        await revoked(revocations)
        stopping.set()

    await revocations.run(go_on, stopping)
    assert revocations.users() == ()
    assert all(str(error) in text for text in told)
    assert told


async def test_a_damaged_key_file_is_told_of_once_and_the_end_comes_when_it_is_away(tmp_path, monkeypatch):
    monkeypatch.setattr(revocation, "RETRY_S", 0.01)
    told: list[str] = []
    revocations, _ = begun(tmp_path, told)
    key = tmp_path / "users" / "alice.key"
    key.write_text("damaged")
    stopping, tries = asyncio.Event(), 0

    async def go_on(_user: str) -> None:
        nonlocal tries
        tries += 1
        if tries == 3:
            key.unlink()
        await revoked(revocations)
        stopping.set()

    await revocations.run(go_on, stopping)
    assert (tries, revocations.users()) == (3, ())
    assert ["alice.key" in text for text in told] == [True]


class FullRing:
    """A ring of which too many requests wait for their turn."""

    async def bury(self, _tombstone: object) -> frozenset[int]:
        raise LocalError("too many requests wait for their turn")


async def test_a_ring_that_fails_does_not_keep_the_wish_from_the_server(tmp_path):
    revocations, _ = begun(tmp_path)
    answer = answering(EnrolmentRefused("revoked", "the key is revoked"))
    wish = await revocations.carry_out("alice", ring=FullRing(), ask=answer)
    assert (wish.holders, wish.server) == (0, True)
