"""What a narrow terminal shows: nothing cut, and the rest of a line below its beginning."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from adapter.layout import MIN_WIDTH, Lines, Rows

WORDS = st.lists(st.text("abc", min_size=1, max_size=15), min_size=1, max_size=30)


def shown(part, width, *, pipe=False):
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(part, soft_wrap=pipe)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def ring(*rows):
    table = Rows("node", "address", "pieces", "")
    for row in rows:
        table.add_row(*row)
    return table


def test_a_line_goes_on_below_its_beginning():
    text = Text("good     clock: nothing keeps this clock right\n         hint: set it from the network")
    assert shown(Lines(text, indent=9), 30) == [
        "good     clock: nothing keeps",
        "         this clock right",
        "         hint: set it from the",
        "         network",
    ]


def test_a_line_stays_one_in_a_pipe():
    text = "word " * 40
    assert shown(Lines(Text(text)), 30, pipe=True) == [text.rstrip()]


def test_a_table_that_fits_is_a_table():
    table = ring(("397bfbcc", "127.0.0.1:54446", "alice 1", ""), ("7090ac93", "127.0.0.1:1", "", Text("this one")))
    assert shown(table, 60) == [
        "node      address          pieces",
        "397bfbcc  127.0.0.1:54446  alice 1",
        "7090ac93  127.0.0.1:1               this one",
    ]


def test_a_table_that_does_not_fit_says_each_column_in_words():
    table = ring(("397bfbcc", "127.0.0.1:54446", "alice 1; bob 1", ""), ("7090ac93", "127.0.0.1:1", "", "this one"))
    assert shown(table, 40) == [
        "397bfbcc  address 127.0.0.1:54446",
        "  pieces alice 1; bob 1",
        "7090ac93  address 127.0.0.1:1  this one",
    ]


@pytest.mark.parametrize("indent", [0, 9])
@given(words=WORDS, width=st.integers(1, 80))
def test_no_word_is_lost_at_any_width(indent, words, width):
    lines = shown(Lines(Text(" ".join(words)), indent=indent), width)
    assert "".join(lines).replace(" ", "") == "".join(words)
    if width - indent >= MIN_WIDTH:
        assert all(len(line) <= width for line in lines)


@given(cells=st.lists(st.text("abc ", max_size=40).map(str.strip), min_size=4, max_size=4), width=st.integers(1, 80))
def test_no_cell_is_lost_at_any_width(cells, width):
    said = "".join(shown(ring(cells), width)).replace(" ", "")
    for cell in cells:
        assert cell.replace(" ", "") in said
