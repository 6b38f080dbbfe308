"""A phone that sends its redirected INVITE to the adapter again: three sockets on loopback, datagram by datagram."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from adapter.sip.endpoint import SipEndpoint
from adapter.sip.verdict import IncomingInvite, InviteVerdict, RegisterVerdict
from tests.support.sip_phone import spell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Address = tuple[str, int]


class Phone(asyncio.DatagramProtocol):
    """A UDP socket that keeps every message with its sender."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[tuple[str, Address]] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport

    @classmethod
    async def open(cls) -> Phone:
        _, phone = await asyncio.get_running_loop().create_datagram_endpoint(cls, local_addr=("127.0.0.1", 0))
        return phone

    @property
    def address(self) -> Address:
        return self.transport.get_extra_info("sockname")

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.inbox.put_nowait((data.decode(), addr))

    def send(self, data: bytes | str, to: Address) -> None:
        self.transport.sendto(data if isinstance(data, bytes) else data.encode(), to)

    async def next(self, start: str) -> tuple[str, Address]:
        """The next message, which starts so; 100 Trying of the adapter passes unseen."""
        async with asyncio.timeout(5):
            while (message := await self.inbox.get())[0].startswith("SIP/2.0 100"):
                pass
        assert message[0].startswith(start), message[0]
        return message


class Service:
    """An overlay on which everybody's phone is where `contact` says."""

    contact = ""

    async def on_register(self, user: str) -> RegisterVerdict:
        return RegisterVerdict()

    async def on_invite(self, call: IncomingInvite) -> InviteVerdict:
        return InviteVerdict(contacts=(self.contact,))

    def serves(self, user: str) -> bool:
        return user == "alice"

    def is_own_host(self, host: str, port: int | None) -> bool:
        return host == "127.0.0.1" and port in {None, self.port}

    port = 0


@pytest.fixture
async def scene() -> AsyncIterator[tuple[SipEndpoint, Phone, Phone, str]]:
    """An endpoint, alice's registered phone, bob's phone, and bob's Contact."""
    service = Service()
    endpoint = SipEndpoint(accepts=lambda host: host == "127.0.0.1", handler=service)
    await endpoint.open("127.0.0.1", 0)
    service.port = endpoint.address[1]
    alice, bob = await Phone.open(), await Phone.open()
    service.contact = f"sip:bob@127.0.0.1:{bob.address[1]};p2p=0123456789abcdefABCDEF"
    alice.send(request(alice, "REGISTER", f"sip:127.0.0.1:{service.port}", contact=True), endpoint.address)
    await alice.next("SIP/2.0 200")
    yield endpoint, alice, bob, service.contact
    alice.transport.close()
    bob.transport.close()
    await endpoint.close()


def request(phone: Phone, method: str, uri: str, *, to: str = "sip:alice@127.0.0.1", contact: bool = False, **fields):
    host, port = phone.address
    headers = (f"Contact: <sip:alice@{host}:{port}>",) if contact else ()
    return spell(method, uri=uri, to=f"<{to}>", via=f"SIP/2.0/UDP {host}:{port}", headers=headers, **fields)


def header(message: str, name: str) -> list[str]:
    return [line.partition(": ")[2] for line in message.split("\r\n") if line.startswith(f"{name}: ")]


def answer(message: str, status: str, *, contact: Phone | None = None) -> str:
    """Answer as a phone: the Vias and the rest of the request, a To tag, its own Contact."""
    lines = []
    for line in message.split("\r\n")[1:]:
        if line.startswith(("Max-Forwards", "Contact")):
            continue
        lines.append(f"{line};tag=bob-1" if line.startswith("To: ") else line)
    if contact is not None:
        lines.insert(0, "Contact: <sip:bob@{}:{}>".format(*contact.address))
    return "\r\n".join((f"SIP/2.0 {status}", *lines))


