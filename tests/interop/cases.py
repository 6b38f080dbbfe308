"""The list of cases, and how one is played.  I/O: through the scene."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.interop import calls, troubles, unconfigured
from tests.interop.calls import Row, Stage
from tests.interop.phones import CALLEES, CALLERS
from tests.interop.tool import InteropFailed
from tests.support.programs import ProgramFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.interop.scene import Scene

    Play = Callable[[Scene, Row, Stage], Awaitable[None]]

QUICK = {
    ("baresip", "baresip"),
    ("linphone", "baresip"),
    ("baresip", "linphone"),
    ("own", "baresip"),
    ("twinkle", "own"),
}
"""The pairs of `make interop-quick`: each phone, both ways where it differs."""
REAL = ("baresip", "linphone", "twinkle", "own")
RESTARTED = (("baresip", "baresip"), ("linphone", "twinkle"), ("twinkle", "linphone"), ("own", "own"))
LONGEST_S = 120


@dataclass(slots=True, kw_only=True)
class Case:
    """One thing to try."""

    row: Row
    play: Play
    needs: tuple[str, ...]
    """Phones that have to be there."""
    quick: bool = False
    six: bool = False
    """On the LAN that knows IPv6 alone."""

    @property
    def name(self) -> str:
        """Name of the case's folder."""
        text = f"{self.row.case} {self.row.caller} {self.row.callee} {self.row.transport}"
        return re.sub(r"[^a-z0-9]+", "-", text.lower())


async def play(case: Case, scene: Scene) -> None:
    """Play one case; whatever goes wrong stands in its row."""
    row, began = case.row, time.monotonic()
    stage = Stage(scene=scene, name=case.name)
    try:
        for user in ("alice", "bob"):
            await scene.forget_phones(user)
        async with asyncio.timeout(LONGEST_S):
            await case.play(scene, row, stage)
        row.ok = not row.why
    except (InteropFailed, ProgramFailed, OSError, TimeoutError) as error:
        row.why = " ".join(str(error).split())[:300] or type(error).__name__
    finally:
        with contextlib.suppress(InteropFailed):
            await stage.end()
        row.took_s = round(time.monotonic() - began, 1)


def all_cases() -> list[Case]:
    """Return every case in the order of play."""
    cases = [_case("call", caller, callee, calls.plain_call) for caller in CALLERS for callee in CALLEES]
    for case in cases:
        case.quick = (case.row.caller, case.row.callee) in QUICK
    cases += [_case("adapter restarted", caller, callee, calls.restarted) for caller, callee in RESTARTED]
    cases += [_case("call", caller, "baresip", calls.plain_call, transport="tcp") for caller in ("baresip", "linphone")]
    cases += [_case("call, encrypted", "own", "own", calls.encrypted, transport="tls")]
    cases += [
        _case("call, SRTP", *pair, calls.srtp) for pair in (("own", "baresip"), ("own", "linphone"), ("baresip", "own"))
    ]
    cases += [_case("call, SRTP on one side only", "own", "baresip", calls.srtp_refused)]
    cases += [_case("callee out of reach", "baresip", "linphone", troubles.out_of_reach)]
    cases += [_case("phone on another host", caller, "baresip", calls.remote_phone) for caller in REAL]
    cases += [_case("two phones", caller, "baresip", calls.two_phones, also=("linphone",)) for caller in REAL]
    cases += [_case("caller cancels", caller, "baresip", troubles.cancelled) for caller in REAL]
    cases += [_case("caller cancels", "baresip", callee, troubles.cancelled) for callee in ("linphone", "twinkle")]
    cases += [_case("callee busy", caller, "baresip", troubles.busy) for caller in REAL]
    cases += [_case("callee busy", "baresip", callee, troubles.busy) for callee in ("twinkle", "own")]
    cases += [_case("callee declines", caller, "baresip", troubles.declined) for caller in REAL]
    cases += [_case("callee declines", "baresip", callee, troubles.declined) for callee in REAL[1:]]
    cases += [_case("unknown user", caller, "", troubles.unknown) for caller in REAL]
    cases += [_case("registration refreshed", caller, "", troubles.refreshed) for caller in REAL[:3]]
    cases += [
        _case("stranger registers", "stranger", "", troubles.stranger_registers),
        _case("stranger forges its address", "stranger", "", troubles.stranger_forges, also=("baresip",)),
        _case("stranger calls", "stranger", "baresip", troubles.stranger_calls),
        _case("stranger registers", "stranger", "", troubles.stranger_registers, transport="tcp"),
        _case("stranger calls", "stranger", "baresip", troubles.stranger_calls, transport="tcp"),
        *(_case("stranger relays", "stranger", kind, troubles.stranger_relays) for kind in ("baresip", "linphone")),
        _case("stranger reflects", "stranger", "linphone", troubles.stranger_reflects, also=("baresip",)),
    ]
    cases += [
        _case("no address typed anywhere", "own", "own", unconfigured.nothing_typed, transport="tls"),
        _case("one overlay name, two keys", "own", "own", unconfigured.two_keys, transport="tls"),
    ]
    six = [
        _case("call over IPv6 only", "baresip", "baresip", calls.plain_call),
        _case("stranger registers over IPv6", "stranger", "", troubles.stranger_registers),
        _case("stranger forges its IPv6 address", "stranger", "", troubles.stranger_forges, also=("baresip",)),
        _case("stranger calls over IPv6", "stranger", "baresip", troubles.stranger_calls),
    ]
    for case in six:
        case.six = True
    return [*cases, *six]


def _case(
    name: str, caller: str, callee: str, play: Play, *, transport: str = "udp", also: tuple[str, ...] = ()
) -> Case:
    needs = tuple(kind for kind in (caller, callee, *also) if kind in CALLERS)
    return Case(row=Row(caller=caller, callee=callee, case=name, transport=transport), play=play, needs=needs)
