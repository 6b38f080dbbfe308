"""SIP servers for the tests of this folder: real ones, with a service that answers at once when asked to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adapter.sip.limits import DEFAULT_LIMITS, Limits
from adapter.sip.matching import Flow
from adapter.sip.outbox import TAG_KEY_BYTES
from adapter.sip.server import SipServer
from adapter.sip.verdict import InviteAsked, InviteVerdict, RegisterAsked, RegisterVerdict
from tests.support.sip_phone import Answer, read_answer, spell

if TYPE_CHECKING:
    from adapter.sip.digest import Digest

FLOW = Flow(host="192.0.2.5", port=5062)
ADDRESS = ("192.0.2.1", 5070)
BOB = "sip:bob@192.0.2.7:5062"


def make_server(
    *,
    everywhere: bool = False,
    address: tuple[str, int] = ADDRESS,
    digest: Digest | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> SipServer:
    """Serve alice and carol at 192.0.2.1 and 127.0.0.1 to 192.0.2.x and loopback, or everybody everywhere."""
    return SipServer(
        accepts=lambda host: everywhere or host.startswith(("192.0.2.", "127.")),
        serves=lambda user: everywhere or user in {"alice", "carol"},
        is_own_host=lambda host, port: everywhere or (host in {ADDRESS[0], "127.0.0.1"} and port in {None, ADDRESS[1]}),
        address=lambda: address,
        tag_key=bytes(TAG_KEY_BYTES),
        digest=digest,
        limits=limits,
    )


def answer_all(server: SipServer, now: float = 0.0) -> None:
    """Say yes to every question."""
    while (event := server.next_event()) is not None:
        if isinstance(event, RegisterAsked):
            server.answer(event.ticket, RegisterVerdict(), now)
        elif isinstance(event, InviteAsked):
            server.answer(event.ticket, InviteVerdict(contacts=(BOB,)), now)


def answers(server: SipServer) -> list[Answer]:
    return [read_answer(data) for data, _ in server.datagrams_to_send()]


def statuses(server: SipServer) -> list[int]:
    answer_all(server)
    return [answer.status for answer in answers(server)]


def ask(server: SipServer, data: bytes, *, flow: Flow = FLOW, now: float = 0.0) -> list[Answer]:
    """Hand over a request, say yes to what it asks, return what is sent."""
    server.receive(data, flow, now)
    answer_all(server, now)
    return answers(server)


def register(server: SipServer, user: str = "alice", *, flow: Flow = FLOW, now: float = 0.0, cseq: int = 1) -> Answer:
    contact = f"Contact: <sip:{user}@{flow.host}:{flow.port}>"
    data = spell(user=user, call_id=f"reg-{user}-{flow.port}", cseq=cseq, headers=(contact,))
    (answer,) = ask(server, data, flow=flow, now=now)
    assert answer.status == 200
    return answer


def invite(callee: str = "bob", *, method: str = "INVITE", **fields: object) -> bytes:
    fields = {"branch": ";branch=z9hG4bK-invite", "to": f"<sip:{callee}@192.0.2.1>", **fields}
    return spell(method, uri=f"sip:{callee}@192.0.2.1:5070", **fields)  # type: ignore[arg-type]
