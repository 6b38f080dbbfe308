"""A phone that sends its redirected INVITE to the adapter again, and a callee's phone that is reached over TCP."""

from __future__ import annotations

import asyncio

import pytest

from adapter.sip.endpoint import SipEndpoint
from tests.integration.test_sip_forward import Service, answer, header
from tests.support.sip_phone import spell
from tests.support.sip_stream import StreamPhone

CALL = "second"


class Callee:
    """Bob's phone: listens, and keeps the connections that come."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self) -> asyncio.Server:
        return await asyncio.start_server(self._take, "127.0.0.1", 0)

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self.came.put_nowait((reader, writer))


@pytest.fixture
async def scene():
    """An endpoint, its service, alice's phone over TCP, bob's phone and his server."""
    service, callee = Service(), Callee()
    server = await callee.open()
    endpoint = SipEndpoint(accepts=lambda host: host == "127.0.0.1", handler=service)
    await endpoint.open("127.0.0.1", 0)
    service.port = endpoint.address[1]
    service.contact = f"sip:bob@127.0.0.1:{server.sockets[0].getsockname()[1]};transport=tcp;p2p=0123456789abcdefABCDEF"
    alice = await StreamPhone.open(endpoint.address)
    registered = await alice.ask(request(alice, "REGISTER", f"sip:127.0.0.1:{service.port}", contact=True))
    assert registered.status == 200
    yield endpoint, service, alice, callee
    await alice.close()
    await endpoint.close()
    server.close()
    await callee.close()


def request(phone: StreamPhone, method: str, uri: str, *, to: str = "sip:alice@127.0.0.1", contact=False, **fields):
    host, port = phone.address
    headers = (f"Contact: <sip:alice@{host}:{port};transport=tcp>",) if contact else ()
    return spell(method, uri=uri, to=f"<{to}>", via=f"SIP/2.0/TCP {host}:{port}", headers=headers, **fields)


async def follow(scene, *, method: str = "INVITE") -> bytes:
    """Let alice take her 302; what she sends to the adapter after it."""
    endpoint, service, alice, _ = scene
    dialled = f"sip:bob@127.0.0.1:{endpoint.address[1]}"
    alice.send(request(alice, "INVITE", dialled, to=dialled, branch=";branch=z9hG4bK-1", call_id="first"))
    while (moved := await alice.answer()).status == 100:
        pass
    assert moved.status == 302
    alice.send(request(alice, "ACK", dialled, to=dialled, branch=";branch=z9hG4bK-1", call_id="first"))
    return request(
        alice, method, service.contact, to=service.contact, branch=";branch=z9hG4bK-2", call_id=CALL, cseq=20
    )


async def test_the_call_goes_over_one_connection_and_its_answers_come_back(scene):
    _, service, alice, callee = scene
    invite = await follow(scene)
    alice.send(invite)
    async with asyncio.timeout(5):
        reader, writer = await callee.came.get()
        got = (await reader.readuntil(b"\r\n\r\n")).decode()
    assert got.startswith(f"INVITE {service.contact} SIP/2.0\r\n")
    assert [via.partition(" ")[0] for via in header(got, "Via")] == ["SIP/2.0/TCP"] * 2
    writer.write(answer(got, "486 Busy Here").encode())
    refused = await alice.answer()
    assert refused.status == 486
    assert refused.all("Via") == header(got, "Via")[1:]
    alice.send(invite.replace(b"INVITE", b"ACK"))
    async with asyncio.timeout(5):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"ACK ")
    assert callee.came.empty()


async def test_a_callee_that_is_not_there_costs_a_count_and_nothing_else(scene):
    endpoint, service, alice, _ = scene
    listener = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    gone = listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()
    service.contact = f"sip:bob@127.0.0.1:{gone};transport=tcp"
    alice.send(await follow(scene))
    async with asyncio.timeout(5):
        while not endpoint.counters["forwards dropped: no connection"]:  # noqa: ASYNC110 - a counter wakes nobody
            await asyncio.sleep(0.01)
    again = request(alice, "OPTIONS", f"sip:127.0.0.1:{endpoint.address[1]}", branch=";branch=z9hG4bK-3", call_id="x")
    assert (await alice.ask(again)).status == 200
