"""`--via` of call and listen: a phone of an adapter that counts no host as its own, and so asks for a password."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from adapter.sip.endpoint import SipEndpoint
from adapter.sip.phone_secret import PhoneSecret
from adapter.sip.verdict import IncomingInvite, InviteVerdict, RegisterVerdict
from adapter.softphone.phone import Softphone
from tests.support.programs import Program, command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.audio
HOST = "127.0.0.1"
PASSWORD = "correct horse"


class Service:
    """An adapter's SIP side that sends every call to one phone."""

    def __init__(self, contact: str) -> None:
        self._contact = contact
        self.endpoint = SipEndpoint(
            accepts=lambda _host: False, phones={"alice": PhoneSecret.from_password("alice", PASSWORD)}, handler=self
        )

    async def on_register(self, _user: str) -> RegisterVerdict:
        return RegisterVerdict()

    async def on_invite(self, _call: IncomingInvite) -> InviteVerdict:
        return InviteVerdict(contacts=(self._contact,))

    def serves(self, user: str) -> bool:
        return user in {"alice", "bob"}

    def is_own_host(self, host: str, _port: int | None) -> bool:
        return host == HOST


@pytest.fixture
async def bob() -> AsyncIterator[Softphone]:
    async with Softphone() as phone:
        await phone.start(host=HOST, user="bob", auto_answer=True, encrypt=False)
        yield phone


@pytest.fixture
async def service(bob: Softphone) -> AsyncIterator[Service]:
    made = Service(f"sip:bob@{bob.address}")
    await made.endpoint.open(HOST, 0)
    yield made
    await made.endpoint.close()


async def call(service: Service, folder: Path, password: str, *words: str) -> Program:
    file = folder / "password"
    file.touch(mode=0o600)
    file.write_text(f"{password}\n")
    via = "{}:{}".format(*service.endpoint.address)
    argv = ["call", "bob", "--user", "alice", "--via", via, "--password-file", str(file), "--state", str(folder / "no")]
    silent = ["--mic", "none", "--speaker", "none", "--json"]
    return await Program.start("alice", [command("secp2psip"), *argv, *silent, *words], folder=folder)


async def test_a_call_goes_through_an_adapter_that_asks_for_a_password(service, bob, tmp_path):
    alice = await call(service, tmp_path, PASSWORD, "--duration", "1")
    try:
        assert await alice.wait(20) == 0, alice.tail()
        up = next(event for event in alice.events if event["event"] == "established")
        assert up["via"] == "{}:{}".format(*service.endpoint.address)
        assert (up["verified"], up["peer"]) == (False, "bob")
        assert up["remote_uri"].startswith(f"sip:bob@{bob.address}")
    finally:
        await alice.stop()


async def test_who_listens_through_such_an_adapter_is_called_by_the_contact_that_it_registered(service, tmp_path):
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_text(PASSWORD)
    via = "{}:{}".format(*service.endpoint.address)
    argv = ["listen", "--user", "alice", "--via", via, "--password-file", str(file), "--state", str(tmp_path / "no")]
    silent = ["--mic", "none", "--speaker", "none", "--json", "--auto-answer", "--calls", "1"]
    alice = await Program.start("alice", [command("secp2psip"), *argv, *silent, "--allow-unannounced"], folder=tmp_path)
    try:
        await alice.expect(lambda event: event["event"] == "listening", within_s=20, what="listening")
        binding = service.endpoint.contacts("alice")[0]
        async with Softphone() as caller:
            await caller.start(host=HOST, user="bob", encrypt=False)
            await caller.call(binding.uri)
            up = await alice.expect(lambda event: event["event"] == "established", within_s=10, what="a call")
            assert up["verified"] is False
            await caller.hangup()
            assert await alice.wait(10) == 0, alice.tail()
    finally:
        await alice.stop()


async def test_a_wrong_password_ends_with_the_cure(service, tmp_path):
    alice = await call(service, tmp_path, "guessed")
    try:
        assert await alice.wait(20) == 1, alice.tail()
        error = next(event for event in alice.events if event["event"] == "error")
        assert error["code"] == "refused_phone"
        assert error["hint"] == "is it the password that stands for alice in [phones] of config.toml on that host?"
        assert "guessed" not in alice.tail(100)
    finally:
        await alice.stop()


async def test_the_phone_that_a_302_leads_to_learns_nothing_of_the_password(tmp_path):
    heard: list[str] = []

    class Nosy(asyncio.DatagramProtocol):
        """A phone that asks for a password in the adapter's own realm."""

        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, source):
            request = data.decode()
            heard.append(request)
            if not request.startswith("INVITE "):
                return
            kept = [line for line in request.split("\r\n") if line.split(":")[0] in {"Via", "From", "Call-ID", "CSeq"}]
            to = next(line for line in request.split("\r\n") if line.startswith("To:"))
            ask = 'WWW-Authenticate: Digest realm="secp2psip", nonce="00", algorithm=MD5, qop="auth"'
            answer = ["SIP/2.0 401 Unauthorized", *kept, f"{to};tag=nosy", ask, "Content-Length: 0", "", ""]
            self.transport.sendto("\r\n".join(answer).encode(), source)

    nosy, _ = await asyncio.get_running_loop().create_datagram_endpoint(Nosy, local_addr=(HOST, 0))
    service = Service("sip:bob@{}:{}".format(*nosy.get_extra_info("sockname")))
    await service.endpoint.open(HOST, 0)
    alice = await call(service, tmp_path, PASSWORD)
    try:
        assert await alice.wait(20) != 0
        assert any(request.startswith("INVITE ") for request in heard), alice.tail()
        assert not [request for request in heard if "uthorization:" in request]
    finally:
        await alice.stop()
        await service.endpoint.close()
        nosy.close()


async def test_nobody_there_is_said_with_the_cure(tmp_path):
    with_nobody = Service("")
    with_nobody.endpoint = type("At", (), {"address": (HOST, 9)})
    alice = await call(with_nobody, tmp_path, PASSWORD)
    try:
        assert await alice.wait(60) == 4, alice.tail()
        error = next(event for event in alice.events if event["event"] == "error")
        assert error["hint"].startswith("does secp2psip adapter run there")
    finally:
        await alice.stop()
