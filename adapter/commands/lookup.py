"""`secp2psip lookup NAME`: what the ring says of somebody, and what an attacker would need.  I/O: link."""

import argparse
from typing import Final

from adapter.commands import options
from adapter.config import Settings, parse_user
from adapter.link import ask_once
from adapter.problems import ExitCode
from adapter.screen import Screen

EXAMPLES: Final = """\
  secp2psip lookup bob
  secp2psip lookup bob --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("name", help="whom to look up")
    options.add_user(parser, who="who asks, where an adapter has to be started for it")
    options.add_network(parser)
    options.add_common(parser)


async def run(args: argparse.Namespace, settings: Settings, screen: Screen) -> ExitCode:
    """Ask the adapter and show its answer."""
    name = parse_user(args.name)
    with screen.waiting(f"asking the ring for {name}"):
        answer = await ask_once(settings, "lookup", screen.show, aor=name)
    screen.show({"event": "lookup"} | answer)
    return ExitCode.OK
