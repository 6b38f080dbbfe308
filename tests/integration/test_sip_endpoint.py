"""The SIP endpoint with real UDP sockets on loopback: what a phone sees, datagram by datagram."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from adapter.sip.endpoint import SipEndpoint
from adapter.sip.verdict import IncomingInvite, InviteVerdict, RegisterVerdict
from tests.support.sip_phone import Answer, UdpPhone, spell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

BOB = "sip:bob@192.0.2.7:5062;x=0123"


class Service:
    """The part of the adapter behind the endpoint, reduced to what it was told to answer."""

    def __init__(self) -> None:
        self.registered: list[str] = []
        self.calls: list[IncomingInvite] = []
        self.cancelled: list[IncomingInvite] = []
        self.acknowledged: list[IncomingInvite] = []
        self.on_register_answer = RegisterVerdict()
        self.lookup: Callable[[IncomingInvite], InviteVerdict] = lambda call: InviteVerdict(contacts=(BOB,))
        self.gate: asyncio.Event | None = None

    async def on_register(self, user: str) -> RegisterVerdict:
        self.registered.append(user)
        if self.gate is not None:
            await self.gate.wait()
        return self.on_register_answer

    async def on_invite(self, call: IncomingInvite) -> InviteVerdict:
        self.calls.append(call)
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(call)
            raise
        return self.lookup(call)

    def serves(self, user: str) -> bool:
        return user in {"alice", "carol"}

    def is_own_host(self, host: str, port: int | None) -> bool:
        return host in {"127.0.0.1", "localhost"}


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
async def endpoint(service: Service) -> AsyncIterator[SipEndpoint]:
    endpoint = SipEndpoint(
        accepts=lambda host: host == "127.0.0.1", handler=service, on_ack=service.acknowledged.append
    )
    await endpoint.open("127.0.0.1", 0)
    yield endpoint
    await endpoint.close()


@pytest.fixture
async def phone(endpoint: SipEndpoint) -> AsyncIterator[UdpPhone]:
    phone = await UdpPhone.open(endpoint.address)
    yield phone
    await phone.close()


async def register(phone: UdpPhone, user: str = "alice", *, cseq: int = 1) -> Answer:
    host, port = phone.address
    contact = f"Contact: <sip:{user}@{host}:{port}>"
    return await phone.ask(spell(user=user, cseq=cseq, call_id=f"reg-{user}", headers=(contact, "Expires: 120")))


def invite(callee: str = "bob", *, method: str = "INVITE", **fields: object) -> bytes:
    fields = {"branch": ";branch=z9hG4bK-invite", "to": f"<sip:{callee}@127.0.0.1>", **fields}
    return spell(method, uri=f"sip:{callee}@127.0.0.1:5070", **fields)  # type: ignore[arg-type]


async def test_register_is_answered_200_with_its_contact_and_expires(endpoint, phone, service):
    answer = await register(phone)
    host, port = phone.address
    assert (answer.status, answer.one("Contact")) == (200, f"<sip:alice@{host}:{port}>;expires=120")
    assert service.registered == ["alice"]
    (binding,) = endpoint.contacts("alice")
    assert (binding.uri, binding.host, binding.port) == (f"sip:alice@{host}:{port}", host, port)
    assert (binding.transport, binding.source) == ("udp", phone.address)


async def test_the_answer_says_where_the_request_came_from(phone):
    answer = await register(phone)
    assert answer.one("Via").endswith(f";received=127.0.0.1;rport={phone.address[1]}")


async def test_a_retransmitted_register_is_answered_again_without_a_second_question(phone, service):
    data = spell(headers=("Contact: <sip:alice@127.0.0.1:5062>",))
    first = await phone.ask(data)
    second = await phone.ask(data)
    assert first.raw == second.raw
    assert service.registered == ["alice"]


async def test_a_register_retransmitted_while_it_is_worked_on_is_absorbed(phone, service, endpoint):
    service.gate = asyncio.Event()
    data = spell(headers=("Contact: <sip:alice@127.0.0.1:5062>",))
    phone.send(data)
    phone.send(data)
    # the answer to OPTIONS proves that both datagrams before it were taken
    assert (await phone.ask(spell("OPTIONS"))).status == 200
    service.gate.set()
    assert (await phone.answer()).one("CSeq") == "1 REGISTER"
    assert phone.answers.empty()
    assert service.registered == ["alice"]
    assert endpoint.counters["retransmissions"] == 1


async def test_nothing_is_stored_when_the_overlay_refuses(endpoint, phone, service):
    service.on_register_answer = RegisterVerdict(
        status=503, reason="No bootstrap server", retry_after=7, warning="is it on?"
    )
    answer = await register(phone)
    assert (answer.status, answer.reason, answer.one("Retry-After")) == (503, "No bootstrap server", "7")
    assert answer.one("Warning") == '399 secp2psip "is it on?"'
    assert endpoint.contacts("alice") == ()


async def test_an_invite_gets_100_then_302_and_its_ack_stops_the_retransmission(endpoint, phone, service):
    await register(phone)
    trying = await phone.ask(invite())
    assert (trying.status, trying.to_tag) == (100, "")
    moved = await phone.answer()
    assert (moved.status, moved.one("Contact")) == (302, f"<{BOB}>")
    again = await phone.answer()
    assert again.raw == moved.raw
    phone.send(invite(method="ACK", to=moved.one("To")))
    await phone.ask(spell("OPTIONS"))
    assert endpoint.counters["resent by timer"] == 1
    # the next retransmission would have come a second after the first
    with pytest.raises(TimeoutError):
        await phone.answer(1.3)
    (call,) = service.calls
    assert service.acknowledged == [call]
    assert (call.caller, call.callee, call.call_id, call.from_tag) == ("alice", "bob", "call-1@phone", "from-1")
    assert call.source == phone.address


async def test_the_same_invite_twice_is_one_lookup(phone, service):
    await register(phone)
    service.gate = asyncio.Event()
    assert (await phone.ask(invite())).status == 100
    assert (await phone.ask(invite())).status == 100
    service.gate.set()
    moved = await phone.answer()
    assert (await phone.ask(invite())).raw == moved.raw
    assert len(service.calls) == 1


async def test_cancel_during_the_lookup_gives_200_and_487_and_ends_the_lookup(phone, service):
    await register(phone)
    service.gate = asyncio.Event()
    await phone.ask(invite())
    cancelled = await phone.ask(invite(method="CANCEL"))
    terminated = await phone.answer()
    assert (cancelled.status, cancelled.one("CSeq")) == (200, "1 CANCEL")
    assert (terminated.status, terminated.one("CSeq")) == (487, "1 INVITE")
    assert cancelled.to_tag == terminated.to_tag != ""
    phone.send(invite(method="ACK", to=terminated.one("To")))
    await phone.ask(spell("OPTIONS"))
    assert service.cancelled == service.calls
    assert phone.answers.empty()


async def test_a_lookup_that_ignores_its_cancellation_is_not_heard(phone, service, endpoint):
    await register(phone)
    release = asyncio.Event()
    entered = asyncio.Event()

    async def stubborn(call: IncomingInvite) -> InviteVerdict:
        while not release.is_set():
            try:
                entered.set()
                await release.wait()
            except asyncio.CancelledError:
                continue
        return InviteVerdict(contacts=(BOB,))

    service.on_invite = stubborn
    await phone.ask(invite())
    await entered.wait()
    await phone.ask(invite(method="CANCEL"))
    terminated = await phone.answer()
    release.set()
    phone.send(invite(method="ACK", to=terminated.one("To")))
    await phone.ask(spell("OPTIONS"))
    assert phone.answers.empty()
    assert endpoint.counters["answered 302"] == 0


async def test_cancel_after_the_answer_is_200_and_changes_nothing(phone):
    await register(phone)
    await phone.ask(invite())
    assert (await phone.answer()).status == 302
    assert (await phone.ask(invite(method="CANCEL"))).status == 200
    assert (await phone.answer()).status == 302


async def test_cancel_without_its_invite_is_481(phone):
    assert (await phone.ask(invite(method="CANCEL"))).status == 481


async def test_options_names_what_is_served(phone):
    answer = await phone.ask(spell("OPTIONS"))
    assert (answer.status, answer.one("Accept")) == (200, "application/sdp")
    assert ", ".join(answer.all("Allow")) == "INVITE, ACK, CANCEL, OPTIONS, REGISTER"


async def test_another_method_is_405_with_allow(phone):
    answer = await phone.ask(spell("MESSAGE", headers=("Content-Type: text/plain",), body="hello"))
    assert (answer.status, answer.all("Allow")) == (405, ["INVITE, ACK, CANCEL, OPTIONS, REGISTER"])


@pytest.mark.parametrize("method", ["SUBSCRIBE", "PUBLISH"])
async def test_asking_for_events_is_489(phone, method):
    answer = await phone.ask(spell(method, headers=("Event: presence", "Expires: 600")))
    assert (answer.status, answer.reason) == (489, "Bad Event")


@pytest.mark.parametrize("method", ["REGISTER", "INVITE", "OPTIONS"])
async def test_a_foreign_source_is_refused_403(endpoint, service, method):
    stranger = await UdpPhone.open(endpoint.address, host="127.0.0.2")
    try:
        answer = await stranger.ask(spell(method, headers=("Contact: <sip:alice@127.0.0.2:5062>",)))
    finally:
        await stranger.close()
    assert (answer.status, service.registered, service.calls) == (403, [], [])


async def test_a_from_that_names_another_user_is_403(phone, service):
    await register(phone)
    answer = await phone.ask(invite(user="carol"))
    assert (answer.status, answer.reason) == (403, "From names another user")
    assert service.calls == []


async def test_an_unknown_phone_is_403(endpoint, phone, service):
    await register(phone)
    other = await UdpPhone.open(endpoint.address)
    try:
        answer = await other.ask(invite())
    finally:
        await other.close()
    assert (answer.status, answer.reason, service.calls) == (403, "This phone is not registered here", [])


async def test_two_users_of_one_phone_are_told_apart_by_from(phone, service):
    await register(phone, "alice")
    await register(phone, "carol")
    await phone.ask(invite(user="carol"))
    assert (await phone.answer()).status == 302
    assert [call.caller for call in service.calls] == ["carol"]


async def test_an_unregistered_phone_may_not_call(phone):
    await register(phone)
    gone = await phone.ask(spell(cseq=2, call_id="reg-alice", headers=("Contact: *", "Expires: 0")))
    assert (gone.status, gone.all("Contact")) == (200, [])
    assert (await phone.ask(invite())).status == 403


@pytest.mark.parametrize(
    ("status", "reason", "retry_after"),
    [
        (404, "Nobody is called bob", None),
        (480, "bob is away", 10),
        (603, "bob declines", None),
        (438, "bob's key cannot be verified", None),
        (503, "The ring is unreachable", 5),
    ],
)
async def test_what_the_lookup_says_reaches_the_phone(phone, service, status, reason, retry_after):
    service.lookup = lambda call: InviteVerdict(status=status, reason=reason, retry_after=retry_after)
    await register(phone)
    await phone.ask(invite())
    answer = await phone.answer()
    assert (answer.status, answer.reason) == (status, reason)
    assert answer.all("Retry-After") == ([] if retry_after is None else [str(retry_after)])


async def test_a_service_that_raises_is_a_500_and_counted(endpoint, phone, service, caplog):
    def broken(call: IncomingInvite) -> InviteVerdict:
        raise ZeroDivisionError

    service.lookup = broken
    await register(phone)
    await phone.ask(invite())
    assert (await phone.answer()).status == 500
    assert endpoint.counters["service failed"] == 1
    assert "ZeroDivisionError" in caplog.text


async def test_a_verdict_of_the_wrong_kind_is_a_500(endpoint, phone, service):
    service.lookup = lambda call: RegisterVerdict()  # type: ignore[assignment,return-value]
    await register(phone)
    await phone.ask(invite())
    assert (await phone.answer()).status == 500
    assert endpoint.counters["service failed"] == 1


async def test_a_service_that_is_too_slow_is_a_503(service):
    endpoint = SipEndpoint(accepts=lambda host: True, handler=service, handler_limit_s=0.01)
    await endpoint.open("127.0.0.1", 0)
    phone = await UdpPhone.open(endpoint.address)
    service.gate = asyncio.Event()
    answer = await register(phone)
    await phone.close()
    await endpoint.close()
    assert (answer.status, answer.one("Retry-After")) == (503, "5")
    assert endpoint.counters["service too slow"] == 1


@pytest.mark.parametrize(
    "data", [b"", b"\r\n\r\n", b"\0", b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12), b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 99]
)
async def test_what_is_no_request_is_dropped_in_silence(phone, data):
    phone.send(data)
    answer = await phone.ask(spell("OPTIONS"))
    assert (answer.status, phone.answers.empty()) == (200, True)


async def test_closing_answers_what_is_open_and_frees_the_port(service):
    endpoint = SipEndpoint(accepts=lambda host: True, handler=service)
    await endpoint.open("127.0.0.1", 0)
    address = endpoint.address
    phone = await UdpPhone.open(address)
    await register(phone)
    service.gate = asyncio.Event()
    await phone.ask(invite())
    await endpoint.close()
    answer = await phone.answer()
    await phone.close()
    assert (answer.status, answer.reason) == (503, "The adapter is going away")
    again = SipEndpoint(accepts=lambda host: True, handler=service)
    await again.open(*address)
    await again.close()


async def test_a_taken_port_is_an_oserror(endpoint, service):
    other = SipEndpoint(accepts=lambda host: True, handler=service)
    with pytest.raises(OSError, match="Address already in use"):
        await other.open(*endpoint.address)
