"""The SIP endpoint over TCP and TLS, on IPv4 and IPv6: what a phone sees on its connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from adapter.problems import Problem
from adapter.sip import admission, certificate, connections, stream
from adapter.sip.endpoint import SipEndpoint
from adapter.sip.verdict import IncomingInvite, InviteVerdict, RegisterVerdict
from overlay.ring.addresses import is_own_address
from tests.support.sip_phone import Answer, UdpPhone, spell
from tests.support.sip_stream import StreamPhone, trusting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

BOB = "sip:bob@192.0.2.7:5062;transport=tcp"


class Service:
    """Registers everybody, and knows where bob is."""

    def __init__(self) -> None:
        self.calls: list[IncomingInvite] = []
        self.cancelled = asyncio.Event()
        self.gate: asyncio.Event | None = None

    async def on_register(self, user: str) -> RegisterVerdict:
        return RegisterVerdict()

    async def on_invite(self, call: IncomingInvite) -> InviteVerdict:
        self.calls.append(call)
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return InviteVerdict(contacts=(BOB,))

    def serves(self, user: str) -> bool:
        return user in {"alice", "carol"}

    def is_own_host(self, host: str, port: int | None) -> bool:
        return host.strip("[]") in {"127.0.0.1", "::1"}


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture(params=["127.0.0.1", "::1"])
def host(request: pytest.FixtureRequest) -> str:
    if not is_own_address(request.param):
        pytest.skip(f"this machine has no {request.param}")
    return request.param


@pytest.fixture
async def endpoint(service: Service, host: str, tmp_path: Path) -> AsyncIterator[SipEndpoint]:
    endpoint = SipEndpoint(accepts=is_own_address, handler=service)
    context, _ = certificate.load_or_create(tmp_path, host)
    await endpoint.open(host, 0, tls=context)
    yield endpoint
    await endpoint.close()
    assert endpoint.counters["faults"] == 0


@pytest.fixture(params=["TCP", "TLS"])
async def phone(request: pytest.FixtureRequest, endpoint: SipEndpoint, tmp_path: Path) -> AsyncIterator[StreamPhone]:
    if request.param == "TCP":
        phone = await StreamPhone.open(endpoint.address)
    else:
        own = (tmp_path / certificate.CERTIFICATE_FILE).read_text(encoding="ascii")
        pem = own[own.index("-----BEGIN CERTIFICATE") :]
        phone = await StreamPhone.open((endpoint.address[0], endpoint.tls_port), tls=trusting(pem))
    yield phone
    await phone.close()


@pytest.fixture
async def tcp_phone(endpoint: SipEndpoint) -> AsyncIterator[StreamPhone]:
    phone = await StreamPhone.open(endpoint.address)
    yield phone
    await phone.close()


def text_of(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def register_data(phone: StreamPhone | UdpPhone, user: str = "alice", **fields: object) -> bytes:
    host = text_of(phone.address[0])
    return spell(
        uri=f"sip:{host}",
        to=f"<sip:{user}@{host}>",
        sender=f"<sip:{user}@{host}>;tag=1",
        via=f"SIP/2.0/TCP {host}:5062",
        headers=(f"Contact: <sip:{user}@{host}:5062;transport=tcp>", "Expires: 120"),
        **fields,  # type: ignore[arg-type]
    )


async def register(phone: StreamPhone | UdpPhone, user: str = "alice") -> Answer:
    answer = await phone.ask(register_data(phone, user))
    assert answer.status == 200
    return answer


def invite(host: str, *, method: str = "INVITE", **fields: object) -> bytes:
    host = text_of(host)
    return spell(
        method,
        uri=f"sip:bob@{host}",
        to=f"<sip:bob@{host}>",
        via=f"SIP/2.0/TCP {host}:5062",
        **{"branch": ";branch=z9hG4bK-i", "call_id": "call", **fields},  # type: ignore[arg-type]
    )


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.01)


async def test_a_phone_registers_and_is_redirected(endpoint, phone, host, service):
    answer = await register(phone)
    assert answer.one("Via").endswith(f";received={host};rport={phone.address[1]}")
    (binding,) = endpoint.contacts("alice")
    assert (binding.host, binding.port, binding.transport, binding.source) == (host, 5062, "tcp", phone.address)
    assert not binding.is_one_way
    assert (await phone.ask(invite(host))).status == 100
    moved = await phone.answer()
    assert (moved.status, moved.one("Contact")) == (302, f"<{BOB}>")
    assert service.calls[0].source == phone.address


async def test_pipelined_fragments_and_pings(phone, host):
    data = register_data(phone) + b"\r\n\r\n" + invite(host, method="OPTIONS").replace(b"sip:bob@", b"sip:")
    for start in range(0, len(data), 97):
        phone.send(data[start : start + 97])
        await asyncio.sleep(0)
    # OPTIONS is answered at once, the REGISTER when the service has been asked
    pong = await phone.read(2)
    assert pong == b"\r\n"
    answers = {(await phone.answer()).one("CSeq"), (await phone.answer()).one("CSeq")}
    assert answers == {"1 REGISTER", "1 OPTIONS"}


async def test_nothing_is_sent_twice_over_a_connection(endpoint, tcp_phone, host):
    await register(tcp_phone)
    await tcp_phone.ask(invite(host))
    assert (await tcp_phone.answer()).status == 302
    assert [e for e in endpoint._server._exchanges if e.transaction.next_deadline() is not None]  # timer H only
    assert (await tcp_phone.ask(spell("OPTIONS", uri=f"sip:{text_of(host)}"))).status == 200
    assert endpoint.counters["resent by timer"] == 0


async def test_who_calls_is_known_by_the_connection(endpoint, tcp_phone, host):
    await register(tcp_phone)
    other = await StreamPhone.open(endpoint.address)
    refused = await other.ask(invite(host, branch=";branch=z9hG4bK-o", call_id="other"))
    await other.close()
    assert refused.status == 403
    udp = await UdpPhone.open(endpoint.address, host=host)
    assert (await udp.ask(invite(host, branch=";branch=z9hG4bK-u", call_id="udp"))).status == 403
    await udp.close()


async def test_a_phone_that_is_gone_does_not_call_any_more(endpoint, tcp_phone, host, service):
    service.gate = asyncio.Event()
    await register(tcp_phone)
    assert (await tcp_phone.ask(invite(host))).status == 100
    await tcp_phone.close()
    async with asyncio.timeout(5):
        await service.cancelled.wait()
    assert endpoint._server.live_transactions() == 0
    assert len(endpoint.contacts("alice")) == 1


async def test_a_contact_that_is_only_its_own_connection_is_known(endpoint, tcp_phone, host):
    port = tcp_phone.address[1]
    data = register_data(tcp_phone).replace(b":5062;transport", b":%d;transport" % port)
    assert (await tcp_phone.ask(data)).status == 200
    (binding,) = endpoint.contacts("alice")
    assert binding.is_one_way


@pytest.mark.parametrize("data", [b"POST / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"\0" * 20])
async def test_what_is_not_sip_is_closed_without_a_word(endpoint, tcp_phone, data):
    tcp_phone.send(data)
    assert await tcp_phone.rest() == b""
    assert endpoint.counters["connections ended: what came is not SIP"] == 1


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"Content-Length: 0\r\n", b"", 400),
        (b"Content-Length: 0", b"Content-Length: many", 400),
        (b"Content-Length: 0", b"Content-Length: 0\r\nl: 5", 400),
        (b"Content-Length: 0", b"Content-Length: 999999", 413),
    ],
)
async def test_where_the_end_is_unknown_the_phone_is_told_and_the_connection_closed(tcp_phone, old, new, status):
    tcp_phone.send(spell("OPTIONS").replace(old, new))
    assert (await tcp_phone.answer()).status == status
    assert await tcp_phone.rest() == b""


async def test_a_slow_loris_is_closed(service, monkeypatch):
    monkeypatch.setattr(stream, "FIRST_MESSAGE_S", 0.05)
    endpoint = SipEndpoint(accepts=is_own_address, handler=service)
    await endpoint.open("127.0.0.1", 0)
    silent, slow = await StreamPhone.open(endpoint.address), await StreamPhone.open(endpoint.address)
    slow.send(b"OPTIONS sip:")
    assert await silent.rest() == b""
    assert await slow.rest() == b""
    assert endpoint.counters["connections ended: no message came"] == 1
    assert endpoint.counters["connections ended: a message took too long"] == 1
    await silent.close()
    await slow.close()
    await endpoint.close()


async def test_a_handshake_that_never_ends_is_closed_and_counts_meanwhile(endpoint, monkeypatch):
    monkeypatch.setattr(connections, "HANDSHAKE_S", 0.2)
    phone = await StreamPhone.open((endpoint.address[0], endpoint.tls_port))
    await eventually(lambda: len(endpoint._carrier._connections) == 1)
    assert await phone.rest() == b""
    await phone.close()
    await eventually(lambda: len(endpoint._carrier._connections) == 0)
    assert endpoint.counters["connections ended: no handshake"] == 1


async def test_plain_text_at_the_tls_port_is_closed(endpoint):
    phone = await StreamPhone.open((endpoint.address[0], endpoint.tls_port))
    phone.send(spell("OPTIONS"))
    assert not (await phone.rest()).startswith(b"SIP")
    await phone.close()


async def test_one_connection_too_many_is_closed_at_once(endpoint, tcp_phone, monkeypatch, host):
    await register(tcp_phone)
    monkeypatch.setattr(admission, "MAX_PER_SOURCE", 1)
    refused = await StreamPhone.open(endpoint.address)
    assert await refused.rest() == b""
    await refused.close()
    assert endpoint.counters["connections refused: too many"] == 1
    options = spell("OPTIONS", uri=f"sip:{text_of(host)}")
    assert (await tcp_phone.ask(options)).status == 200
    await tcp_phone.close()
    await eventually(lambda: len(endpoint._carrier._connections) == 0)
    again = await StreamPhone.open(endpoint.address)
    assert (await again.ask(options)).status == 200
    await again.close()


async def test_a_peer_that_reads_nothing_is_cut_off(endpoint, monkeypatch, host):
    monkeypatch.setattr(connections, "MAX_UNSENT_BYTES", 4096)
    _, writer = await asyncio.open_connection(*endpoint.address)
    request = spell("OPTIONS", uri=f"sip:{text_of(host)}", sender=f'"{"x" * 8000}" <sip:alice@h>;tag=1')
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(8):
            while not endpoint.counters["connections cut: the peer does not read"]:
                writer.write(request)
                await writer.drain()
    assert endpoint.counters["connections cut: the peer does not read"] == 1
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_stun_at_the_sip_port_tells_a_phone_its_address(endpoint, host):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    request = b"\0\x01\0\0\x21\x12\xa4\x42" + bytes(range(12))
    loop = asyncio.get_running_loop()
    with socket.socket(family, socket.SOCK_DGRAM) as phone:
        phone.setblocking(False)  # noqa: FBT003 - the socket module's own signature
        phone.bind((host, 0))
        phone.connect(endpoint.address)
        await loop.sock_sendall(phone, request)
        async with asyncio.timeout(5):
            answer = await loop.sock_recv(phone, 999)
        assert answer[:2] == b"\x01\x01"
        assert int.from_bytes(answer[26:28], "big") ^ 0x2112 == phone.getsockname()[1]


async def test_closing_answers_what_is_open_and_frees_every_port(service, tmp_path):
    endpoint = SipEndpoint(accepts=is_own_address, handler=service)
    context, _ = certificate.load_or_create(tmp_path, "127.0.0.1")
    await endpoint.open("127.0.0.1", 0, tls=context)
    address, tls_port = endpoint.address, endpoint.tls_port
    phone = await StreamPhone.open((address[0], tls_port), tls=trusting())
    await register(phone)
    service.gate = asyncio.Event()
    await phone.ask(invite("127.0.0.1"))
    closing = asyncio.create_task(endpoint.close())
    assert (await phone.answer()).status == 503
    assert await phone.rest() == b""
    await phone.close()
    await closing
    again = SipEndpoint(accepts=is_own_address, handler=service)
    await again.open(*address, tls=context)
    assert again.has_tcp
    await again.close()


def free_neighbours() -> int:
    """Return a port that is free for UDP and TCP, as the next one is for TCP."""
    while True:
        with socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket() as tcp, socket.socket() as tls:
            udp.bind(("127.0.0.1", 0))
            port = udp.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                tcp.bind(("127.0.0.1", port))
                tls.bind(("127.0.0.1", port + 1))
                return port


async def test_a_fixed_port_has_tls_one_higher_and_goes_without_what_is_taken(service, tmp_path):
    context, _ = certificate.load_or_create(tmp_path, "127.0.0.1")
    endpoint = SipEndpoint(accepts=is_own_address, handler=service)
    port = free_neighbours()
    await endpoint.open("127.0.0.1", port, tls=context)
    assert (endpoint.has_tcp, endpoint.tls_port, endpoint.warnings) == (True, port + 1, ())
    await endpoint.close()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port + 1))
        taken.listen()
        await endpoint.open("127.0.0.1", port, tls=context)
        said = f"phones cannot use TLS: port {port + 1} is taken by another program"
        assert (endpoint.has_tcp, endpoint.tls_port, endpoint.warnings) == (True, 0, (said,))
        await endpoint.close()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        await endpoint.open("127.0.0.1", port)
        said = f"phones cannot use TCP: port {port} is taken by another program"
        assert (endpoint.has_tcp, endpoint.tls_port, endpoint.warnings) == (False, 0, (said,))
        await endpoint.close()


def test_the_certificate_is_made_once_and_for_its_owner_alone(tmp_path):
    _, first = certificate.load_or_create(tmp_path, "::1")
    path = tmp_path / certificate.CERTIFICATE_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == [certificate.CERTIFICATE_FILE]
    _, again = certificate.load_or_create(tmp_path, "127.0.0.1")
    assert (first, len(first)) == (again, 32 * 3 - 1)
    found = x509.load_pem_x509_certificate(path.read_bytes())
    key = found.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.IPAddress) == [ip_address("::1")]


def test_a_certificate_that_others_can_read_or_that_is_damaged_is_refused(tmp_path):
    certificate.load_or_create(tmp_path, "127.0.0.1")
    path = tmp_path / certificate.CERTIFICATE_FILE
    path.chmod(0o644)
    with pytest.raises(Problem, match="can be read by others"):
        certificate.load_or_create(tmp_path, "127.0.0.1")
    path.chmod(0o600)
    path.write_text("no certificate", encoding="ascii")
    with pytest.raises(Problem, match="holds no certificate"):
        certificate.load_or_create(tmp_path, "127.0.0.1")


@pytest.mark.parametrize(
    ("address", "own"),
    [("::1", True), ("127.0.0.1", True), ("127.9.9.9", True), ("2001:db8::99", False), ("ff02::1", False),
     ("::", False), ("192.0.2.99", False), ("fe80::99%lo", False)],
)  # fmt: skip
def test_own_addresses_of_both_families(address, own):
    assert is_own_address(address) is own
