"""Whose calls a device takes, what both sides keep of them, and a pinned contact whose key became another's."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio

from tests.support.cast import HOST, Cast
from tests.support.programs import Program, command
from tests.support.sip_client import SipClient, status_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ring() -> AsyncIterator[Cast]:
    """Run alice, who takes everybody's calls, and bob, who alone of his adapter takes those of his contacts."""
    with tempfile.TemporaryDirectory(prefix="secp2psip-test-") as folder:
        async with Cast(folder=Path(folder)) as cast:
            await cast.start_bootstrap(k=3, n=7)
            await cast.start_adapter("alice")
            await cast.start_adapter("bob", "--accept", "nobody", "--accept", "bob=contacts")
            for user in ("alice", "bob"):
                await cast.register(user)
            yield cast


async def call(ring: Cast, caller: str, callee: str) -> int:
    """Let the caller's phone call and return the final status."""
    phone = await SipClient().open(HOST)
    try:
        assert status_of(await phone.register(caller, ring.sip[caller])) == 200
        host, port = ring.sip[caller]
        message = phone.request("INVITE", f"sip:{callee}@{host}:{port}", caller)
        phone.send(message, ring.sip[caller])
        answer = await phone.final()
        phone.send(phone.ack(message, answer), ring.sip[caller])
    finally:
        phone.close()
    return status_of(answer)


async def last_receipt(ring: Cast, user: str) -> dict[str, Any]:
    return (await ring.ask(user, "calls"))["calls"][-1]


async def counted(ring: Cast, user: str, what: str) -> int:
    return (await ring.ask(user, "status"))["counters"].get(what, 0)


async def test_a_stranger_is_declined_without_a_lookup_and_both_sides_keep_it(ring: Cast):
    assert await call(ring, "alice", "bob") == 603
    assert await counted(ring, "bob", "refused: refused") == 1
    assert await counted(ring, "bob", "looked up") == 0
    assert await counted(ring, "alice", "looked up") == 1
    kept = await last_receipt(ring, "alice")
    assert (kept["side"], kept["caller"], kept["callee"], kept["status"]) == ("caller", "alice", "bob", 603)
    assert kept["basis"] == "signatures"  # two nodes bear no polynomial, and the receipt says so
    missed = await last_receipt(ring, "bob")
    assert (missed["side"], missed["caller"], missed["callee"], missed["code"]) == (
        "callee",
        "alice",
        "bob",
        "refused",
    )
    assert "basis" not in missed  # who she is was not looked at


async def test_who_was_called_is_a_contact_and_may_call_back(ring: Cast):
    assert await call(ring, "bob", "alice") == 302
    assert await call(ring, "alice", "bob") == 302
    assert await counted(ring, "bob", "looked up") == 2  # alice to be called, and alice as she calls
    (contact,) = (await ring.ask("bob", "contacts"))["contacts"]
    sides = [await last_receipt(ring, user) for user in ("alice", "bob")]
    assert [kept["side"] for kept in sides] == ["caller", "callee"]
    assert {(kept["caller"], kept["callee"], kept["status"]) for kept in sides} == {("alice", "bob", 302)}
    assert sides[1]["thumbprint"] == contact["thumbprint"]  # each side proved the other's key
    own = (await ring.ask("alice", "keys", "show", "--user", "alice"))["fingerprint"]
    (told,) = (await ring.ask("alice", "status"))["users"]
    assert own == told["fingerprint"] == contact["fingerprint"]  # what two people read to each other
    assert all(kept["pieces"] and kept["liars"] == [] for kept in sides)


async def test_a_contact_whose_name_went_to_another_key_is_not_called_until_a_person_says_so(ring: Cast):
    """The operator gives alice's name to a new device: all on the ring is in order, and it is not the same alice."""
    released = await Program.start(
        "release",
        [command("secp2psip-bootstrap"), "names", "release", "alice", "--data", str(ring.folder / "bootstrap")],
        folder=ring.folder,
    )
    assert await released.wait(20) == 0
    await ring.adapters["alice"].stop()
    shutil.rmtree(ring.state("alice"))
    await ring.start_adapter("alice")
    await ring.register("alice")
    assert await call(ring, "bob", "alice") == 438
    kept = await last_receipt(ring, "bob")
    assert (kept["side"], kept["callee"], kept["status"]) == ("caller", "alice", 438)
    assert await call(ring, "alice", "bob") == 403  # and she does not get in by the name of a contact
    assert (await last_receipt(ring, "bob"))["code"] == "unverified"
    await ring.ask("bob", "contacts", "forget", "alice")
    assert await call(ring, "bob", "alice") == 302
