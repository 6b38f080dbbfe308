"""Calls that end otherwise: cancelled, busy, declined, unknown, and what strangers on the LAN try.  I/O: the scene."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from typing import TYPE_CHECKING

from tests.interop.calls import ANSWER_S, BYE_S, final, pair, ringing
from tests.interop.phones import CALLEES, CALLERS
from tests.interop.phones.base import authority
from tests.interop.scene import SIP_PORT, host_socket

if TYPE_CHECKING:
    from tests.interop.calls import Row, Stage
    from tests.interop.capture import Capture, Sip
    from tests.interop.scene import Scene

SILENCE_S = 1.5
"""How long nothing may happen before it counts as nothing."""
FORGED = "made by a stranger"
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


async def out_of_reach(scene: Scene, row: Row, stage: Stage) -> None:
    """The callee's phone has named a port that only its own connection reaches: 480, and the caller reads the cure."""
    await stage.phone(CALLEES, row.callee, "bob", transport="tcp")
    caller = await stage.phone(CALLERS, row.caller, "alice")
    await scene.registered("bob")
    await scene.registered("alice")
    capture = await stage.watch("alice")
    await caller.call("bob")
    ended = await capture.see(
        lambda m: m.method == "INVITE" and m.status in REFUSALS, within_s=ANSWER_S, what="a refusal"
    )
    warning = ended.headers.get("warning", "")
    if ended.status != 480 or "UDP" not in warning:
        row.why = f"the caller's phone was told {ended.first[8:]} {warning}"


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
    address = scene.hosts["alice"].address
    answer = await asyncio.to_thread(_from_desk, scene, "REGISTER", address, "alice", transport=row.transport)
    if answer.startswith("SIP/2.0 200") or await scene.phones("alice"):
        row.why = f"alice's adapter took a stranger's phone: {answer[:40]}"


async def stranger_forges(scene: Scene, row: Row, stage: Stage) -> None:
    """Another host sends alice's REGISTER under the very address of her host."""
    await stage.phone(CALLERS, "baresip", "alice")
    mine = await scene.registered("alice")
    capture = await stage.watch("alice")
    address = scene.hosts["alice"].address
    await asyncio.to_thread(_from_desk, scene, "REGISTER", address, "alice", source=address)
    await capture.see(lambda m: FORGED in m.headers.get("user-agent", ""), within_s=BYE_S, what="the forged REGISTER")
    await asyncio.sleep(SILENCE_S)
    if await scene.phones("alice") != mine:
        row.why = "alice's adapter took a stranger's phone that claims to be on her host"


async def stranger_calls(scene: Scene, row: Row, stage: Stage) -> None:
    """Another host calls bob in alice's name through her adapter, whose phone is registered."""
    await stage.phone(CALLERS, "baresip", "alice")
    await stage.phone(CALLEES, "baresip", "bob")
    await scene.registered("alice")
    await scene.registered("bob")
    address = scene.hosts["alice"].address
    answer = await asyncio.to_thread(_from_desk, scene, "INVITE", address, "bob", transport=row.transport)
    if not answer.startswith(("SIP/2.0 403", "SIP/2.0 401")) and answer:
        row.why = f"a stranger's INVITE was answered {answer[:40]}"


async def stranger_relays(scene: Scene, row: Row, stage: Stage) -> None:
    """Another host sends the INVITE that alice's phone may have carried on right now: nothing may leave for it."""
    capture, there = await _ringing_call(scene, row, stage)
    turned = await capture.see(lambda m: m.status == 302, within_s=BYE_S, what="302")
    contact = turned.headers["contact"].partition("<")[2].partition(">")[0]
    before = _carried(capture, scene, there)
    answer = await asyncio.to_thread(_from_desk, scene, "INVITE", scene.hosts["alice"].address, "bob", uri=contact)
    await asyncio.sleep(SILENCE_S)
    capture.read()
    if _carried(capture, scene, there) != before or answer.startswith(("SIP/2.0 2", "SIP/2.0 3")):
        row.why = f"alice's adapter carried a stranger's INVITE to bob's phone, or answered it {answer[:40]}"


