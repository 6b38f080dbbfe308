"""Sources are listed, documents that are named exist, and so do the tests that the pages name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = sorted(path for room in ("overlay", "adapter", "bootstrap") for path in (ROOT / room).rglob("*.py"))
PAGES = sorted((ROOT / "docs").rglob("*.md"))
FRONT = sorted(ROOT.glob("*.md"))
REFERENCES = ROOT / "docs" / "references.md"
LISTED = set(re.findall(r"^\| \[([^\]]+)\] \|", REFERENCES.read_text(encoding="utf-8"), re.MULTILINE))

SOURCE = re.compile(
    r"""(?:paper|RFC\ \d+|docs/\S+)\b.*      # the paper, a standard, a document of ours
    | [A-Z][\w&.,/ -]*\b(?:19|20)\d\d\b.*    # authors and a year
    | [A-Z][A-Za-z]+(?:/[A-Z]\w+|\ &\ [A-Z]\w+)  # two authors, or a pair of names
    | [A-Z]{3,}                              # a name in capitals
    | [a-z]+\(\d\)                           # a page of the manual
    | (?:system|facts|design|seed)\b.*       # notes that are not here: never listed, hence never allowed
    """,
    re.VERBOSE,
)
NOTATION = {"IPV6"}


def sources_in(text: str) -> set[str]:
    """What brackets in a text name: tags without their sections; notation such as [low, high] is none."""
    found = set()
    for bracket in re.findall(r"\[([^\[\]]+)\]", text):
        for part in re.sub(r"\s+", " ", bracket).split("; "):
            if SOURCE.fullmatch(part) and part not in NOTATION:
                found.add(re.match(r"RFC \d+|(?:(?! §|, §|, the ).)+", part)[0])
    return found


def docstrings(path: Path) -> str:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return "\n".join(
        node.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
    )


def unlisted(text: str) -> set[str]:
    return {tag for tag in sources_in(text) - LISTED if not tag.startswith("docs/")}


def test_tags_are_told_from_notation():
    text = "[paper §II.A, a word] [RFC 3261 §21; RFC 8224 §6] [Gao 2003] [i-1] [True, why] [unix(7)] [IPV6] [a, b]"
    assert sources_in(text) == {"paper", "RFC 3261", "RFC 8224", "Gao 2003", "unix(7)"}
    assert unlisted("[system §2] [facts A3]") == {"system", "facts A3"}


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_source_of_a_docstring_is_listed(path):
    assert not unlisted(docstrings(path))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_source_of_a_page_is_listed(path):
    assert not unlisted(path.read_text(encoding="utf-8"))


def test_every_document_that_is_named_exists():
    """`docs/adr/0002` stands for the one page whose name begins so."""
    others = [*(ROOT / "tests").rglob("*.py"), ROOT / "Makefile", ROOT / "pyproject.toml", *ROOT.glob("requirements/*")]
    for path in [*CODE, *PAGES, *FRONT, *others]:
        for name in re.findall(r"(?<![\w/.])docs/[\w./-]*\w", path.read_text(encoding="utf-8")):
            assert (ROOT / name).exists() or list(ROOT.glob(f"{name}*.md")), f"{path.relative_to(ROOT)} names {name}"


def test_every_decision_has_a_number_of_its_own():
    numbers = [path.name.partition("-")[0] for path in sorted((ROOT / "docs" / "adr").glob("*.md"))]
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]


@pytest.mark.parametrize("path", [*PAGES, *FRONT], ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_that_a_page_names_exists(path):
    named = re.findall(r"((?:unit|integration|adversarial)/[\w/]+\.py)(?:::(\w+))?", path.read_text(encoding="utf-8"))
    for file, test in named:
        body = (ROOT / "tests" / file).read_text(encoding="utf-8")
        assert f"def {test}(" in body or not test, f"{file} has no {test}"
