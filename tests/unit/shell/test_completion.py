"""The completion scripts, as the shells themselves read them."""

import shutil
import subprocess

import pytest

from adapter.cli import COMMANDS, whole_parser
from adapter.commands.completion import SHELLS, script


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_option_is_in_it(shell):
    text = script(whole_parser(), shell)
    for word in (*COMMANDS, "--bootstrap", "--require-encryption", "--passphrase-file", "contacts", "rotate"):
        assert word.removeprefix("--") in text


def complete(shell, words):
    """Return what a shell offers for the last word."""
    typed = " ".join(f"'{word}'" for word in words)
    lines = {
        "bash": f"COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; "
        '_shtab_secp2psip; printf "%s\\n" "${COMPREPLY[@]}"',
        "fish": f'complete -C "{" ".join(words)}" | cut -f 1',
    }
    done = subprocess.run(
        [shell, "-c", f"{script(whole_parser(), shell)}\n{lines[shell]}"], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_the_shell_completes_commands_and_options(shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    assert {"call", "calls"} == set(complete(shell, ["secp2psip", "cal"]))
    assert "--bootstrap" in complete(shell, ["secp2psip", "call", "--boot"])
    assert set(complete(shell, ["secp2psip", "contacts", "ver"])) == {"verify"}


def test_zsh_takes_it():
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    subprocess.run(["zsh", "-n"], input=script(whole_parser(), "zsh"), text=True, check=True)
