"""docs/threats.md and docs/conformance.md are whole: no weakness, sentence, departure or test is missing or made up."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
THREATS = (ROOT / "docs" / "threats.md").read_text(encoding="utf-8")
CONFORMANCE = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| ([A-Za-z]\d+)? *\| `((?:\w+/)+\w+\.py)(?:::(\w+))?` \|$", re.MULTILINE)

WEAKNESSES = [f"W{number}" for number in range(1, 21)]
STATEMENTS = [
    f"{kind}{number}" for kind, count in {"E": 5, "R": 9, "C": 9, "K": 11}.items() for number in range(1, count + 1)
]
"""Of the paper: entities, registration, calls, claims."""
SILENT = 11
"""Questions that the paper leaves open."""
ENOUGH_WORDS = 5
"""No reason has fewer."""


def named_tests(page: str) -> dict[str, list[tuple[str, str]]]:
    """Return the tests by number, in the order of the page's table: file under tests/, and function or nothing."""
    found: dict[str, list[tuple[str, str]]] = {}
    number = ""
    for begins, file, function in ROW.findall(page):
        number = begins or number
        assert begins not in found, f"{begins} stands twice"
        found.setdefault(number, []).append((file, function))
    return found


def without_table(page: str) -> str:
    return ROW.sub("", page)


def rows(page: str, pattern: str) -> dict[str, list[str]]:
    """Return the table rows whose first cell fits, by that cell."""
    found: dict[str, list[str]] = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and re.fullmatch(pattern, cells[0]) and not ROW.match(line):
            assert cells[0] not in found, f"{cells[0]} stands twice"
            found[cells[0]] = cells[1:]
    return found


@pytest.mark.parametrize("page", [THREATS, CONFORMANCE], ids=["threats", "conformance"])
def test_every_test_of_the_table_exists(page):
    for number, tests in named_tests(page).items():
        for file, function in tests:
            path = ROOT / "tests" / file
            assert path.exists(), f"{number}: {file}"
            is_there = f"def {function or 'test_'}"
            assert is_there in path.read_text(encoding="utf-8"), f"{number}: {file} has no {function}"


def test_the_tests_of_the_threats_are_numbered_without_a_gap():
    numbers = [int(number[1:]) for number in named_tests(THREATS)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_test_of_the_threats_shows_something_and_every_claim_names_one_that_is_there():
    said = set(re.findall(r"\bt\d+\b", without_table(THREATS)))
    for first, last in re.findall(r"\bt(\d+) to t(\d+)\b", THREATS):
        said |= {f"t{number}" for number in range(int(first), int(last) + 1)}
    assert said == set(named_tests(THREATS))


def test_every_weakness_has_its_row():
    assert list(rows(THREATS, r"W\d+")) == WEAKNESSES


@pytest.mark.parametrize("weakness", WEAKNESSES)
def test_a_weakness_is_held_with_a_test_or_not_with_the_reason(weakness):
    what, today = rows(THREATS, r"W\d+")[weakness]
    assert what
    states = re.findall(r"\*\*(held|partly|said|not held)\*\*", today, re.IGNORECASE)
    assert states, "says neither held nor not held"
    assert re.findall(r"\bt\d+\b", today), "names no test"
    for left in re.split(r"\*\*(?:not held|partly)\*\*", today, flags=re.IGNORECASE)[1:]:
        assert len(left.split()) >= 2, "not held, without a reason"


def test_every_statement_of_the_paper_has_its_row():
    assert list(rows(CONFORMANCE, r"[ERCK]\d+")) == STATEMENTS


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_statement_names_module_state_and_tests(statement):
    what, where, state, tests = rows(CONFORMANCE, r"[ERCK]\d+")[statement]
    assert what
    folder = ""
    for path in re.findall(r"`([\w/.]+)`", where):
        folder = folder if "/" not in path else str(Path(path).parent)
        assert (ROOT / path).exists() or (ROOT / folder / path).exists(), path
    assert "`" in where
    assert re.match(r"done|partly|not yet", state), state
    assert tests in named_tests(CONFORMANCE), f"{tests or 'nothing'} is no test"
    if not state.startswith("done"):
        assert re.search(r"\(D\d+\)", state), "falls short, and no departure says why"


def test_every_test_of_the_conformance_page_belongs_to_a_statement():
    said = {cells[-1] for cells in rows(CONFORMANCE, r"[ERCK]\d+").values()}
    assert said == set(named_tests(CONFORMANCE))


def test_every_departure_has_a_reason_and_is_named_once():
    reasons = dict(re.findall(r"^- \*\*(D\d+)\.(.*?)(?=^- \*\*D|\n\n|\Z)", CONFORMANCE, re.MULTILINE | re.DOTALL))
    assert list(reasons) == [f"D{number}" for number in range(1, len(reasons) + 1)]
    assert all(len(reason.split()) >= ENOUGH_WORDS for reason in reasons.values())
    named = set(re.findall(r"\bD\d+\b", CONFORMANCE.partition("## Departures")[0]))
    assert named <= set(reasons)


def test_what_the_paper_leaves_open_is_decided():
    table = CONFORMANCE.partition("## Where the paper is silent")[2].partition("\n## ")[0]
    decided = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(decided) >= SILENT
    assert all(len(line.strip("|").split(" | ")[1].split()) >= 2 for line in decided)


@pytest.mark.parametrize("path", sorted((ROOT / "docs").rglob("*.md")), ids=lambda path: path.name)
def test_every_module_that_a_page_names_exists(path):
    for name in re.findall(
        r"`((?:adapter|overlay|bootstrap|tests)/[\w/]+(?:\.\w+)?/?)`", path.read_text(encoding="utf-8")
    ):
        assert (ROOT / name).exists(), name
