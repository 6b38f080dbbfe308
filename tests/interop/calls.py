"""A call: what two phones do, and what must be seen of it on the wire and heard.  I/O: through the scene."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from adapter.problems import ExitCode
from tests.interop.capture import POLL_S, Capture, Sip
from tests.interop.phones import CALLEES, CALLERS
from tests.interop.scene import SIP_PORT
from tests.interop.sound import judge
from tests.interop.tool import InteropFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.phones.base import Phone
    from tests.interop.scene import Scene

TALK_S = 9.0
"""A round and a half of the voice: whole seconds of speech and a tone, wherever in the round a phone begins."""
LATEST_S = 20.0
"""How long both sides may take to have said that much: twinkle begins seconds late."""
ANSWER_S = 15.0
BYE_S = 6.0
MD5_ALONE = frozenset({"baresip"})
"""Phones that give up where SHA-256 is offered beside MD5; their users' line in the configuration says so."""
WRONG_S = 3.0
"""How long a phone with a wrong password may try."""


@dataclass(slots=True, kw_only=True)
class Row:
    """One line of build/interop.json."""

    caller: str
    callee: str
    case: str
    transport: str = "udp"
    ok: bool = False
    skipped: bool = False
    redirected: bool = False
    forwarded: bool = False
    """The redirected INVITE went through the adapter's stateless forward."""
    media_direct: bool = False
    audio_ab: bool = False
    audio_ba: bool = False
    setup_ms: float = 0.0
    why: str = ""
    took_s: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the row as it is written."""
        return asdict(self)


@dataclass(slots=True, kw_only=True)
class Stage:
    """The phones and captures of one case, ended with it."""

    scene: Scene
    name: str
    phones: list[Phone] = field(default_factory=list)
    captures: list[Capture] = field(default_factory=list)

    async def phone(self, kinds: dict[str, type[Phone]], kind: str, user: str, **changes: Any) -> Phone:
        """Start a phone and wait until it is registered, if it registers before it calls."""
        folder = self.scene.folder / "cases" / self.name / f"{user}-{len(self.phones)}"
        phone = kinds[kind](self.scene.seat(user, self.name, **({"folder": folder} | changes)))
        self.phones.append(phone)
        await phone.start()
        return phone

    async def watch(self, host: str) -> Capture:
        """Look at all that goes over a host's wires from now on."""
        place = self.scene.hosts[host]
        folder = self.scene.folder / "cases" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        capture = await Capture.start(place.argv(), folder / f"{host}.pcap", frozenset({place.address}))
        self.captures.append(capture)
        return capture

    async def end(self) -> None:
        """End all of it."""
        await asyncio.gather(*(phone.stop() for phone in self.phones), return_exceptions=True)
        await asyncio.gather(*(capture.stop() for capture in self.captures), return_exceptions=True)


async def pair(scene: Scene, row: Row, stage: Stage, *, answers: bool = True) -> tuple[Phone, Phone]:
    """Start caller and callee and wait until both are registered."""
    callee = await stage.phone(CALLEES, row.callee, "bob", transport=row.transport, answers=answers)
    caller = await stage.phone(CALLERS, row.caller, "alice", transport=row.transport)
    await scene.registered("bob")
    if row.caller != "own":  # it registers when it calls
        await scene.registered("alice")
    return caller, callee


async def plain_call(scene: Scene, row: Row, stage: Stage) -> None:
    """Register both, call by name, follow the 302, talk, hang up; look at the wire and listen to the recordings."""
    caller, callee = await pair(scene, row, stage)
    await one_call(scene, row, stage, caller, callee)


async def restarted(scene: Scene, row: Row, stage: Stage) -> None:
    """Both adapters are ended and started again; the phones are left alone."""
    caller, callee = await pair(scene, row, stage)
    for user in ("alice", "bob"):
        await scene.stop_adapter(user)
        await scene.start_adapter(user)
    await scene.registered("bob")
    if row.caller != "own":
        await scene.registered("alice")
    await one_call(scene, row, stage, caller, callee)


async def two_phones(scene: Scene, row: Row, stage: Stage) -> None:
    """Bob has two phones registered; one of them takes the call."""
    caller, callee = await pair(scene, row, stage)
    second = await stage.phone(CALLEES, "linphone", "bob", port=5062)
    await scene.registered("bob", count=2)
    await one_call(scene, row, stage, caller, callee, second)


