"""The two questions that a new user is asked, where somebody sits at a terminal: who he is, and where the server is.

Neither is asked where the answer is known or can be found: a user of this device, a flag, the configuration, a server
that announces itself, an adapter that runs. What was answered is kept with the registration, so nobody is asked twice.

I/O: the terminal, files, multicast DNS.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from adapter.config import DEFAULT_BOOTSTRAP_PORT, parse_address, parse_user
from adapter.control_client import ControlClient, NoAdapter
from adapter.link import users_here
from adapter.problems import Problem, UsageProblem
from adapter.state import StateDir
from adapter.way_in import find_way_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from adapter.config import Address, Settings
    from adapter.screen import Screen

MAX_TRIES: Final = 3
"""How often one question is asked."""
_AnswerT = TypeVar("_AnswerT")


async def welcome(settings: Settings, screen: Screen) -> Settings:
    """Return the settings with what had to be asked for. Raises Problem for an answer that makes no sense."""
    state = StateDir(settings.state_dir)
    if not (screen.is_live and sys.stdin.isatty()) or await _adapter_runs(state):
        return settings
    users = settings.users or users_here(state)
    if not users:
        users = (await _ask("your name on this network", parse_user, screen, usual=_login_name()),)
        settings = replace(settings, users=users)
    if settings.bootstrap is not None or settings.via is not None:
        return settings
    try:
        with screen.waiting("looking for a bootstrap server"):
            return await find_way_in(settings, users, screen.show)
    except Problem as problem:
        if problem.code != "no_bootstrap":
            raise
        screen.show({"event": "warning", "text": problem.text, "hint": problem.hint})
        answer = await _ask("address of the bootstrap server, HOST:PORT", _address_or_nothing, screen)
        if answer is None:
            raise
    return replace(settings, bootstrap=answer)


async def _adapter_runs(state: StateDir) -> bool:
    try:
        client = await ControlClient.connect(state.socket_path)
    except NoAdapter:
        return False
    await client.close()
    return True


def _login_name() -> str:
    try:
        return parse_user(os.environ.get("USER", ""))
    except Problem:
        return ""


def _address_or_nothing(text: str) -> Address | None:
    return parse_address(text, default_port=DEFAULT_BOOTSTRAP_PORT) if text else None


async def _ask(question: str, read: Callable[[str], _AnswerT], screen: Screen, *, usual: str = "") -> _AnswerT:
    """Return what `read` makes of the answer, asked again where that is nothing. UsageProblem at the last try."""
    for _ in range(MAX_TRIES - 1):
        try:
            return read(await _typed(question, usual=usual))
        except UsageProblem as problem:
            screen.show({"event": "warning", "text": problem.text, "hint": problem.hint})
    return read(await _typed(question, usual=usual))


async def _typed(question: str, *, usual: str) -> str:
    """Return what a person types, `usual` for nothing. CancelledError for Ctrl-C, at whatever moment it comes."""
    sys.stdout.write(f"{question}{f' [{usual}]' if usual else ''}: ")
    sys.stdout.flush()
    loop, terminal = asyncio.get_running_loop(), sys.stdin.fileno()
    typed = asyncio.Event()
    loop.add_reader(terminal, typed.set)  # a terminal gives whole lines
    try:
        await typed.wait()
    except asyncio.CancelledError:
        sys.stdout.write("\n")
        raise
    finally:
        loop.remove_reader(terminal)
    return sys.stdin.readline().strip() or usual
