"""The captures in docs/screens/: there, as wide as they say, and with no path of where they were made."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[3] / "docs" / "screens"
NEEDED = [f"{command}-{columns}" for command in ("call", "listen", "doctor", "ring") for columns in (60, 120)]


@pytest.mark.parametrize("name", NEEDED)
def test_a_capture_is_kept(name):
    assert (FOLDER / f"{name}.txt").read_text().startswith("$ secp2psip ")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_a_capture_is_as_wide_as_it_says(path):
    columns = int(path.stem.rpartition("-")[2])
    text = path.read_text()
    assert max(map(len, text.splitlines())) <= columns
    assert "…" not in text, "nothing is cut"
    assert not re.search(r"Traceback|/home/|/tmp/|/root", text)
