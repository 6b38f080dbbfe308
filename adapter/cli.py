"""`secp2psip`: which command, with which options.  I/O: the command line.

What a command does is in adapter/commands/, one module each, imported only when it is the one asked for; what it says
is in screen.py and words.py. Wrong use is one ``error:`` line, one ``hint:`` line and exit code 2.
"""

import argparse
import difflib
import importlib
import re
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Final, NoReturn

from adapter.config import Settings, load_settings
from adapter.config_sources import APP_NAME
from adapter.problems import EXIT_MEANINGS, ExitCode, UsageProblem
from adapter.running import nobody_reads, run
from adapter.screen import Screen

COMMANDS: Final = {
    "call": "call somebody by name",
    "listen": "wait for calls and answer them",
    "devices": "the microphones and speakers to choose from",
    "adapter": "run this device's adapter, for phones of your own",
    "contacts": "whose keys are known here: list, verify, forget",
    "calls": "the calls of this device: who, when, how they ended, who vouched for the key",
    "keys": "the key of a user of this device: show, carry away, change, revoke",
    "lookup": "what the ring says of somebody: key, pieces, holders, liars",
    "ring": "the nodes of the ring, as this device sees them",
    "status": "the adapter that runs here: users, phones, what expires when",
    "doctor": "look for what keeps phones here from calling and being called",
    "config": "the configuration: each setting, its value, and where that comes from",
    "completion": "what bash, zsh or fish need to complete these commands",
}
STARTERS: Final = frozenset({"call", "listen", "adapter"})
"""The commands that a new user begins with: they ask what cannot be found out."""
_USAGE: Final = f"usage: {APP_NAME} COMMAND [OPTIONS]"
_INTRODUCTION: Final = """\
Calls people on your own network by name: no SIP server, and nobody to trust.

commands:
"""
_FIRST_STEPS: Final = f"""
examples:
  {APP_NAME} call bob --user alice
  {APP_NAME} listen --user bob --auto-answer
  {APP_NAME} lookup bob

{APP_NAME} COMMAND --help explains a command. {APP_NAME} --version names the version.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own) and return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    screen = Screen(json="--json" in words)
    if not words or words[0] in {"-h", "--help", "help"}:
        return _say(overview(), ExitCode.OK if words else ExitCode.USAGE)
    if words[0] in {"-V", "--version"}:
        return _say(f"{APP_NAME} {_version()}\n", ExitCode.OK)
    try:
        return _run(words[0], words[1:])
    except UsageProblem as problem:
        return screen.show_error(problem)
    except KeyboardInterrupt:  # while the command was still being read: once it runs, running.py minds the signals
        screen.show({"event": "interrupted"})
        return ExitCode.INTERRUPTED


def _say(text: str, code: ExitCode) -> ExitCode:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        return nobody_reads()
    return code


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 -- slow to import, and seldom asked for

    return version(APP_NAME)


def overview() -> str:
    """Return what `secp2psip --help` prints."""
    commands = "".join(f"  {name:<11}{summary}\n" for name, summary in COMMANDS.items())
    return f"{_USAGE}\n\n{_INTRODUCTION}{commands}{_FIRST_STEPS}\n{exit_codes()}\n"


def exit_codes() -> str:
    """Return the table of exit codes as --help shows it."""
    return "exit codes:\n" + "\n".join(f"  {int(code):<5}{meaning}" for code, meaning in EXIT_MEANINGS.items())


def _run(name: str, words: Sequence[str]) -> ExitCode:
    if name not in COMMANDS:
        if name.startswith("-"):
            hint = f"the command comes first, then its options: {APP_NAME} COMMAND {name} ..."
            raise UsageProblem(f"{name} is no command", hint=hint)
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(COMMANDS)}"
        raise UsageProblem(f"no command {name!r}", hint=hint)
    command = importlib.import_module(f"adapter.commands.{name}")
    parser = _Parser(prog=f"{APP_NAME} {name}", **_form(name, command))
    command.add_arguments(parser)
    # intermixed: "keys export --user alice FILE" has an option between two positional words
    args = parser.parse_intermixed_args(words)
    flags = vars(args)
    if isinstance(flags.get("users"), str):
        flags["users"] = [flags["users"]]
    settings = load_settings(flags, config=args.config)
    # an adapter has nothing else to show; in a call the steps are for who wants to see them
    screen = Screen(json=settings.json, trace=settings.trace, steps=name == "adapter")
    return run(_begin(name, command, args, settings, screen), screen)


async def _begin(
    name: str, command: ModuleType, args: argparse.Namespace, settings: Settings, screen: Screen
) -> ExitCode:
    if name in STARTERS:
        settings = await importlib.import_module("adapter.first_run").welcome(settings, screen)
    code: ExitCode = await command.run(args, settings, screen)
    return code


def whole_parser() -> argparse.ArgumentParser:
    """Return one parser with every command in it, as completion needs it; all commands are imported for that."""
    parser = _Parser(prog=APP_NAME, description=_INTRODUCTION.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("-V", "--version", action="version", version=_version())
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, summary in COMMANDS.items():
        command = importlib.import_module(f"adapter.commands.{name}")
        command.add_arguments(commands.add_parser(name, help=summary, **_form(name, command)))
    return parser


def _form(name: str, command: ModuleType) -> dict[str, Any]:
    return {
        "description": COMMANDS[name],
        "epilog": f"examples:\n{command.EXAMPLES}\n\n{exit_codes()}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }


class _Parser(argparse.ArgumentParser):
    """Argparse whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print, with the nearest option where one was misspelt."""
        hint = f"{self.prog} --help shows how it is used"
        wrong = re.match(r"unrecognized arguments: (--[a-z-]+)", message)
        near = difflib.get_close_matches(wrong[1], self._option_string_actions, n=1, cutoff=0.75) if wrong else []
        raise UsageProblem(message, hint=f"did you mean {near[0]}? {hint}" if near else hint)


if __name__ == "__main__":
    sys.exit(main())
