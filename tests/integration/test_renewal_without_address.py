"""An adapter that is started again without an address renews with the server of last time, or with one it finds."""

from __future__ import annotations

import asyncio
import errno
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from adapter.keystore import load_or_create
from adapter.membership import Membership
from adapter.servers import NotRegistered
from adapter.service_config import ServiceConfig
from adapter.state import StateDir
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
    monkeypatch.setattr("adapter.membership.RENEW_AFTER_S", -1)


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
async def test_a_full_disk_ends_neither_the_renewals_nor_the_way_back_to_the_ring(tmp_path, monkeypatch):
    for pause in ("REJOIN_EVERY_S", "PEERS_KEPT_EVERY_S", "RENEW_RETRY_S"):
        monkeypatch.setattr(f"adapter.membership.{pause}", 0.02)
    async with serving(tmp_path / "bootstrap") as watched:
        await registered(tmp_path / "alice", watched.server.address)
        kept, tried, written = StateDir.save_enrolment, [], asyncio.Event()

        def full(*_rows, **_named):
            raise OSError(errno.ENOSPC, "no space left on device")

        def on_a_full_disk(self, user, enrolment):
            tried.append(user)
            if len(tried) == 1:
                full()
            kept(self, user, enrolment)
            written.set()

        monkeypatch.setattr(StateDir, "save_peers", full)
        monkeypatch.setattr(StateDir, "save_enrolment", on_a_full_disk)
        async with device(tmp_path / "alice", None):
            await asyncio.wait_for(written.wait(), 8)
            assert len(tried) >= 2
