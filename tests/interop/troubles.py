"""Calls that end otherwise: cancelled, busy, declined, unknown, and what strangers on the LAN try.  I/O: the scene."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from typing import TYPE_CHECKING

from tests.interop.calls import ANSWER_S, BYE_S, final, pair, ringing
from tests.interop.phones import CALLEES, CALLERS
from tests.interop.phones.base import authority
from tests.interop.scene import SIP_PORT, udp_socket

if TYPE_CHECKING:
    from tests.interop.calls import Row, Stage
    from tests.interop.capture import Sip
    from tests.interop.scene import Scene

SILENCE_S = 1.5
"""How long nothing may happen before it counts as nothing."""
REFUSALS = range(400, 700)


async def cancelled(scene: Scene, row: Row, stage: Stage) -> None:
    """The caller gives up while the callee's phone rings: it must stop ringing."""
    caller, _ = await pair(scene, row, stage, answers=False)
    capture = await stage.watch("alice")
    await caller.call("bob")
    there = scene.hosts["bob"].address
    await capture.see(ringing(there), within_s=ANSWER_S, what="180 from the callee's phone")
    row.redirected = True
    await asyncio.sleep(0.5)  # it rings for a moment
    await caller.hang_up()
    await capture.see(
        lambda m: m.first.startswith("CANCEL ") and m.target[0] == there, within_s=BYE_S, what="CANCEL to the callee"
    )
    ended = await capture.see(
        lambda m: m.method == "INVITE" and m.status >= 400 and m.source[0] == there, within_s=BYE_S, what="487"
    )
    if ended.status != 487:
        row.why = f"the callee's phone answered {ended.first[8:]}"


async def declined(scene: Scene, row: Row, stage: Stage) -> None:
    """The callee declines: the caller's phone hears of it."""
    caller, callee = await pair(scene, row, stage, answers=False)
    capture = await stage.watch("alice")
    await caller.call("bob")
    there = scene.hosts["bob"].address
    await capture.see(ringing(there), within_s=ANSWER_S, what="180 from the callee's phone")
    row.redirected = True
    await callee.decline()
    ended = await capture.see(lambda m: _ends(m, caller.seat.host), within_s=BYE_S, what="a refusal for the caller")
    if ended.status not in {486, 603, 480}:
        row.why = f"the caller's phone was told {ended.first[8:]}"


async def busy(scene: Scene, row: Row, stage: Stage) -> None:
    """Carol talks to bob; alice calls him and is told that he is busy."""
    callee = await stage.phone(CALLEES, row.callee, "bob")
    caller = await stage.phone(CALLERS, row.caller, "alice")
    third = await stage.phone(CALLERS, "own", "carol", port=5060)
    await scene.registered("bob")
    if row.caller != "own":
        await scene.registered("alice")
    there = scene.hosts["bob"].address
    first = await stage.watch("bob")
    await third.call("bob")
    await first.see(final(callee), within_s=ANSWER_S, what="carol's call")
    capture = await stage.watch("alice")
    await caller.call("bob")
    ended = await capture.see(
        lambda m: m.method == "INVITE" and m.status in REFUSALS, within_s=ANSWER_S, what="a refusal for alice"
    )
    row.redirected = any(m.first.startswith("INVITE ") and m.target[0] == there for m in capture.sip)
    if ended.status not in {486, 600}:
        row.why = f"alice's phone was told {ended.first[8:]}"


async def unknown(scene: Scene, row: Row, stage: Stage) -> None:
    """Nobody has the name: 404 from the caller's own adapter."""
    caller = await stage.phone(CALLERS, row.caller, "alice")
    if row.caller != "own":
        await scene.registered("alice")
    capture = await stage.watch("alice")
    await caller.call("nobody")
    ended = await capture.see(
        lambda m: m.method == "INVITE" and m.status in REFUSALS, within_s=ANSWER_S, what="a refusal"
    )
    if ended.status != 404:
        row.why = f"the caller's phone was told {ended.first[8:]}"


async def refreshed(scene: Scene, row: Row, stage: Stage) -> None:
    """A phone that asks for half a minute refreshes its registration by itself."""
    capture = await stage.watch("alice")
    await stage.phone(CALLERS, row.caller, "alice", expires_s=30)
    await scene.registered("alice")
    adapter = (scene.hosts["alice"].address, SIP_PORT)

    def kept(message: Sip) -> bool:
        return message.status == 200 and message.method == "REGISTER" and message.source == adapter

    first = await capture.see(kept, within_s=BYE_S, what="200 to REGISTER")
    await capture.see(lambda m: kept(m) and m.at > first.at + 5, within_s=40, what="200 to a refresh")
    if len(found := await scene.phones("alice")) != 1:
        row.why = f"{len(found)} phones are registered, not one"


