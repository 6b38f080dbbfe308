"""`secp2psip completion SHELL`: what a shell needs to complete commands and options.  I/O: none."""

import argparse
from pathlib import Path
from typing import Final

import shtab

from adapter.commands import options
from adapter.config import Settings
from adapter.problems import ExitCode
from adapter.screen import Screen

SHELLS: Final = ("bash", "zsh", "fish")
EXAMPLES: Final = """\
  eval "$(secp2psip completion bash)"                                  in ~/.bashrc
  secp2psip completion zsh > ~/.zfunc/_secp2psip                       with fpath+=(~/.zfunc) in ~/.zshrc
  secp2psip completion fish > ~/.config/fish/completions/secp2psip.fish"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument("shell", choices=SHELLS, help="whose words it is to be")
    options.add_common(parser)


async def run(args: argparse.Namespace, settings: Settings, screen: Screen) -> ExitCode:  # noqa: ARG001 -- as all commands
    """Print the script."""
    from adapter.cli import whole_parser  # noqa: PLC0415 -- the one command that looks at all the others

    screen.show_script({"event": "completion", "shell": args.shell, "script": script(whole_parser(), args.shell)})
    return ExitCode.OK


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return the completion of a parser with all its commands; where a path is wanted, files are offered."""
    _offer_files(parser)
    return str(shtab.complete(parser, shell))


def _offer_files(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:  # noqa: SLF001 -- argparse shows its options in no other way
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 -- as above
            for below in action.choices.values():
                _offer_files(below)
        elif action.metavar == "DIR":
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]  # the way shtab asks for it
        elif action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # as above
