"""`secp2psip adapter`: run the adapter of this device until it is told to stop.  I/O: the adapter service, signals."""

import argparse
import asyncio
import logging
from typing import Final

from adapter.commands import options
from adapter.config import DEFAULT_SIP_PORT, Settings
from adapter.link import choose_user, explain_bind, service_config, users_here
from adapter.problems import ExitCode
from adapter.screen import Screen
from adapter.service import AdapterService
from adapter.state import StateDir
from adapter.way_in import find_way_in

EXAMPLES: Final = """\
  secp2psip adapter --user alice
  secp2psip adapter --user alice --bootstrap 192.168.1.10:5480
  secp2psip adapter --user alice --user carol --sip 192.168.1.20:5070
  secp2psip adapter                 (later: users and ring are remembered)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    options.add_user(parser, who="a user of this device; may be given several times", several=True)
    options.add_network(parser, fixed_port=True)
    options.add_common(parser)


async def run(args: argparse.Namespace, settings: Settings, screen: Screen) -> ExitCode:  # noqa: ARG001 -- as all commands
    """Serve until SIGINT or SIGTERM."""
    state = StateDir(settings.state_dir)
    users = settings.users or users_here(state) or (choose_user(settings),)
    with screen.waiting("looking for a bootstrap server"):
        settings = await find_way_in(settings, users, screen.show)
    config = service_config(settings, users, sip_port=DEFAULT_SIP_PORT)
    for stranger in sorted(config.accept.of.keys() - set(users)):
        text = f"whose calls {stranger} takes is said, and {stranger} is no user of this adapter"
        screen.show({"event": "warning", "text": text, "hint": f"its users are: {', '.join(users)}"})

    if screen.trace and not screen.json:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        handler.addFilter(lambda record: record.levelno < logging.WARNING)  # the rest is on the screen (logged.py)
        logging.getLogger().addHandler(handler)
        logging.getLogger().setLevel(logging.INFO)
        logging.getLogger("kademlia").setLevel(logging.WARNING)  # it tells of every search that it begins
    service = AdapterService(config, emit=screen.show)
    try:
        await service.start()
    except OSError as error:
        raise explain_bind(config, error) from error
    try:
        await service.closed()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()  # Ctrl-C is how an adapter is ended, so it is no failure
    finally:
        await service.stop()
    screen.show({"event": "stopped"})
    return ExitCode.OK