async def stranger_registers(scene: Scene, row: Row, stage: Stage) -> None:
    """Another host sends alice's REGISTER to her adapter."""
    answer = await asyncio.to_thread(_from_desk, scene, "REGISTER", scene.hosts["alice"].address, "alice")
    if answer.startswith("SIP/2.0 200") or await scene.phones("alice"):
        row.why = f"alice's adapter took a stranger's phone: {answer[:40]}"


async def stranger_calls(scene: Scene, row: Row, stage: Stage) -> None:
    """Another host calls bob in alice's name through her adapter, whose phone is registered."""
    await stage.phone(CALLERS, "baresip", "alice")
    await stage.phone(CALLEES, "baresip", "bob")
    await scene.registered("alice")
    await scene.registered("bob")
    answer = await asyncio.to_thread(_from_desk, scene, "INVITE", scene.hosts["alice"].address, "bob")
    if not answer.startswith(("SIP/2.0 403", "SIP/2.0 401")) and answer:
        row.why = f"a stranger's INVITE was answered {answer[:40]}"


async def stranger_relays(scene: Scene, row: Row, stage: Stage) -> None:
    """Another host wants its INVITE carried to bob's phone: nothing may leave for it."""
    await stage.phone(CALLEES, "baresip", "bob")
    await scene.registered("bob")
    capture = await stage.watch("bob")
    address = scene.hosts["bob"].address
    await asyncio.to_thread(_from_desk, scene, "INVITE", scene.hosts["alice"].address, "bob", uri=f"sip:bob@{address}")
    await asyncio.sleep(SILENCE_S)
    capture.read()
    if any(m.target == (address, 5060) and m.source[0] == scene.hosts["alice"].address for m in capture.sip):
        row.why = "alice's adapter carried a stranger's INVITE to bob's phone"


async def stranger_reflects(scene: Scene, row: Row, stage: Stage) -> None:
    """Another host sends a response with a made-up branch: it may not be passed on to the address in the next Via."""
    capture = await stage.watch("bob")
    adapter = authority(scene.hosts["alice"].address, SIP_PORT)
    victim = authority(scene.hosts["bob"].address, 5060)
    lines = [
        "SIP/2.0 200 OK",
        f"Via: SIP/2.0/UDP {adapter};branch=z9hG4bK{secrets.token_hex(16)}",
        f"Via: SIP/2.0/UDP {victim};rport=5060;branch=z9hG4bK{secrets.token_hex(8)}",
        f"From: <sip:alice@{adapter}>;tag=a",
        f"To: <sip:bob@{adapter}>;tag=b",
        f"Call-ID: {secrets.token_hex(8)}",
        *("CSeq: 1 INVITE", "Content-Length: 0", "", ""),
    ]
    with udp_socket(scene.hosts["desk"]) as udp:
        udp.sendto("\r\n".join(lines).encode(), (scene.hosts["alice"].address, SIP_PORT))
    await asyncio.sleep(SILENCE_S)
    capture.read()
    if any(m.source[0] == scene.hosts["alice"].address for m in capture.sip):
        row.why = "alice's adapter passed a stranger's response on to bob's host"


def _ends(message: Sip, host: str) -> bool:
    """Recognise the final refusal that reaches the caller's phone on `host`, forwarded or not."""
    there = message.target[0] == host and message.target[1] != SIP_PORT
    return message.method == "INVITE" and message.status in REFUSALS and there


def _from_desk(scene: Scene, method: str, adapter: str, name: str, *, uri: str = "") -> str:
    """Send a request in alice's name from another host and return the final answer, empty when there is none."""
    domain = authority(adapter, SIP_PORT)
    with udp_socket(scene.hosts["desk"]) as udp:
        own = authority(*udp.getsockname()[:2])
        registers = method == "REGISTER"
        target = uri or (f"sip:{domain}" if registers else f"sip:{name}@{domain}")
        lines = [
            f"{method} {target} SIP/2.0",
            f"Via: SIP/2.0/UDP {own};rport;branch=z9hG4bK{secrets.token_hex(8)}",
            *("Max-Forwards: 70", f"From: <sip:alice@{domain}>;tag={secrets.token_hex(4)}"),
            *(f"To: <sip:{name}@{domain}>", f"Call-ID: {secrets.token_hex(8)}", f"CSeq: 1 {method}"),
            *(f"Contact: <sip:alice@{own}>", "Expires: 120", "Content-Length: 0", "", ""),
        ]
        udp.settimeout(SILENCE_S)
        udp.sendto("\r\n".join(lines).encode(), (adapter, SIP_PORT))
        answer = ""
        with contextlib.suppress(TimeoutError):
            while not answer or answer.startswith("SIP/2.0 1"):
                answer = udp.recv(65536).decode(errors="replace")
        return answer
