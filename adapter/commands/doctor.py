"""`secp2psip doctor`: what keeps phones here from calling and being called.

I/O: sockets, /proc, multicast DNS, the sound server.
"""

import argparse
import asyncio
import ctypes
import socket
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from adapter import checkup, kernel, sound_checkup
from adapter.checkup import Finding
from adapter.commands import options
from adapter.config import DEFAULT_SIP_PORT, Address, Settings, format_address
from adapter.control_client import ControlClient, NoAdapter
from adapter.enrolment import EnrolmentFailed, ask_challenge
from adapter.link import own_host, users_here
from adapter.problems import ExitCode, Problem, describe
from adapter.screen import Screen
from adapter.softphone.soundserver import list_devices, users_of_cards
from adapter.state import StateDir
from adapter.way_in import find_way_in
from overlay.errors import Secp2psipError
from overlay.ring.addresses import lan_address

EXAMPLES: Final = """\
  secp2psip doctor
  secp2psip doctor --bootstrap 192.168.1.10 --json"""
ASK_S: Final = 5.0
USUAL_PIECES: Final = 7
"""Of an overlay that nobody here is registered with yet."""
_UNSYNCHRONISED: Final = 5
"""What adjtimex(2) returns where nothing disciplines the clock."""
_TIMEX_BYTES: Final = 256


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    options.add_user(parser, who="whose registration is looked at (default: everybody's here)")
    options.add_network(parser, fixed_port=True)
    options.add_common(parser)


async def run(args: argparse.Namespace, settings: Settings, screen: Screen) -> ExitCode:  # noqa: ARG001 -- as all commands
    """Look at one thing after the other; nothing is changed, and no adapter is started."""
    worst = ExitCode.OK
    with screen.waiting("looking"):
        async for finding in _findings(settings, screen):
            screen.show(finding.event())
            if finding.level == "bad":
                worst = ExitCode.FAILED
    return worst


async def _findings(settings: Settings, screen: Screen) -> AsyncIterator[Finding]:
    state = StateDir(settings.state_dir)
    yield _kernel()
    status = await _status(state)
    yield checkup.adapter(status, str(state.path))
    if status is None:
        where = _own_address(settings, state)
        yield checkup.address(*where, warning="" if settings.sip or settings.bootstrap else lan_address().warning)
        yield checkup.port(where, _taken(where))
    else:
        host, _, port = str(status["sip"]).rpartition(":")
        yield checkup.address(host.strip("[]"), int(port))
    skew_s, bootstrap = await _bootstrap(settings, state, screen)
    yield bootstrap
    yield checkup.clock(skew_s, is_synchronised=_is_synchronised())
    if status is not None:
        enrolments = [state.load_enrolment(user) for user in state.users()]
        pieces = next((one.dealing.n for one in enrolments if one is not None), USUAL_PIECES)
        yield checkup.ring(status, pieces=pieces)
        for finding in checkup.phones(status):
            yield finding
    for finding in await _sound():
        yield finding


async def _sound() -> list[Finding]:
    found = await list_devices()
    if found.why:
        return [sound_checkup.nothing(found.why, found.hint)]
    shared = any(device.end.backend == "pulse" for device in (*found.microphones, *found.speakers))
    users = () if shared else users_of_cards()
    return sound_checkup.sound(found.microphones, found.speakers, users=users)


def _kernel() -> Finding:
    try:
        kernel.require_own_addresses_own()
    except kernel.SpoofableHost as problem:
        return Finding(check="kernel", level="bad", text=problem.text, hint=problem.hint)
    return Finding(check="kernel", level="good", text="keeps this host's own addresses to it")


async def _status(state: StateDir) -> dict[str, Any] | None:
    try:
        client = await ControlClient.connect(state.socket_path)
    except NoAdapter:
        return None
    try:
        client.timeout_s = ASK_S
        return await client.ask("status")
    finally:
        await client.close()


def _own_address(settings: Settings, state: StateDir) -> Address:
    """Return where an adapter started now would take phones."""
    port = settings.sip[1] if settings.sip is not None else DEFAULT_SIP_PORT
    return own_host(settings, state, settings.users or users_here(state)), port


def _taken(where: Address) -> dict[str, str]:
    """Return why a port cannot be listened on, by transport."""
    taken = {}
    family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
    for transport, kind in (("UDP", socket.SOCK_DGRAM), ("TCP", socket.SOCK_STREAM)):
        with socket.socket(family, kind) as probe:
            if kind is socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(where)
            except OSError as error:
                taken[transport] = (error.strerror or str(error)).lower()
    return taken


async def _bootstrap(settings: Settings, state: StateDir, screen: Screen) -> tuple[float | None, Finding]:
    """Return how far this clock is ahead of the server's, and what became of asking it."""
    users = [user for user in settings.users or users_here(state) if state.load_enrolment(user) is not None]
    if settings.bootstrap is None and users:
        return None, checkup.enrolled(users)
    try:
        found = await find_way_in(settings, ["somebody"], screen.show)
        assert found.bootstrap is not None  # or there is no way in, which is a Problem
        async with asyncio.timeout(ASK_S):
            challenge, key = await ask_challenge(found.bootstrap, overlay_pin=found.overlay_key)
    except TimeoutError:
        text, hint = f"it does not answer within {ASK_S:g} s", "is it running, and TCP let through by the firewall?"
        return None, Finding(check="bootstrap", level="bad", text=text, hint=hint)
    except (Problem, EnrolmentFailed, Secp2psipError) as error:
        trouble = describe(error)
        text = trouble.error.removeprefix("somebody is not registered yet, and ")
        return None, Finding(check="bootstrap", level="bad", text=text, hint=trouble.hint)
    text = f"overlay {challenge.overlay} at {format_address(found.bootstrap)}, its key is {key.hex()}"
    return time.time() - challenge.time, Finding(check="bootstrap", level="good", text=text)


def _is_synchronised() -> bool | None:
    """Tell whether something keeps the clock right; None where the kernel does not say."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)  # all zero: a question that changes nothing
    try:
        answer = ctypes.CDLL(None).adjtimex(timex)
    except AttributeError:
        return None
    return None if answer < 0 else answer != _UNSYNCHRONISED
