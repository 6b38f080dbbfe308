"""A key is revoked while the bootstrap server is dead: the wish outlives a crash and is carried out once it is back."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from adapter.keystore import load_or_create, load_private
from adapter.membership import Membership
from adapter.problems import Problem
from adapter.revocation import load_revocation
from adapter.service_config import ServiceConfig
from adapter.state import StateDir
from tests.integration.bootstrap_support import HOST, serving
from tests.support.cast import Cast, is_event
from tests.support.programs import Program, command
from tests.support.scene import scene
from tests.support.sip_client import SipClient, status_of

if TYPE_CHECKING:
    from typing import Any


async def revoke(cast: Cast) -> tuple[int, dict[str, Any]]:
    """Say `keys revoke` and return its exit code and what it told."""
    words = ("keys", "revoke", "--yes", "--user", "bob", "--state", cast.state("bob"), "--json")
    program = await Program.start("keys revoke", [command("secp2psip"), *words], folder=cast.folder)
    code = await program.wait(20)
    return code, next(event for event in program.events if event["event"] == "key-revoked")


async def bobs_row(cast: Cast) -> tuple[dict[str, Any], list[str]]:
    status = await cast.ask("bob", "status")
    return next(row for row in status["users"] if row["user"] == "bob"), status["warnings"]


async def statuses_of_bobs_phone(cast: Cast) -> tuple[int, int]:
    """Let a phone register as bob and call alice; return the final statuses."""
    phone = await SipClient().open(HOST)
    cast.plain_phones.append(phone)
    registered = status_of(await phone.register("bob", cast.sip["bob"]))
    phone.send(phone.request("INVITE", "sip:alice@{}:{}".format(*cast.sip["bob"]), "bob"), cast.sip["bob"])
    return registered, status_of(await phone.final())


async def test_a_wish_to_revoke_outlives_a_crash_and_is_carried_out_when_the_server_is_back():
    async with scene("alice", "bob") as cast:
        state = Path(cast.state("bob"))
        key = load_private(state / "users" / "bob.key").public
        assert cast.bootstrap is not None
        await cast.bootstrap.kill()
        code, told = await revoke(cast)
        assert (code, told["server"]) == (1, False)
        assert told["holders"] >= 1
        assert told["why"]
        await cast.adapters["bob"].kill()
        await cast.start_adapter("bob")
        row, warnings = await bobs_row(cast)
        # nothing of it is published: not registered, no upkeep, and it says why
        assert (row["registered"], row["placed"], row["holders"]) == (False, "", {})
        assert (row["revoking"]["server"], row["revoking"]["since"]) == (False, told["since"])
        assert any("bob is being revoked" in text for text in warnings)
        shown = await cast.ask("bob", "keys", "show", "--user", "bob")
        assert "bootstrap server does not yet" in shown["revoking"]["text"]
        registered, called = await statuses_of_bobs_phone(cast)
        assert registered == 503
        assert called in {401, 403}
        await cast.adapters["bob"].kill()
        await cast.start_bootstrap(k=3, n=7)
        await cast.start_adapter("bob")
        await cast.adapters["bob"].expect(is_event("key-revoked", server=True), within_s=20, what="the end of it")
        assert load_revocation(state, "bob") is None
        assert not (state / "users" / "bob.json").exists()
        assert load_private(state / "users" / "bob.revoked").public == key


def membership_of(folder: Path, bootstrap: tuple[str, int]) -> Membership:
    """Return bob's place on the ring, not started."""
    config = ServiceConfig(users=("bob",), state_dir=folder, bootstrap=bootstrap, sip=(HOST, 0), ring=(HOST, 0))
    return Membership(
        config,
        StateDir(folder),
        {"bob": load_or_create(folder, "bob")},
        on_line=lambda _peer, _line: None,
        warn=lambda _text, _hint: None,
    )


def silent(_step: str, _detail: dict[str, Any]) -> None:
    """Hear nothing."""


async def test_it_is_tried_again_without_a_restart_and_nothing_is_renewed_meanwhile(tmp_path, monkeypatch):
    monkeypatch.setattr("adapter.revocation.RETRY_S", 0.2)
    monkeypatch.setattr("adapter.renewal.RENEW_AFTER_S", -1)
    data = tmp_path / "bootstrap"
    done = asyncio.Event()
    async with contextlib.AsyncExitStack() as at_end:
        async with serving(data) as watched:
            address = watched.server.address
            bob = membership_of(tmp_path / "bob", address)
            at_end.push_async_callback(bob.stop)
            await bob.start()
            await bob.register("bob", silent)
            bob.revocations.on_done = lambda _user, _wish: done.set()
        answer = await bob.revoke("bob", silent)
        assert answer["server"] is False
        assert answer["why"].endswith("connection refused")
        assert bob.upkeep("bob") is None
        assert bob.enrolment("bob") is None
        assert not bob.settled("bob")
        with pytest.raises(Problem, match="being revoked"):
            await bob.register("bob", silent)
        async with serving(data, port=address[1]):
            await bob._renew()
            async with asyncio.timeout(8):
                await done.wait()
            assert bob.revocations.of("bob") is None
            assert (tmp_path / "bob" / "users" / "bob.revoked").exists()
