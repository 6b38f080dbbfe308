"""docs/commands.md names every command, every setting and every exit code, and no other."""

import re
from pathlib import Path

from adapter.cli import COMMANDS
from adapter.config_sources import KEYS
from adapter.problems import EXIT_MEANINGS
from bootstrap.office import OFFICE_COMMANDS
from bootstrap.problems import EXIT_MEANINGS as BOOTSTRAP_MEANINGS

PAGE = (Path(__file__).parents[3] / "docs" / "commands.md").read_text()


def rows(pattern):
    return re.findall(rf"^\| {pattern}", PAGE, flags=re.MULTILINE)


def test_every_command_is_there():
    assert rows(r"`secp2psip ([a-z]+)") == list(COMMANDS)


def test_every_command_of_the_server_is_there():
    said = rows(r"`secp2psip-bootstrap ([a-z]+) (\S+)` ")
    assert {(name, tuple(verbs.split("\\|"))) for name, verbs in said} == {
        (name, tuple(verb for of, verb in OFFICE_COMMANDS if of == name)) for name, _ in OFFICE_COMMANDS
    }


def test_every_setting_is_there():
    settings = PAGE.partition("## Settings")[2].partition("## Exit codes")[0]
    first_cells = re.findall(r"^\| (`.*?) \|", settings, flags=re.MULTILINE)
    assert {key for cell in first_cells for key in re.findall(r"`\[?([a-z_]+)\]?`", cell)} == KEYS


def test_every_exit_code_is_there_with_its_meaning():
    said = [(int(code), meaning) for code, meaning in rows(r"(\d+) \| (.*) \|")]
    wanted = [*EXIT_MEANINGS.items(), *BOOTSTRAP_MEANINGS.items()]
    assert said == [(int(code), meaning) for code, meaning in wanted]