async def dial(scene) -> tuple[str, bytes]:
    """Let alice dial bob, take her 302 and send the new INVITE to the adapter again; what bob gets, what she sent."""
    endpoint, alice, bob, contact = scene
    dialled = f"sip:bob@127.0.0.1:{endpoint.address[1]}"
    first = request(alice, "INVITE", dialled, to=dialled, branch=";branch=z9hG4bK-1", call_id="first")
    alice.send(first, endpoint.address)
    moved, _ = await alice.next("SIP/2.0 302")
    assert header(moved, "Contact") == [f"<{contact}>"]
    alice.send(
        request(alice, "ACK", dialled, to=dialled, branch=";branch=z9hG4bK-1", call_id="first"), endpoint.address
    )
    second = request(alice, "INVITE", contact, to=contact, branch=";branch=z9hG4bK-2", call_id="second", cseq=20)
    alice.send(second, endpoint.address)
    invite, sender = await bob.next(f"INVITE {contact} SIP/2.0")
    assert sender == endpoint.address
    assert not header(invite, "Record-Route")
    return invite, second


async def test_the_call_is_made_and_everything_after_the_200_goes_direct(scene):
    endpoint, alice, bob, _contact = scene
    invite, _second = await dial(scene)
    bob.send(answer(invite, "180 Ringing"), endpoint.address)
    await alice.next("SIP/2.0 180")
    bob.send(answer(invite, "200 OK", contact=bob), endpoint.address)
    taken, sender = await alice.next("SIP/2.0 200")
    assert sender == endpoint.address
    assert len(header(taken, "Via")) == 1
    # alice's phone finds bob's Contact in the 200 and no Record-Route: ACK and BYE go there [RFC 3261 §12.1.2]
    (remote,) = header(taken, "Contact")
    target = ("127.0.0.1", int(remote.rstrip(">").rpartition(":")[2]))
    assert target == bob.address
    alice.send(request(alice, "ACK", remote.strip("<>"), call_id="second", cseq=20), target)
    assert (await bob.next("ACK"))[1] == alice.address
    alice.send(request(alice, "BYE", remote.strip("<>"), call_id="second", cseq=21), target)
    bye, sender = await bob.next("BYE")
    assert sender == alice.address
    assert len(header(bye, "Via")) == 1
    assert endpoint.counters["forwarded INVITE"] == 1
    assert not endpoint.counters["forwarded ACK"]


async def test_a_refusal_and_its_ack_pass_in_one_transaction(scene):
    endpoint, alice, bob, contact = scene
    invite, _ = await dial(scene)
    bob.send(answer(invite, "486 Busy Here"), endpoint.address)
    await alice.next("SIP/2.0 486")
    alice.send(
        request(alice, "ACK", contact, to=contact, branch=";branch=z9hG4bK-2", call_id="second", cseq=20),
        endpoint.address,
    )
    ack, _ = await bob.next("ACK")
    assert header(ack, "Via")[0] == header(invite, "Via")[0]


async def test_a_call_is_cancelled_through_it(scene):
    endpoint, alice, bob, contact = scene
    invite, _ = await dial(scene)
    bob.send(answer(invite, "180 Ringing"), endpoint.address)
    await alice.next("SIP/2.0 180")
    cancel = request(alice, "CANCEL", contact, to=contact, branch=";branch=z9hG4bK-2", call_id="second", cseq=20)
    alice.send(cancel, endpoint.address)
    got, _ = await bob.next("CANCEL")
    assert header(got, "Via")[0] == header(invite, "Via")[0]
    bob.send(answer(got, "200 OK"), endpoint.address)
    assert "CANCEL" in header((await alice.next("SIP/2.0 200"))[0], "CSeq")[0]
    bob.send(answer(invite, "487 Request Terminated"), endpoint.address)
    await alice.next("SIP/2.0 487")


async def test_neither_direction_is_open_to_a_third_phone(scene):
    """Mallory's socket: another source of requests, another of responses, and a URI nobody was sent to."""
    endpoint, alice, bob, _contact = scene
    mallory = await Phone.open()
    try:
        invite, second = await dial(scene)
        mallory.send(second, endpoint.address)
        status, _ = await mallory.next("SIP/2.0 403")
        assert "not registered" in status
        elsewhere = f"sip:bob@127.0.0.1:{mallory.address[1]}"
        alice.send(request(alice, "INVITE", elsewhere, to=elsewhere, call_id="third"), endpoint.address)
        await alice.next("SIP/2.0 404")
        forged = answer(invite, "200 OK").replace("branch=z9hG4bK-2", "branch=z9hG4bK-3")
        bob.send(forged, endpoint.address)
        bob.send(answer(invite, "180 Ringing"), endpoint.address)
        await alice.next("SIP/2.0 180")
        assert mallory.inbox.empty()
        assert endpoint.counters["forwarded responses"] == 1
    finally:
        mallory.transport.close()
