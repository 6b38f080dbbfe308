"""The command line as a user meets it: each file in transcripts/ is a session, replayed against the real program.

``$`` is a command, then come its standard output, its standard error (lines with ``!``) and its exit code (``[2]``).
``...`` alone stands for any lines, inside a line for any text. $STATE is an empty state directory; a file named on a
``# file`` line is made in it first.
"""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "transcripts"
PROGRAM = Path(sys.executable).parent / "secp2psip"


@dataclass
class Session:
    command: str
    out: list[str] = field(default_factory=list)
    err: list[str] = field(default_factory=list)
    code: int | None = None


def sessions(path):
    found = []
    for line in path.read_text().splitlines():
        if line.startswith("$ "):
            found.append(Session(line[2:]))
        elif line.startswith("! "):
            found[-1].err.append(line[2:])
        elif match := re.fullmatch(r"\[(\d+)\]", line):
            found[-1].code = int(match[1])
        elif found and found[-1].code is None:
            found[-1].out.append(line)
        elif line and not line.startswith("#"):
            raise ValueError(f"{path.name}: {line!r} belongs to no command")
    return found


def pattern(lines, state):
    parts = []
    for line in lines:
        if line == "...":
            parts.append(r"(?:.*\n)*?")
        else:
            text = line.replace("$STATE", str(state))
            parts.append(".*".join(re.escape(piece) for piece in text.split("...")) + r"\n")
    return "".join(parts)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_the_program_says_what_the_transcript_says(path, tmp_path):
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    for name, text in re.findall(r"^# file (\S+): (.*)$", path.read_text(), flags=re.MULTILINE):
        (state / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (state / name).write_text(text.replace("\\n", "\n").replace("$STATE", str(state)))
        (state / name).chmod(0o600)
    keep = {key: value for key, value in os.environ.items() if not key.startswith("XDG_")}
    env = keep | {"HOME": str(tmp_path), "USER": "alice", "COLUMNS": "100", "STATE": str(state)}
    found = sessions(path)
    assert found
    for session in found:
        words = [os.path.expandvars(word.replace("$STATE", str(state))) for word in shlex.split(session.command)]
        if "=" in words[0]:
            key, _, value = words.pop(0).partition("=")
            env = env | {key: value}
        assert words.pop(0) == "secp2psip"
        done = subprocess.run(
            [PROGRAM, *words],
            env=env,
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
        )
        told = f"$ {session.command}\n{done.stdout}--- stderr\n{done.stderr}[{done.returncode}]"
        assert re.fullmatch(pattern(session.out, state), done.stdout), told
        assert re.fullmatch(pattern(session.err, state), done.stderr), told
        assert done.returncode == session.code, told