async def remote_phone(scene: Scene, row: Row, stage: Stage) -> None:
    """Alice's phone is on another host than her adapter: it is served for the password in the configuration."""
    password = secrets.token_hex(8)
    file = scene.folder / "phones.toml"
    file.touch(mode=0o600)
    narrow = row.caller in MD5_ALONE
    secret = f'{{ password = "{password}", digest = "md5" }}' if narrow else f'"{password}"'
    file.write_text(f"[phones]\nalice = {secret}\n")
    await scene.stop_adapter("alice")
    await scene.start_adapter("alice", options=("--config", str(file)))
    try:
        desk = scene.hosts["desk"]
        place: dict[str, Any] = {"prefix": tuple(desk.argv()), "host": desk.address}
        callee = await stage.phone(CALLEES, row.callee, "bob")
        wrong = await stage.phone(CALLERS, row.caller, "alice", password="guessed", **place)
        registers_when_it_calls = row.caller == "own"
        if registers_when_it_calls:
            await wrong.call("bob")
        await asyncio.sleep(WRONG_S)
        await wrong.stop()
        if await scene.phones("alice"):
            raise InteropFailed("a wrong password was taken")
        caller = await stage.phone(CALLERS, row.caller, "alice", password=password, **place)
        await scene.registered("bob")
        if not registers_when_it_calls:
            await scene.registered("alice")
        await one_call(scene, row, stage, caller, callee, at="desk")
    finally:
        await stage.end()
        await scene.stop_adapter("alice")
        await scene.start_adapter("alice")


async def encrypted(scene: Scene, row: Row, stage: Stage) -> None:
    """Two built-in softphones as they come: both hear, straight from phone to phone, and the wire tells nothing."""
    callee = await stage.phone(CALLEES, row.callee, "bob", plain=False)
    caller = await stage.phone(CALLERS, row.caller, "alice", plain=False)
    capture = await stage.watch("alice")
    began = time.monotonic()
    await caller.call("bob")
    await callee.tool.hear('"established"', within_s=ANSWER_S)
    row.setup_ms = round((time.monotonic() - began) * 1000, 1)
    await _talk(capture)
    await caller.hang_up()
    await asyncio.gather(caller.stop(), callee.stop())
    await capture.stop()
    here, there = scene.hosts["alice"].address, scene.hosts["bob"].address
    flows = list(capture.loud_flows())
    row.redirected = any(m.status == 302 for m in capture.sip)
    row.media_direct = {(flow[0][0], flow[1][0]) for flow in flows} == {(here, there), (there, here)}
    flaws = [] if row.redirected else ["no 302"]
    flaws += [] if row.media_direct else [f"sound not straight from phone to phone: {flows}"]
    flaws += ["SIP between the hosts was readable" for m in capture.sip if there in (m.source[0], m.target[0])][:1]
    for number, flow in enumerate(flows):
        heard = capture.decode(flow, caller.seat.folder / f"wire-{number}.wav")
        voices = (caller.seat.voice, callee.seat.voice)
        flaws += [f"the wire could be heard: {found}" for found in (judge(v, heard) for v in voices) if found.ok]
    row.why = "; ".join([*flaws, *await _listen(row, capture, caller, callee)])


async def srtp(scene: Scene, row: Row, stage: Stage) -> None:
    """One side is a phone off the shelf that is set to SRTP: the sound on the wire is noise, its keys can be read."""
    callee = await stage.phone(CALLEES, row.callee, "bob", srtp=True)
    caller = await stage.phone(CALLERS, row.caller, "alice", srtp=True)
    await scene.registered("bob")
    if row.caller != "own":
        await scene.registered("alice")
    await one_call(scene, row, stage, caller, callee)
    (capture,) = stage.captures
    offers = [m.body for m in capture.sip if m.first.startswith("INVITE ") and scene.hosts["bob"].address in m.target]
    flaws = [row.why] if row.why else []
    flaws += (
        [] if offers and all("RTP/SAVP" in body and "a=crypto:" in body for body in offers) else ["no SRTP offered"]
    )
    for number, flow in enumerate(capture.loud_flows()):
        heard = capture.decode(flow, caller.seat.folder / f"wire-{number}.wav")
        voices = (caller.seat.voice, callee.seat.voice)
        flaws += [f"the wire could be heard: {found}" for found in (judge(v, heard) for v in voices) if found.ok]
    row.why = "; ".join(flaws)


async def srtp_refused(scene: Scene, row: Row, stage: Stage) -> None:
    """The other phone knows no SRTP: no call, and the command says what to do."""
    await stage.phone(CALLEES, row.callee, "bob")
    caller = await stage.phone(CALLERS, row.caller, "alice", srtp=True)
    await scene.registered("bob")
    await caller.call("bob")
    await caller.tool.hear('"not_encrypted"', within_s=ANSWER_S)
    code = await caller.tool.wait(BYE_S)
    row.why = "" if code == ExitCode.NOT_ENCRYPTED else f"exit code {code}"


