"""The SIP endpoint and a real phone: PJSIP registers, calls, follows the 302, cancels, leaves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from adapter.sip.endpoint import SipEndpoint
from adapter.sip.verdict import IncomingInvite, InviteVerdict, RegisterVerdict
from adapter.softphone import events
from adapter.softphone.phone import PhoneError, Softphone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.audio


class Service:
    """Sends every call to the phone that is registered under the callee's name at this very endpoint."""

    def __init__(self) -> None:
        self.endpoint = SipEndpoint(accepts=lambda host: True, handler=self, on_ack=self.acknowledge)
        self.acknowledged: list[IncomingInvite] = []
        self.verdict: InviteVerdict | None = None
        self.registration = RegisterVerdict()
        self.asked = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.gate = asyncio.Event()

    async def on_register(self, user: str) -> RegisterVerdict:
        return self.registration

    async def on_invite(self, call: IncomingInvite) -> InviteVerdict:
        self.asked.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return self.verdict or InviteVerdict(contacts=(self.endpoint.contacts(call.callee)[0].uri,))

    def acknowledge(self, call: IncomingInvite) -> None:
        self.acknowledged.append(call)

    def serves(self, user: str) -> bool:
        return user in {"alice", "bob"}

    def is_own_host(self, host: str, port: int | None) -> bool:
        return host == "127.0.0.1"

    @property
    def registrar(self) -> str:
        return "{}:{}".format(*self.endpoint.address)

    def uri(self, user: str) -> str:
        return f"sip:{user}@{self.registrar}"


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    await service.endpoint.open("127.0.0.1", 0)
    yield service
    await service.endpoint.close()


async def start(service: Service, user: str) -> Softphone:
    phone = Softphone()
    await phone.start(host="127.0.0.1", user=user, registrar=service.registrar, auto_answer=True)
    return phone


async def wait_for(phone: Softphone, kind: type[events.Event]) -> events.Event:
    async with asyncio.timeout(15):
        while not isinstance(event := await phone.events.get(), kind):
            pass
        return event


async def test_two_phones_register_and_one_is_sent_to_the_other(service):
    async with await start(service, "alice") as alice, await start(service, "bob") as bob:
        await alice.register()
        await bob.register()
        (binding,) = service.endpoint.contacts("bob")
        service.gate.set()
        await alice.call(service.uri("bob"))
        redirected = await wait_for(alice, events.Redirected)
        await wait_for(alice, events.Established)
        await wait_for(bob, events.Established)
        assert str(binding.port) in redirected.contact
        assert [(call.caller, call.callee) for call in service.acknowledged] == [("alice", "bob")]
        await alice.hangup()
        await wait_for(bob, events.Ended)
    assert service.endpoint.contacts("alice") == service.endpoint.contacts("bob") == ()
    assert service.endpoint.counters["answered 302"] == 1
    assert service.endpoint.counters["faults"] == 0


async def test_a_phone_that_gives_up_during_the_lookup_ends_the_lookup(service):
    async with await start(service, "alice") as alice:
        await alice.register()
        await alice.call(service.uri("bob"))
        await service.asked.wait()
        await wait_for(alice, events.Trying)
        await alice.hangup()
        ended = await wait_for(alice, events.Ended)
        await service.cancelled.wait()
        assert ended.status == 487


async def test_the_reason_of_a_refusal_reaches_the_phone(service):
    service.verdict = InviteVerdict(status=404, reason="Nobody is called bob")
    service.gate.set()
    async with await start(service, "alice") as alice:
        await alice.register()
        await alice.call(service.uri("bob"))
        ended = await wait_for(alice, events.Ended)
        assert ended.status == 404
        assert "Nobody is called bob" in ended.reason


async def test_a_refused_registration_is_told_to_the_phone(service):
    service.registration = RegisterVerdict(status=403, reason="The name is taken")
    async with await start(service, "alice") as alice:
        with pytest.raises(PhoneError, match="403 The name is taken") as error:
            await alice.register()
        assert error.value.status == 403
    assert service.endpoint.contacts("alice") == ()
