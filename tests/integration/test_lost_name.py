"""A device whose name went to another key, or whose key was revoked, says so at its next renewal."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from adapter.keystore import load_or_create
from adapter.membership import Membership
from adapter.service_config import ServiceConfig
from adapter.state import StateDir
from bootstrap.cli import main
from tests.integration.bootstrap_support import HOST, Registrant, serving

if TYPE_CHECKING:
    from pathlib import Path


@asynccontextmanager
async def device(folder: Path, bootstrap: tuple[str, int], told: list[str]):
    """Run alice's place on the ring, registered."""
    config = ServiceConfig(users=("alice",), state_dir=folder, bootstrap=bootstrap, sip=(HOST, 0), ring=(HOST, 0))
    membership = Membership(
        config,
        StateDir(folder),
        {"alice": load_or_create(folder, "alice")},
        on_line=lambda _peer, _line: None,
        warn=lambda text, _hint: told.append(text),
    )
    await membership.start()
    await membership.register("alice", lambda _step, _detail: None)
    try:
        yield membership
    finally:
        await membership.stop()


@pytest.mark.parametrize(("verb", "why"), [("release", "taken"), ("revoke", "revoked")])
async def test_the_owner_of_a_lost_name_is_told(tmp_path, monkeypatch, capsys, verb, why):
    monkeypatch.setattr("adapter.renewal.RENEW_AFTER_S", -1)
    told: list[str] = []
    async with serving(tmp_path / "bootstrap") as watched:
        async with device(tmp_path / "alice", watched.server.address, told) as membership:
            await asyncio.to_thread(main, ["names", verb, "alice", "--data", str(tmp_path / "bootstrap")])
            if verb == "release":
                await Registrant(aor="alice").enrol(watched.server.address)
            await membership._renew()
        assert len([text for text in told if "lost" in text and why in text]) >= 1
    capsys.readouterr()
