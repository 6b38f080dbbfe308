"""`secp2psip config`: the effective configuration, and who set what.  I/O: files."""

import argparse
from collections.abc import Iterator
from typing import Any, Final

from adapter.commands import options
from adapter.config import (
    DEFAULT_BOOTSTRAP_PORT,
    DEFAULT_SIP_PORT,
    Settings,
    format_address,
)
from adapter.config_sources import Chosen, collect, config_file, strange_variables
from adapter.link import users_here
from adapter.problems import ExitCode
from adapter.screen import Screen
from adapter.state import StateDir

EXAMPLES: Final = """\
  secp2psip config
  secp2psip config --sip 192.168.1.20           what a flag would change
  SECP2PSIP_USER=bob secp2psip config           every flag below is a variable too
  secp2psip config --json"""
DEFAULT: Final = "default"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    options.add_user(parser, who="as the other commands take it")
    options.add_network(parser, fixed_port=True)
    options.add_devices(parser)
    options.add_common(parser)


async def run(args: argparse.Namespace, settings: Settings, screen: Screen) -> ExitCode:
    """Show each setting, its value and its source."""
    path = config_file(args.config)
    chosen = collect(vars(args), config=args.config)
    rows = [{"key": key, "value": value, "source": source} for key, value, source in _settings(settings, chosen)]
    file = {"file": "" if path is None else str(path), "there": path is not None and path.is_file()}
    screen.show({"event": "config"} | file | {"settings": rows})
    for name in strange_variables():
        text = f"the variable {name} is no setting"
        screen.show({"event": "warning", "text": text, "hint": "secp2psip config shows which there are"})
    return ExitCode.OK


def _settings(settings: Settings, chosen: dict[str, Chosen]) -> Iterator[tuple[str, Any, str]]:
    """Yield what counts, in the order in which people look for it; secrets are only said to be there."""
    known = users_here(StateDir(settings.state_dir))
    address = f"this machine's address, port {DEFAULT_SIP_PORT} (call and listen: any)"
    written: dict[str, tuple[Any, Any]] = {
        "users": (list(settings.users), list(known) or "$USER, or asked for"),
        "bootstrap": (
            settings.bootstrap and format_address(settings.bootstrap),
            f"found by itself, port {DEFAULT_BOOTSTRAP_PORT} where only a host is given",
        ),
        "overlay": (settings.overlay, "the only one that is announced here"),
        "overlay_key": (settings.overlay_key and settings.overlay_key.hex(), "the one seen at the first registration"),
        "code": ("given" if settings.code else "", "none"),
        "accept": (str(settings.accept), str(settings.accept)),
        "sip": (settings.sip and format_address(settings.sip), address),
        "ring": (settings.ring and format_address(settings.ring), "this machine's address, any port"),
        "mic": (settings.mic, "the usual one"),
        "speaker": (settings.speaker, "the usual one"),
        "via": (settings.via and format_address(settings.via), "an adapter of this machine's own"),
        "state": (str(settings.state_dir), str(settings.state_dir)),
        "phones": ([f"{user}, secret kept" for user in settings.phones], "of this machine alone"),
        "limits": (dict(chosen["limits"].value) if "limits" in chosen else {}, "the usual ones"),
    }
    for key, (value, usual) in written.items():
        source = chosen[key].source if key in chosen else "known here" if key == "users" and known else DEFAULT
        yield key, value if key in chosen else usual, source
