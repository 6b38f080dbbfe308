"""Throws damaged SIP at the pure server, by datagrams and by streams, and holds it to what it promises.  I/O: none.

Whatever comes: no exception; every answer is one whole message without a body that carries our headers alone; what is
kept ends when time has passed; and a phone that comes afterwards is served.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from adapter.sip.limits import MOST, Limits
from adapter.sip.matching import Flow
from adapter.sip.outbox import TAG_KEY_BYTES
from adapter.sip.server import SipServer
from adapter.sip.stream import Broken, Framed, Stream
from adapter.sip.verdict import InviteAsked, InviteVerdict, RegisterAsked, RegisterVerdict
from tests.fuzz import seeds
from tests.support.sip_phone import read_answer, spell

PHONE = Flow(host="192.0.2.5", port=5062)
STEP_S = 0.01
"""Virtual seconds from one input to the next."""
LONG_S = 1_000.0
"""After which nothing is kept any more but what has been registered since."""
BOB = "sip:bob@192.0.2.7:5062"
LIFTED = Limits(transactions=MOST, questions=MOST, bindings=MOST)


@dataclass
class Fuzzer:
    """One server and the dice that everything is drawn by."""

    seed: int
    limits: Limits = LIFTED
    now: float = 0.0
    connections: int = 0
    answered: int = 0
    asked: int = 0
    framed: int = 0
    redirected: int = 0
    dice: random.Random = field(init=False)
    server: SipServer = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.server = SipServer(
            accepts=lambda host: host.startswith("192.0.2."),
            serves=lambda user: user in {"alice", "carol"},
            is_own_host=lambda host, port: host == "192.0.2.1",
            address=lambda: ("192.0.2.1", 5070),
            tls_port=lambda: 5071,
            tag_key=bytes(TAG_KEY_BYTES),
            limits=self.limits,
        )

    def datagrams(self, count: int) -> None:
        """Send this many datagrams, from the phone and now and then from strangers."""
        for _ in range(count):
            flow = PHONE if self.dice.randrange(8) else Flow(host="198.51.100.9", port=5060)
            self._receive(seeds.datagram(self.dice), flow)

    def streams(self, count: int) -> None:
        """Open this many connections, send some bytes on each, and close it."""
        for _ in range(count):
            self.connections += 1
            transport = self.dice.choice(("TCP", "TLS"))
            flow = Flow(transport=transport, host="192.0.2.5", port=40_000, connection=self.connections)
            stream = Stream(self.now)
            for data in seeds.stream(self.dice):
                stream.receive(data, self.now)
                while (event := stream.next_event()) is not None and not isinstance(event, Broken):
                    if isinstance(event, Framed):
                        self.framed += 1
                        self._receive(event.data, flow)
            self.server.connection_lost(flow.connection, self.now)
            self._settle()

    def prove_served(self) -> None:
        """Let time pass until everything has ended, then register a phone and place a call."""
        for ticket in self.server.open_tickets():
            self.server.answer(ticket, InviteVerdict(status=480), self.now)
        self.now += LONG_S
        while (due := self.server.next_deadline()) is not None and due <= self.now:
            self.server.handle_timer(max(due, self.now - LONG_S))
            self.server.datagrams_to_send()
        assert self.server.live_transactions() == 0, "a transaction never ends"
        assert self.server._exchanges._connected == {}, "a connection is never forgotten"
        assert self.server._exchanges._twins == {}, "a twin is never forgotten"
        register = spell(
            uri="sip:192.0.2.1",
            to="<sip:alice@192.0.2.1>",
            sender="<sip:alice@192.0.2.1>;tag=last",
            call_id="last",
            cseq=2**31 - 1,
            headers=("Contact: <sip:alice@192.0.2.5:5999>",),
        )
        call = spell(
            "INVITE",
            uri="sip:bob@192.0.2.1",
            to="<sip:bob@192.0.2.1>",
            sender="<sip:alice@192.0.2.1>;tag=last",
            call_id="last-call",
        )
        assert [self._receive(data, PHONE) for data in (register, call)] == [[200], [100, 302]]

    def _receive(self, data: bytes, flow: Flow) -> list[int]:
        self.now += STEP_S
        self.server.receive(data, flow, self.now)
        return self._settle()

    def _settle(self) -> list[int]:
        while (event := self.server.next_event()) is not None:
            self.asked += 1
            if isinstance(event, RegisterAsked):
                self.server.answer(event.ticket, RegisterVerdict(), self.now)
            # one in four is left to its CANCEL, its lost connection or the end of the handler's patience
            elif isinstance(event, InviteAsked) and (self.dice.randrange(4) or event.call.call_id == "last-call"):
                self.server.answer(event.ticket, InviteVerdict(contacts=(BOB,)), self.now)
        statuses = [self._check(data, flow) for data, flow in self.server.datagrams_to_send() if not _is_stun(data)]
        for ticket in self.server.open_tickets()[:-32]:
            self.server.answer(ticket, InviteVerdict(status=480), self.now)
        if (due := self.server.next_deadline()) is not None and due <= self.now:
            self.server.handle_timer(self.now)
        return statuses

    def _check(self, data: bytes, flow: Flow) -> int:
        self.answered += 1
        if not data.startswith(b"SIP/2.0 "):
            # forwarded for a phone that mis-followed a 302, and nowhere else than there
            assert flow.address == ("192.0.2.7", 5062), "sent to a place that no 302 named"
            return 0
        head, end, body = data.partition(b"\r\n\r\n")
        assert (end, body) == (b"\r\n\r\n", b""), "an answer with a body"
        assert b"\r" not in head.replace(b"\r\n", b""), "an answer with a bare CR"
        assert b"\n" not in head.replace(b"\r\n", b""), "an answer with a bare LF"
        status = read_answer(data).status
        self.redirected += status == 302
        return status


def _is_stun(data: bytes) -> bool:
    return data[:1] == b"\x01"
