"""`secp2psip devices`: the microphones and speakers of this host.  I/O: the sound server's own programs."""

import argparse
from typing import Final

from adapter.commands import options
from adapter.config import Settings
from adapter.problems import ExitCode, Problem
from adapter.screen import Screen
from adapter.softphone.devices import Device
from adapter.softphone.soundserver import list_devices

EXAMPLES: Final = """\
  secp2psip devices
  secp2psip call bob --mic headset --speaker headset"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    options.add_common(parser)


async def run(args: argparse.Namespace, settings: Settings, screen: Screen) -> ExitCode:  # noqa: ARG001 -- as all commands
    """List what there is."""
    found = await list_devices()
    if found.why:
        raise Problem(found.why, hint=found.hint, code="no_sound")
    screen.show({"event": "devices", "microphones": _rows(found.microphones), "speakers": _rows(found.speakers)})
    return ExitCode.OK


def _rows(devices: tuple[Device, ...]) -> list[dict[str, object]]:
    return [
        {
            "device": str(device.end),
            "about": device.about,
            "default": device.is_default,
            "muted": device.is_muted,
            "cancels_echo": device.cancels_echo,
        }
        for device in devices
    ]
