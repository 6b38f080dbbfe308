"""Drivers of the phones, and which of them there are."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from tests.interop.phones.baresip import Baresip
from tests.interop.phones.linphone import Linphone
from tests.interop.phones.own import Own, OwnCaller
from tests.interop.phones.sipp import Sipp, SippCaller
from tests.interop.phones.twinkle import Twinkle

if TYPE_CHECKING:
    from tests.interop.phones.base import Phone

CALLERS: dict[str, type[Phone]] = {
    "baresip": Baresip,
    "linphone": Linphone,
    "twinkle": Twinkle,
    "own": OwnCaller,
    "sipp": SippCaller,
}
CALLEES: dict[str, type[Phone]] = {
    "baresip": Baresip,
    "linphone": Linphone,
    "twinkle": Twinkle,
    "own": Own,
    "sipp": Sipp,
}
PACKAGES = {
    "baresip": "baresip-core",
    "linphone": "linphone-cli",
    "twinkle": "twinkle-console",
    "sipp": "sip-tester",
}


def missing(kind: str) -> str:
    """Say why a phone cannot take part, empty when it can."""
    wanted = [CALLERS[kind].program] + (["pulseaudio", "paplay", "parec"] if kind == "twinkle" else [])
    absent = [program for program in wanted if program and shutil.which(program) is None]
    return f"{', '.join(absent)} not installed: make interop-setup" if absent else ""
