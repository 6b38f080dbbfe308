"""`secp2psip keys rotate` and `keys revoke` with real adapters on a real ring, and calls before, between and after."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from adapter.enrolment import enrol
from adapter.key_change import is_pending, next_key
from adapter.keystore import load_or_create, load_private
from adapter.state import StateDir
from overlay.trust.records import LookupRecord
from overlay.trust.succession import Succession, encode_chain
from tests.support.cast import HOST, Cast, is_event
from tests.support.programs import Program, command
from tests.support.scene import scene
from tests.support.sip_client import SipClient, status_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from overlay.trust.identity import PrivateBundle

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ring() -> AsyncIterator[Cast]:
    async with scene("alice", "bob") as cast:
        yield cast


async def call_bob(ring: Cast) -> str:
    """Let alice's phone call bob and return the final answer."""
    phone = await SipClient().open(HOST)
    try:
        assert status_of(await phone.register("alice", ring.sip["alice"])) == 200
        host, port = ring.sip["alice"]
        message = phone.request("INVITE", f"sip:bob@{host}:{port}", "alice")
        phone.send(message, ring.sip["alice"])
        answer = await phone.final()
        phone.send(phone.ack(message, answer), ring.sip["alice"])
    finally:
        phone.close()
    return answer


async def ran(ring: Cast, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """Run a command to its end; return its exit code and events."""
    program = await Program.start(" ".join(words[:2]), [command("secp2psip"), *words, "--json"], folder=ring.folder)
    return await program.wait(20), program.events


async def lookup(ring: Cast) -> dict[str, Any]:
    code, events = await ran(ring, "lookup", "bob", "--state", ring.state("alice"))
    assert code == 0
    return next(event for event in events if event["event"] == "lookup")


def key_of(ring: Cast, suffix: str) -> str:
    return load_private(Path(ring.state("bob")) / "users" / f"bob{suffix}").public.thumbprint().hex()


async def test_a_key_is_changed_while_calls_go_on(ring: Cast):
    assert status_of(await call_bob(ring)) == 302
    before = key_of(ring, ".key")
    code, events = await ran(ring, "keys", "rotate", "--user", "bob", "--state", ring.state("bob"))
    assert code == 0
    changed = next(event for event in events if event["event"] == "key-changed")
    assert changed["generation"] == 2
    assert changed["thumbprint"] == key_of(ring, ".key") != before == key_of(ring, ".former")
    assert status_of(await call_bob(ring)) == 302
    found = await lookup(ring)
    assert (found["generation"], found["liars"]) == (2, [])


async def ask_server(ring: Cast, new: PrivateBundle) -> None:
    """Do what the adapter did before it was killed: the server takes the new key, and nobody writes that down."""
    state = StateDir(Path(ring.state("bob")))
    keys, before = load_or_create(state.path, "bob"), state.load_enrolment("bob")
    word = Succession.issue(keys.user, aor="bob", generation=before.generation + 1, new=new.public)
    now = int(time.time())
    record = LookupRecord.issue(
        new,
        aor="bob",
        generation=word.generation,
        node_id=before.credential.node_id,
        host=HOST,
        port=9,
        sequence=now,
        issued_at=now,
        expires_at=now + 600,
        succession=encode_chain([word]),
    )
    host, port = ring.bootstrap_address.rsplit(":", 1)
    await enrol((host, int(port)), aor="bob", user=new, node_key=keys.node, record=lambda: record, word=word.encode())


@pytest.mark.parametrize(("server_agreed", "generation"), [(False, 3), (True, 4)])
async def test_a_change_that_was_cut_short_is_finished_at_the_next_start(ring: Cast, server_agreed, generation):
    await ring.adapters["bob"].kill()
    key = next_key(Path(ring.state("bob")), "bob")
    new = key.public.thumbprint().hex()
    if server_agreed:
        await ask_server(ring, key)
    await ring.start_adapter("bob")
    changed = await ring.adapters["bob"].expect(is_event("key-changed"), within_s=20, what="the change")
    assert changed["thumbprint"] == new == key_of(ring, ".key")
    assert not is_pending(Path(ring.state("bob")), "bob")
    await ring.register("bob")
    assert status_of(await call_bob(ring)) == 302
    assert (await lookup(ring))["generation"] == generation


async def test_after_a_restart_without_the_server_the_newest_key_answers(ring: Cast):
    await ring.bootstrap.kill()
    await ring.adapters["bob"].kill()
    await ring.start_adapter("bob")
    await ring.register("bob")
    answer = await call_bob(ring)
    assert status_of(answer) == 302


async def test_a_revoked_key_is_refused_in_words(ring: Cast):
    code, _ = await ran(ring, "keys", "revoke", "--user", "bob", "--state", ring.state("bob"))
    assert code == 2  # it asks to be meant
    code, events = await ran(ring, "keys", "revoke", "--yes", "--user", "bob", "--state", ring.state("bob"))
    told = next(event for event in events if event["event"] == "key-revoked")
    # the server is dead: the ring knows, and the command says that this is not all of it
    assert (code, told["server"]) == (1, False)
    assert told["holders"] >= 1
    answer = await call_bob(ring)
    assert re.match(r"SIP/2\.0 480 .*revoked", answer)
