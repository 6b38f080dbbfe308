"""Somebody in a call who hands it over as he likes: REFER to any address, or another phone in his place.

PJSIP by itself obeys both: it calls what a REFER names, and answers an INVITE with Replaces for nobody to decide on
[RFC 3515, RFC 3891].
"""

from __future__ import annotations

import asyncio
import re

import pytest

from adapter.softphone import events
from adapter.softphone.phone import Softphone
from tests.integration.softphone_sip import SipServer, invite
from tests.support.cast import HOST


class Caller(asyncio.DatagramProtocol):
    """A bare SIP phone that can say what it likes in a call."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[str] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.answers.put_nowait(data.decode())

    async def final(self, method: str) -> str:
        """Give the final answer to a request."""
        async with asyncio.timeout(5):
            while True:
                answer = await self.answers.get()
                if f" {method}" in answer and int(answer.split(" ")[1]) >= 200:
                    return answer


def within(request: str, answer: str, method: str, number: int, *headers: str) -> str:
    """Build a request inside the dialog that INVITE and 200 made."""
    to = re.search(r"^To: (.+)\r$", answer, re.MULTILINE)[1]
    contact = re.search(r"^Contact: <([^>]+)>", answer, re.MULTILINE)[1]
    kept = [line for line in request.split("\r\n") if line.startswith(("Via:", "From:", "Call-ID:", "Contact:"))]
    kept[0] += str(number)  # another branch
    lines = [
        f"{method} {contact} SIP/2.0",
        *kept,
        f"To: {to}",
        f"CSeq: {number} {method}",
        "Max-Forwards: 70",
        *headers,
    ]
    return "\r\n".join([*lines, "Content-Length: 0", "", ""])


@pytest.fixture
async def caller():
    """A bare phone on loopback."""
    loop = asyncio.get_running_loop()
    transport, phone = await loop.create_datagram_endpoint(Caller, local_addr=(HOST, 0))
    yield phone
    transport.close()


class Dialog:
    """A call from the bare phone to bob, up."""

    def __init__(self, caller: Caller, bob: Softphone) -> None:
        self.caller = caller
        host, port = bob.address.split(":")
        self._to = (host, int(port))
        self.request = invite(bob.address, f"{HOST}:{caller.transport.get_extra_info('sockname')[1]}")
        self.answer = ""

    async def establish(self, bob: Softphone) -> None:
        self.send(self.request)
        self.answer = await self.caller.final("INVITE")
        assert self.answer.startswith("SIP/2.0 200 ")
        self.send(within(self.request, self.answer, "ACK", 1))
        while not isinstance(await bob.events.get(), events.Established):
            pass

    def send(self, message: str) -> None:
        self.caller.transport.sendto(message.encode(), self._to)

    async def hang_up(self) -> None:
        self.send(within(self.request, self.answer, "BYE", 9))
        assert (await self.caller.final("BYE")).startswith("SIP/2.0 200 ")


@pytest.mark.parametrize("asked", ["sip:carol@{victim}", "sip:carol@{victim};transport=tcp", "sips:carol@{victim}"])
async def test_nobody_makes_a_phone_call_somebody_else(caller, asked):
    async with SipServer(lambda _request: [("200 OK", ())]) as victim, Softphone() as bob:
        await bob.start(host=HOST, user="bob", auto_answer=True)
        dialog = Dialog(caller, bob)
        await dialog.establish(bob)
        to = asked.format(victim=victim.name)
        dialog.send(within(dialog.request, dialog.answer, "REFER", 2, f"Refer-To: <{to}>"))
        assert (await caller.final("REFER")).startswith("SIP/2.0 603 ")
        while not isinstance(told := await bob.events.get(), events.Referred):
            pass
        assert told.to.strip("<>").startswith("sip")
        await bob.mute(on=True)  # the call goes on
        await dialog.hang_up()
        assert victim.requests == []
        assert bob.is_running


async def test_nobody_takes_the_place_of_a_call_that_was_answered(caller):
    async with Softphone() as bob:
        await bob.start(host=HOST, user="bob", lines=2)
        dialog = Dialog(caller, bob)
        dialog.send(dialog.request)
        while not isinstance(await bob.events.get(), events.Incoming):
            pass
        await bob.answer()
        dialog.answer = await caller.final("INVITE")
        dialog.send(within(dialog.request, dialog.answer, "ACK", 1))
        while not isinstance(await bob.events.get(), events.Established):
            pass
        call_id = re.search(r"^Call-ID: (.+)\r$", dialog.answer, re.MULTILINE)[1]
        ours = re.search(r"^To: .*tag=([^;\r]+)", dialog.answer, re.MULTILINE)[1]
        theirs = re.search(r"^From: .*tag=([^;\r]+)", dialog.answer, re.MULTILINE)[1]
        usurper = invite(bob.address, f"{HOST}:{caller.transport.get_extra_info('sockname')[1]}").replace(
            "Max-Forwards", f"Replaces: {call_id};to-tag={ours};from-tag={theirs}\r\nMax-Forwards"
        )
        dialog.send(usurper)
        assert (await caller.final("INVITE")).startswith("SIP/2.0 603 ")
        await bob.mute(on=True)  # the first call is still the one that is up
        await dialog.hang_up()
        assert bob.is_running