async def stranger_reflects(scene: Scene, row: Row, stage: Stage) -> None:
    """Another host answers the INVITE that the adapter carries on right now, branch and all: alice hears nothing."""
    capture, there = await _ringing_call(scene, row, stage)
    carried = await capture.see(
        lambda m: m.first.startswith("INVITE ") and m.target[0] == there and m.source[1] == SIP_PORT,
        within_s=BYE_S,
        what="a forwarded INVITE",
    )
    guessed = f"{carried.vias[0].partition(';')[0]};branch=z9hG4bK{secrets.token_hex(20)}"
    with host_socket(scene.hosts["desk"]) as udp:
        for vias in (carried.vias, (guessed, *carried.vias[1:])):
            lines = [
                f"SIP/2.0 603 {FORGED}",
                *(f"Via: {via}" for via in vias),
                *(f"{name}: {carried.headers[name]}" for name in ("from", "call-id", "cseq")),
                *(f"To: {carried.headers['to']};tag=stranger", "Content-Length: 0", "", ""),
            ]
            udp.sendto("\r\n".join(lines).encode(), (scene.hosts["alice"].address, SIP_PORT))
    await capture.see(lambda m: FORGED in m.first, within_s=BYE_S, what="the stranger's answer")
    await asyncio.sleep(SILENCE_S)
    capture.read()
    if any(FORGED in m.first and m.source[0] == scene.hosts["alice"].address for m in capture.sip):
        row.why = "alice's adapter passed a stranger's answer on to her phone"


async def _ringing_call(scene: Scene, row: Row, stage: Stage) -> tuple[Capture, str]:
    """Let alice's phone, whose INVITE the adapter carries on, ring bob's."""
    await stage.phone(CALLEES, "baresip", "bob", answers=False)
    caller = await stage.phone(CALLERS, row.callee, "alice")
    await scene.registered("bob")
    await scene.registered("alice")
    capture, there = await stage.watch("alice"), scene.hosts["bob"].address
    await caller.call("bob")
    await capture.see(ringing(there), within_s=ANSWER_S, what="180 from the callee's phone")
    return capture, there


def _carried(capture: Capture, scene: Scene, there: str) -> set[str]:
    """Return the Call-IDs of what alice's adapter sent to bob's phone."""
    own = (scene.hosts["alice"].address, SIP_PORT)
    return {m.headers["call-id"] for m in capture.sip if m.source == own and m.target[0] == there}


def _ends(message: Sip, host: str) -> bool:
    """Recognise the final refusal that reaches the caller's phone on `host`, forwarded or not."""
    there = message.target[0] == host and message.target[1] != SIP_PORT
    return message.method == "INVITE" and message.status in REFUSALS and there


def _from_desk(
    scene: Scene, method: str, adapter: str, name: str, *, uri: str = "", source: str = "", transport: str = "udp"
) -> str:
    """Send a request in alice's name from another host and return the final answer, empty when there is none.

    `source` is an address to send it under that is not the host's own; answers do not come there.
    """
    domain = authority(adapter, SIP_PORT)
    kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
    with host_socket(scene.hosts["desk"], source, kind=kind) as desk:
        own = authority(*desk.getsockname()[:2])
        registers = method == "REGISTER"
        target = uri or (f"sip:{domain}" if registers else f"sip:{name}@{domain}")
        lines = [
            f"{method} {target} SIP/2.0",
            f"Via: SIP/2.0/{transport.upper()} {own};rport;branch=z9hG4bK{secrets.token_hex(8)}",
            *("Max-Forwards: 70", f"From: <sip:alice@{domain}>;tag={secrets.token_hex(4)}"),
            *(f"To: <sip:{name}@{domain}>", f"Call-ID: {secrets.token_hex(8)}", f"CSeq: 1 {method}"),
            *(f"Contact: <sip:alice@{own}>", "Expires: 120", f"User-Agent: {FORGED}"),
            *("Content-Length: 0", "", ""),
        ]
        desk.settimeout(SILENCE_S)
        desk.connect((adapter, SIP_PORT))
        desk.sendall("\r\n".join(lines).encode())
        answer = ""
        with contextlib.suppress(TimeoutError):
            while not answer or answer.startswith("SIP/2.0 1"):
                answer = desk.recv(65536).decode(errors="replace")
        return answer
