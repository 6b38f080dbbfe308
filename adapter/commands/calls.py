"""`secp2psip calls`: the history of calls, from the receipts.  I/O: files."""

import argparse
from typing import Final

from adapter.call_log import read_calls
from adapter.commands import options
from adapter.config import Settings
from adapter.problems import ExitCode
from adapter.screen import Screen

DEFAULT_LAST: Final = 20
EXAMPLES: Final = """\
  secp2psip calls
  secp2psip calls --last 100 --json      whole receipts: each piece, its node, each liar"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument(
        "--last", type=options.count, default=DEFAULT_LAST, metavar="N", help=f"how many (default: {DEFAULT_LAST})"
    )
    options.add_common(parser)


async def run(args: argparse.Namespace, settings: Settings, screen: Screen) -> ExitCode:
    """Show what the state directory keeps; an adapter may run or not."""
    screen.show({"event": "calls", "calls": read_calls(settings.state_dir, last=args.last)})
    return ExitCode.OK
