"""`secp2psip status`: the adapter that runs here, its users and phones.  I/O: the control socket."""

import argparse
from typing import Final

from adapter.commands import options
from adapter.config import Settings
from adapter.control_client import ControlClient
from adapter.problems import ExitCode
from adapter.screen import Screen
from adapter.state import StateDir

EXAMPLES: Final = """\
  secp2psip status
  secp2psip status --state ~/second-device --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    options.add_common(parser)


async def run(args: argparse.Namespace, settings: Settings, screen: Screen) -> ExitCode:  # noqa: ARG001 -- as all commands
    """Ask the running adapter and show its answer; one is never started only to say that it has just been started."""
    client = await ControlClient.connect(StateDir(settings.state_dir).socket_path)
    try:
        answer = await client.ask("status")
    finally:
        await client.close()
    screen.show({"event": "status"} | answer)
    return ExitCode.OK
