"""Somebody who sits at the bootstrap server's address without its key: his ERRORs prove nothing and end nothing."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from adapter.enrolment import EnrolmentFailed, ServerBusy, ask_challenge
from adapter.keystore import load_or_create
from adapter.membership import Membership
from adapter.revocation import load_revocation
from adapter.service_config import ServiceConfig
from adapter.state import StateDir
from bootstrap.announce import Announcer
from overlay.trust.identity import PrivateBundle
from overlay.wire.announcement import Announcement
from overlay.wire.envelope import seal_error
from overlay.wire.messages import ERROR_CODES, Error
from tests.integration.bootstrap_support import FACTS, HOST, Registrant, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

WITHIN_S = 8.0


class Taker:
    """What listens at the address: a line for everybody, and how many came for it."""

    def __init__(self, line: bytes) -> None:
        self._line = line
        self._heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._line)
        writer.write_eof()
        self._heard.put_nowait(await reader.read())
        writer.close()

    async def heard(self) -> bytes:
        """Return what one more visitor said after the line."""
        async with asyncio.timeout(WITHIN_S):
            return await self._heard.get()


@asynccontextmanager
async def taken(line: bytes, port: int = 0) -> AsyncIterator[tuple[Taker, tuple[str, int]]]:
    taker = Taker(line)
    server = await asyncio.start_server(taker.talk, HOST, port)
    try:
        yield taker, server.sockets[0].getsockname()
    finally:
        server.close()
        await server.wait_closed()


def forged(code: str, signer: PrivateBundle | None = None) -> bytes:
    return seal_error(Error(code=code, reason="so it is"), signer)


def device(folder: Path, bootstrap: tuple[str, int] | None, told: list[str]) -> Membership:
    config = ServiceConfig(users=("alice",), state_dir=folder, bootstrap=bootstrap, sip=(HOST, 0), ring=(HOST, 0))
    return Membership(
        config,
        StateDir(folder),
        {"alice": load_or_create(folder, "alice")},
        on_line=lambda _peer, _line: None,
        warn=lambda text, _hint: told.append(text),
    )


def silent(_step: str, _detail: dict[str, object]) -> None:
    """Hear nothing."""


@pytest.mark.parametrize("signer", [None, PrivateBundle.generate()], ids=["unsigned", "under a key of his own"])
async def test_a_forged_revoked_ends_no_revocation_and_the_true_server_hears_of_it(tmp_path, monkeypatch, signer):
    monkeypatch.setattr("adapter.revocation.RETRY_S", 0.2)
    folder, told, done = tmp_path / "alice", list[str](), asyncio.Event()
    key = load_or_create(folder, "alice").user.public
    async with AsyncExitStack() as at_end:
        async with serving(tmp_path / "bootstrap") as watched:
            address = watched.server.address
            alice = device(folder, address, told)
            at_end.push_async_callback(alice.stop)
            await alice.start()
            await alice.register("alice", silent)
        alice.revocations.on_done = lambda _user, _wish: done.set()
        async with taken(forged("revoked", signer), port=address[1]) as (taker, _):
            answer = await alice.revoke("alice", silent)
            assert await taker.heard() == b""
            # nor later, when it is tried again
            await taker.heard()
        assert answer["server"] is False
        assert "proves nothing" in answer["why"]
        assert not done.is_set()
        wish = load_revocation(folder, "alice")
        assert wish is not None
        assert (wish.server, wish.tombstone.thumbprint) == (False, key.thumbprint())
        assert StateDir(folder).load_enrolment("alice") is not None
        assert load_or_create(folder, "alice").user.public == key
        async with serving(tmp_path / "bootstrap", port=address[1]) as watched:
            async with asyncio.timeout(WITHIN_S):
                await done.wait()
            refused = watched.of("refused")
            assert refused
            assert {event["code"] for event in refused} == {"revoked"}
    assert load_revocation(folder, "alice") is None


@pytest.mark.parametrize("code", sorted({*ERROR_CODES} - {"busy"}))
async def test_an_error_before_the_challenge_is_no_refusal_whatever_its_code(code):
    async with taken(forged(code)) as (taker, address):
        with pytest.raises(EnrolmentFailed, match="proves nothing") as caught:
            await Registrant(aor="alice").enrol(address)
        assert caught.value.code == "enrolment_failed"
        assert await taker.heard() == b""
        with pytest.raises(EnrolmentFailed, match="proves nothing"):
            await ask_challenge(address)


async def test_who_says_that_the_server_is_busy_takes_time_and_no_more():
    async with taken(forged("busy")) as (taker, address):
        with pytest.raises(ServerBusy):
            await Registrant(aor="alice").enrol(address, timeout_s=0.5)
        assert await taker.heard() == b""


async def test_a_forged_taken_neither_ends_the_search_for_the_server_nor_tells_the_owner_that_the_name_is_lost(
    tmp_path, monkeypatch
):
    folder, told = tmp_path / "alice", list[str]()
    async with serving(tmp_path / "bootstrap") as watched:
        before = device(folder, watched.server.address, told)
        await before.start()
        await before.register("alice", silent)
        await before.stop()
        state = StateDir(folder)
        one = state.load_enrolment("alice")
        monkeypatch.setattr("adapter.renewal.RENEW_AFTER_S", -1)
        host, port = watched.server.address
        here = Announcement(overlay=FACTS.name, key=one.overlay_bundle.thumbprint(), host=host, port=port)
        async with taken(forged("taken")) as (taker, (_, false_port)), Announcer(here), AsyncExitStack() as at_end:
            state.save_server((HOST, false_port))
            alice = device(folder, None, told)
            at_end.push_async_callback(alice.stop)
            await alice.start()
            registered = watched.steps().count("SECP2PSIP REGISTERED")
            await alice._renew()
            assert await taker.heard() == b""
            assert watched.steps().count("SECP2PSIP REGISTERED") > registered
        assert told == []
        assert state.load_server() == (host, port)
