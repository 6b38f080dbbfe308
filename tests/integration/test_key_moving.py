"""A key is exported, the device is lost, the key is imported on a new one: it is the same alice for everybody."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

from tests.support.cast import HOST, Cast
from tests.support.programs import Program, command
from tests.support.scene import scene
from tests.support.sip_client import SipClient, status_of


async def call_alice(ring: Cast) -> int:
    """Let bob's phone call alice and return the final status."""
    phone = await SipClient().open(HOST)
    try:
        assert status_of(await phone.register("bob", ring.sip["bob"])) == 200
        host, port = ring.sip["bob"]
        message = phone.request("INVITE", f"sip:alice@{host}:{port}", "bob")
        phone.send(message, ring.sip["bob"])
        answer = await phone.final()
        phone.send(phone.ack(message, answer), ring.sip["bob"])
    finally:
        phone.close()
    return status_of(answer)


async def keys(ring: Cast, *words: str) -> int:
    program = await Program.start(
        f"keys {words[0]}", [command("secp2psip"), "keys", *words, "--json"], folder=ring.folder
    )
    return await program.wait(30)


async def test_the_name_goes_with_the_key_to_a_new_device_and_contacts_follow():
    async with scene("alice", "bob") as ring:
        assert await call_alice(ring) == 302  # bob has pinned her first key
        assert await keys(ring, "rotate", "--user", "alice", "--state", ring.state("alice")) == 0
        file, secret = ring.folder / "alice.export", ring.folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text("correct horse battery staple\n")
        words = (str(file), "--passphrase-file", str(secret), "--state", ring.state("alice"))
        assert await keys(ring, "export", "--user", "alice", *words) == 0
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        before = (await ring.ask("alice", "keys", "show", "--user", "alice"))["thumbprint"]
        assert await keys(ring, "import", *words) != 0  # an adapter runs there
        await ring.adapters["alice"].stop()
        shutil.rmtree(ring.state("alice"))

        assert await keys(ring, "import", *words) == 0
        assert {path.name for path in (Path(ring.state("alice")) / "users").iterdir()} == {"alice.key", "alice.line"}
        await ring.start_adapter("alice")
        await ring.register("alice")  # the bootstrap server takes the same key again, from another node
        assert (await ring.ask("alice", "keys", "show", "--user", "alice"))["thumbprint"] == before
        assert await call_alice(ring) == 302  # the pin is of her first key: the link came along
        (contact,) = (await ring.ask("bob", "contacts"))["contacts"]
        assert (contact["thumbprint"], contact["generation"]) == (before, 2)
