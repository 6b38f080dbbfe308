"""Where a setting comes from: a flag, else a variable, else the file, else nowhere.  I/O: reads the file.

A variable is ``SECP2PSIP_`` and the setting's name in capitals, as SECP2PSIP_BOOTSTRAP; an empty one is none.
SECP2PSIP_USERS may be several names with commas between them. The tables ``[phones]`` and ``[limits]`` stand in the
file alone.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import platformdirs

from adapter.problems import UsageProblem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

APP_NAME: Final = "secp2psip"
MAX_CONFIG_BYTES: Final = 65_536
VARIABLE_PREFIX: Final = "SECP2PSIP_"
OTHER_VARIABLES: Final = frozenset({"SECP2PSIP_PASSPHRASE", "SECP2PSIP_PASSWORD", "SECP2PSIP_NETNS"})
"""What looks like a setting and is none: a key file's passphrase, a phone's password, a switch of the tests."""
TEXT_KEYS: Final = (
    "user",
    "users",
    "bootstrap",
    "overlay",
    "overlay_key",
    "code",
    "accept",
    "sip",
    "ring",
    "state",
    "mic",
    "speaker",
    "via",
)
"""What flags, variables and the file know; `user` is one of `users`."""
KEYS: Final = frozenset({*TEXT_KEYS, "phones", "limits"})


@dataclass(frozen=True, slots=True)
class Chosen:
    """A value, as it was written, and who wrote it."""

    value: Any
    source: str
    """For people: "flag --sip", "variable SECP2PSIP_SIP", "file /home/alice/.config/secp2psip/config.toml"."""


def collect(
    flags: Mapping[str, Any], *, config: Path | None, environment: Mapping[str, str] | None = None
) -> dict[str, Chosen]:
    """Return what was chosen of KEYS, `user` under the name `users`. Raises UsageProblem for a file that is wrong."""
    chosen: dict[str, Chosen] = {}
    path, values = read_file(config)
    for key, value in values.items():
        chosen[_name(key)] = Chosen([value] if key == "user" else value, f"file {path}")
    for key in TEXT_KEYS:
        variable = f"{VARIABLE_PREFIX}{key.upper()}"
        text = (os.environ if environment is None else environment).get(variable, "")
        if text:
            chosen[_name(key)] = Chosen(text.split(",") if _name(key) == "users" else text, f"variable {variable}")
    for key, value in flags.items():
        if key in KEYS and value not in (None, []):
            flag = "--user" if key == "users" else "--invite" if key == "code" else f"--{key.replace('_', '-')}"
            chosen[_name(key)] = Chosen(value, f"flag {flag}")
    return chosen


def strange_variables(environment: Mapping[str, str] | None = None) -> list[str]:
    """Return the variables that look like settings and are none."""
    known = {f"{VARIABLE_PREFIX}{key.upper()}" for key in TEXT_KEYS} | OTHER_VARIABLES
    names = os.environ if environment is None else environment
    return sorted(name for name in names if name.startswith(VARIABLE_PREFIX) and name not in known)


def config_file(config: Path | None) -> Path | None:
    """Return the configuration file to look for; None for a user without a home."""
    try:
        return config if config is not None else default_config_file()
    except RuntimeError:
        return None


def default_config_file() -> Path:
    """Return where the configuration file is looked for: ``~/.config/secp2psip/config.toml`` by default."""
    return platformdirs.user_config_path(APP_NAME) / "config.toml"


def read_file(config: Path | None) -> tuple[Path | None, dict[str, Any]]:
    """Return the file that counts and what stands in it; one that is not there is empty, unless it was named."""
    path = config_file(config)
    if path is None:
        return None, {}
    try:
        with path.open("rb") as file:
            values = tomllib.loads(file.read(MAX_CONFIG_BYTES).decode())
            mode = os.fstat(file.fileno()).st_mode
    except FileNotFoundError:
        if config is None:
            return path, {}
        raise UsageProblem(f"there is no file {path}", hint="check the path given with --config") from None
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {error.strerror}", hint="check its permissions") from None
    except ValueError as error:
        raise UsageProblem(f"{path} is not TOML: {error}", hint='a line looks like this: users = ["alice"]') from None
    unknown = sorted(values.keys() - KEYS)
    if unknown:
        raise UsageProblem(f"{path} has an unknown key {unknown[0]!r}", hint=nearest(unknown[0], KEYS))
    if "phones" in values and mode & 0o077:
        raise UsageProblem(f"others can read the passwords in {path}", hint=f"chmod 600 {path}")
    return path, values


def nearest(wrong: str, right: frozenset[str]) -> str:
    """Return the hint for a name that is none."""
    near = difflib.get_close_matches(wrong, sorted(right), n=1)
    return f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(right))}"


def _name(key: str) -> str:
    return "users" if key == "user" else key
