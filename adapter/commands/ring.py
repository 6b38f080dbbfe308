"""`secp2psip ring`: the ring as this device sees it, as a table or a picture.  I/O: link, a file."""

import argparse
import asyncio
import os
from pathlib import Path
from typing import Final

from adapter.commands import options
from adapter.config import Settings, parse_user
from adapter.link import asking
from adapter.problems import ExitCode, Problem
from adapter.reports import ring_with_user
from adapter.ring_picture import draw
from adapter.screen import Screen

EXAMPLES: Final = """\
  secp2psip ring
  secp2psip ring --name bob
  secp2psip ring --name bob --svg ring.svg
  secp2psip ring --json"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("--name", metavar="NAME", help="whose key pieces to show, and on which nodes they lie")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the circle: nodes, fingers, pieces")
    options.add_user(parser, who="who asks, where an adapter has to be started for it")
    options.add_network(parser)
    options.add_common(parser)


async def run(args: argparse.Namespace, settings: Settings, screen: Screen) -> ExitCode:
    """Ask the adapter and show its answer."""
    name = None if args.name is None else parse_user(args.name)
    if args.svg is not None:
        _check(args.svg)  # before a minute is spent on asking
    with screen.waiting("asking the ring"):
        async with asking(settings, screen.show) as link:
            answer = await link.ask("ring")
            if name is not None:
                answer = ring_with_user(answer, await link.ask("lookup", aor=name))
    event = {"event": "ring"} | answer
    if args.svg is not None:
        await asyncio.to_thread(_write, args.svg, draw(event))
        event["svg"] = str(args.svg)
    screen.show(event)
    return ExitCode.OK


def _check(path: Path) -> None:
    if path.is_dir():
        raise Problem(f"{path} is a folder", hint="name a file: --svg ring.svg", code="usage")
    if not path.parent.is_dir():
        raise Problem(
            f"there is no folder {path.parent}", hint="make it, or name another file with --svg", code="usage"
        )


def _write(path: Path, text: str) -> None:
    """Write the file whole or not at all: a viewer may have the older one open."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        reason = (error.strerror or str(error)).lower()
        raise Problem(f"cannot write {path}: {reason}", hint="name another file with --svg") from error
