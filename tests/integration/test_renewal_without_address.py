"""An adapter that is started again without an address renews with the server of last time, or with one it finds."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from adapter.keystore import USERS_DIR, load_or_create
from adapter.membership import Membership
from adapter.servers import NotRegistered
from adapter.service_config import ServiceConfig
from adapter.state import PEERS_FILE, StateDir
from bootstrap.announce import Announcer
from overlay.wire.announcement import Announcement
from tests.integration.bootstrap_support import FACTS, HOST, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NOBODY = 9
"""A port of the host that no server listens at (discard)."""


@asynccontextmanager
async def device(
    folder: Path, bootstrap: tuple[str, int] | None, told: list[str] | None = None
) -> AsyncIterator[Membership]:
    """Run alice's place on the ring."""
    config = ServiceConfig(users=("alice",), state_dir=folder, bootstrap=bootstrap, sip=(HOST, 0), ring=(HOST, 0))
    membership = Membership(
        config,
        StateDir(folder),
        {"alice": load_or_create(folder, "alice")},
        on_line=lambda _peer, _line: None,
        warn=lambda text, _hint: None if told is None else told.append(text),
    )
    await membership.start()
    try:
        yield membership
    finally:
        await membership.stop()


async def registered(folder: Path, address: tuple[str, int]) -> StateDir:
    """Register alice, let her adapter stop, and return what it wrote down."""
    async with device(folder, address) as membership:
        await membership.register("alice", lambda _step, _detail: None)
    return StateDir(folder)


async def renewals(watched, membership: Membership) -> int:
    """Return how many registrations the server ended while the adapter renewed what it has."""
    before = watched.steps().count("SECP2PSIP REGISTERED")
    await membership._renew()
    return watched.steps().count("SECP2PSIP REGISTERED") - before


@pytest.fixture
def old(monkeypatch) -> None:
    """Let everything be old enough for a renewal."""
    monkeypatch.setattr("adapter.renewal.RENEW_AFTER_S", -1)


@pytest.mark.usefixtures("old")
async def test_it_asks_the_server_of_last_time(tmp_path):
    async with serving(tmp_path / "bootstrap") as watched:
        state = await registered(tmp_path / "alice", watched.server.address)
        assert state.load_server() == watched.server.address
        async with device(tmp_path / "alice", None) as membership:
            assert await renewals(watched, membership) >= 1


@pytest.mark.usefixtures("old")
async def test_it_finds_the_server_that_moved_by_its_key(tmp_path):
    async with serving(tmp_path / "bootstrap") as watched:
        host, port = watched.server.address
        state = await registered(tmp_path / "alice", (host, port))
        one = state.load_enrolment("alice")
        key = one.overlay_bundle.thumbprint()
        state.save_server((HOST, NOBODY))
        impostor = Announcement(overlay=FACTS.name, key=secrets.token_bytes(16), host=HOST, port=NOBODY)
        here = Announcement(overlay=FACTS.name, key=key, host=host, port=port)
        async with Announcer(impostor), Announcer(here), device(tmp_path / "alice", None) as membership:
            assert await renewals(watched, membership) >= 1
        assert state.load_server() == (host, port)


@pytest.mark.usefixtures("old")
async def test_another_server_at_the_old_address_gets_nobody(tmp_path):
    async with serving(tmp_path / "bootstrap") as watched:
        address = watched.server.address
        state = await registered(tmp_path / "alice", address)
    before = state.load_enrolment("alice")
    async with (
        serving(tmp_path / "other", port=address[1]) as other,
        device(tmp_path / "alice", None) as membership,
    ):
        assert await renewals(other, membership) == 0
    assert state.load_enrolment("alice") == before


async def test_who_is_not_registered_asks_nobody_whose_key_is_unknown(tmp_path):
    async with serving(tmp_path / "bootstrap") as watched:
        StateDir(tmp_path / "alice").save_server(watched.server.address)
        async with device(tmp_path / "alice", None) as membership:
            with pytest.raises(NotRegistered, match="no bootstrap server is known"):
                await membership.register("alice", lambda _step, _detail: None)
        assert watched.steps() == []


@pytest.mark.usefixtures("old")
async def test_files_that_cannot_be_written_end_neither_the_renewals_nor_the_way_back_to_the_ring(
    tmp_path, monkeypatch
):
    for pause in ("REJOIN_EVERY_S", "PEERS_KEPT_EVERY_S", "RENEW_RETRY_S"):
        monkeypatch.setattr(f"adapter.membership.{pause}", 0.02)
    async with serving(tmp_path / "bootstrap") as watched:
        state = await registered(tmp_path / "alice", watched.server.address)
        before = state.load_enrolment("alice")
        asked = watched.steps().count("SECP2PSIP REGISTERED")
        files = [state.path / PEERS_FILE, state.path / USERS_DIR / "alice.json"]
        async with device(tmp_path / "alice", None):
            for file in files:  # what no file can be renamed over fails each write at its last step
                file.unlink(missing_ok=True)
                (file / "in the way").mkdir(parents=True)
            async with asyncio.timeout(8):
                while watched.steps().count("SECP2PSIP REGISTERED") < asked + 2:  # noqa: ASYNC110 -- the server's doing
                    await asyncio.sleep(0.02)
                assert all(file.is_dir() for file in files)
                for file in files:
                    (file / "in the way").rmdir()
                    file.rmdir()
                while not all(file.is_file() for file in files):  # noqa: ASYNC110 -- the adapter's doing
                    await asyncio.sleep(0.02)
        assert state.load_enrolment("alice").pieces[0].share == before.pieces[0].share