async def one_call(scene: Scene, row: Row, stage: Stage, caller: Phone, *callees: Phone, at: str = "alice") -> None:
    """Play the call of registered phones, the caller's on host `at`; of several callees any may answer."""
    capture = await stage.watch(at)
    await caller.call("bob")
    answer = await capture.see(final(callees[0]), within_s=ANSWER_S, what="200 from the callee's phone")
    callee = next((phone for phone in callees if phone.seat.port == answer.source[1]), callees[0])
    if row.caller != "sipp":  # its scenario says when
        await _talk(capture)
        await caller.hang_up()
    bye = await capture.see(
        lambda m: m.first.startswith("BYE "), within_s=BYE_S if row.caller != "sipp" else LATEST_S, what="BYE"
    )
    await capture.see(lambda m: m.status == 200 and m.method == "BYE", within_s=BYE_S, what="200 to the BYE")
    await asyncio.gather(caller.stop(), callee.stop())
    await capture.stop()
    flaws = [*_look(scene, row, capture, bye, here=caller.seat.host), *await _listen(row, capture, caller, callee)]
    row.why = "; ".join(flaws)


async def _talk(capture: Capture) -> None:
    """Let them talk until enough went both ways; where it does not, the recordings tell what is missing."""
    latest = time.monotonic() + LATEST_S
    while time.monotonic() < latest:
        capture.read()
        if sum(capture.sounding_s(flow) >= TALK_S for flow in capture.loud_flows()) >= 2:
            return
        await asyncio.sleep(POLL_S)


def ringing(host: str) -> Callable[[Sip], bool]:
    """Recognise the 180 of a phone on `host`."""
    return lambda m: m.status in {180, 183} and m.method == "INVITE" and m.source[0] == host


def final(callee: Phone) -> Callable[[Sip], bool]:
    """Recognise the 200 of the callee's phone; a failure that nothing can follow ends the waiting."""
    host = callee.seat.host

    def matches(message: Sip) -> bool:
        if message.method != "INVITE" or message.status < 200:
            return False
        if message.status >= 400 and message.status not in {401, 407}:
            raise InteropFailed(f"the INVITE was answered {message.first[8:]} {message.headers.get('warning', '')}")
        # an adapter on another host than the phone passes the answer on, where it passed the INVITE on
        return message.status == 200 and (message.source[0] == host or message.source[1] == SIP_PORT)

    return matches


def _look(scene: Scene, row: Row, capture: Capture, bye: Sip, *, here: str) -> list[str]:
    """Read redirect, setup time and the way of the sound from the packets of the caller's host `here`."""
    there = scene.hosts["bob"].address
    adapter = (scene.hosts["alice"].address, SIP_PORT)
    invites = [m for m in capture.sip if m.first.startswith("INVITE ")]
    turned = next((m for m in capture.sip if m.status == 302 and m.source == adapter), None)
    direct = [m for m in invites if m.target[0] == there or there in m.first]
    answer = next(m for m in capture.sip if m.status == 200 and m.method == "INVITE")
    row.setup_ms = round((answer.at - invites[0].at) * 1000, 1)
    row.redirected = turned is not None and bool(direct) and direct[0].at >= turned.at
    row.forwarded = bool(direct) and adapter in {direct[-1].source, direct[-1].target}
    flaws = [] if row.redirected else ["no INVITE went to the 302's Contact"]
    if SIP_PORT in (bye.source[1], bye.target[1]):
        flaws.append("the BYE went through the adapter")
    offers = {m.media for m in direct if m.media} | {m.media for m in invites if m.media}
    flows = capture.loud_flows()
    to_bob = {flow for flow in flows if flow[0][0] == here and flow[1] == answer.media}
    to_alice = {flow for flow in flows if flow[0][0] == there and flow[1] in offers}
    row.media_direct = bool(to_bob) and bool(to_alice) and set(flows) == to_bob | to_alice
    if not row.media_direct:
        flaws.append(
            f"sound not straight from phone to phone: {len(to_bob)} to bob, {len(to_alice)} to alice of {len(flows)}"
        )
    return flaws


async def _listen(row: Row, capture: Capture, caller: Phone, callee: Phone) -> list[str]:
    """Compare what each phone heard with what the other one played."""
    flaws = []
    for speaker, hearer in ((caller, callee), (callee, caller)):
        if hearer.records:
            recording = hearer.recording
        else:  # sipp writes nothing down: what reached it is taken from the wire
            found = [flow for flow in capture.loud_flows() if flow[1][0] == hearer.seat.host]
            if not found:
                flaws.append(f"{hearer.kind} got no sound")
                continue
            recording = capture.decode(found[0], hearer.recording)
        heard = await asyncio.to_thread(judge, speaker.seat.voice, recording)
        if speaker is caller:
            row.audio_ab = heard.ok
        else:
            row.audio_ba = heard.ok
        if not heard.ok:
            flaws.append(f"{hearer.kind} heard {speaker.kind}: {heard}")
    return flaws
