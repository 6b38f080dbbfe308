"""`secp2psip ring`: the ring as this device sees it.  I/O: link."""

import argparse
from typing import Final

from adapter.commands import options
from adapter.config import Settings
from adapter.link import ask_once
from adapter.problems import ExitCode
from adapter.screen import Screen

EXAMPLES: Final = """\
  secp2psip ring
  secp2psip ring --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    options.add_user(parser, who="who asks, where an adapter has to be started for it")
    options.add_network(parser)
    options.add_common(parser)


async def run(args: argparse.Namespace, settings: Settings, screen: Screen) -> ExitCode:  # noqa: ARG001 -- as all commands
    """Ask the adapter and show its answer."""
    with screen.waiting("asking the ring"):
        answer = await ask_once(settings, "ring", screen.show)
    screen.show({"event": "ring"} | answer)
    return ExitCode.OK
