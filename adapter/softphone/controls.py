"""What a person does to a call that is up: mute, volume, hold, digits.  I/O: by PJSIP, in the child process alone."""

import re
from typing import Final

from adapter.softphone import commands
from adapter.softphone.call import LiveCall
from overlay.errors import RemoteError

DIALLED: Final = re.compile(r"[0-9*#A-D]{1,32}", re.ASCII)


def control(call: LiveCall, command: commands.CallCommand) -> None:
    """Do it; RemoteError where it makes no sense, pj.Error where PJSIP cannot."""
    match command:
        case commands.Mute(on=on):
            call.mute(on=on)
        case commands.Volume(percent=percent):
            if not 0 <= percent <= commands.MAX_VOLUME:
                raise RemoteError(f"a volume is 0 to {commands.MAX_VOLUME} percent")
            call.volume(percent)
        case commands.Hold(on=on):
            call.hold(on=on)
        case commands.Digits(digits=digits):
            if not DIALLED.fullmatch(digits):
                raise RemoteError("a dial pad has 0-9, *, # and A-D, and 32 of them go at once")
            call.dial_digits(digits)
        case _:
            raise RemoteError("no such command")
