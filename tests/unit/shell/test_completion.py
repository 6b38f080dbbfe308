"""The completion scripts, as the shells themselves read them."""

import os
import pty
import select
import shutil
import subprocess
import time

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


ZSH = """\
PROMPT= RPROMPT=
autoload -Uz compinit && compinit -u -D
compadd() {
  local -a hits
  if [[ " ${(j: :)@} " != *" -"[OAD]" "* ]]; then
    builtin compadd -A hits "$@"
    print -rl -- $hits >> $OFFERED
  fi
  builtin compadd "$@"
}
setopt no_beep
over() { kill -HUP $$ }
zle -N over && bindkey '^X' over && bindkey '^I' complete-word
"""
"""What an interactive zsh is told: write down whatever is offered at the Tab, and end at Control-X."""


def complete_in_zsh(words, folder):
    """Return what an interactive zsh offers for the last word: its completion runs nowhere else."""
    offered = folder / "offered"
    offered.unlink(missing_ok=True)
    (folder / "_secp2psip").write_text(script(whole_parser(), "zsh"))
    (folder / ".zshrc").write_text(f"fpath=({folder} $fpath)\n{ZSH}")
    master, slave = pty.openpty()
    env = os.environ | {"ZDOTDIR": str(folder), "OFFERED": str(offered), "TERM": "dumb"}
    try:
        with subprocess.Popen(
            ["zsh", "-d", "-i"], stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True
        ) as shell:
            os.close(slave)
            os.write(master, f"{' '.join(words)}\t\x18".encode())
            ended = time.monotonic() + 8
            while shell.poll() is None:
                if time.monotonic() > ended:
                    shell.kill()
                    pytest.fail("zsh does not come back from its completion")
                if select.select([master], [], [], 0.1)[0]:
                    try:
                        os.read(master, 4096)
                    except OSError:  # how Linux says that the other end is closed
                        break
    finally:
        os.close(master)
    return offered.read_text().split() if offered.exists() else []


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_completes_commands_and_options(shell, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed (make interop-setup)")

    def offers(*words):
        return set(complete_in_zsh(words, tmp_path) if shell == "zsh" else complete(shell, words))

    assert {"call", "calls"} == offers("secp2psip", "cal")
    assert "--bootstrap" in offers("secp2psip", "call", "--boot")
    assert {"verify"} == offers("secp2psip", "contacts", "ver")
