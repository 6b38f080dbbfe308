"""Where the words go: a live terminal, plain lines, or JSON lines for programs.  I/O: standard output and error.

Three rules. (1) Every fact reaches the user as one event, the same dict that ``--json`` writes; words.py and tables.py
turn it into text, so that the two can never tell different stories. (2) Standard output carries results, standard error
carries errors as ``error:`` and ``hint:`` lines; with ``--json`` standard output carries JSON lines and nothing else.
(3) Nothing that came over a network is printed before its control characters are gone. Colours and the moving line
appear on a terminal only; NO_COLOR and TERM=dumb are honoured.
"""

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TextIO

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from adapter.layout import FURTHER, Lines
from adapter.problems import ExitCode, Trouble, describe, one_line
from adapter.tables import TABLES
from adapter.words import INDENT, sentence

if TYPE_CHECKING:
    from rich.status import Status

REFRESH_PER_SECOND: Final = 4
PLAIN_WIDTH: Final = 200
"""Columns where standard output is no terminal."""
Event = Mapping[str, Any]


class Screen:
    """Everything one command says."""

    def __init__(
        self,
        *,
        json: bool = False,
        trace: bool = False,
        steps: bool = True,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.json = json
        """Whether a program reads standard output."""
        self.trace = trace
        """Whether the details of protocol steps are shown."""
        self._steps = steps or trace
        self._out = _console(stdout or sys.stdout)
        self._err = _console(stderr or sys.stderr)
        self._moving: Status | None = None

    @property
    def is_live(self) -> bool:
        """Whether a person looks at a terminal that can redraw a line."""
        return not self.json and self._out.is_terminal and not self._out.is_dumb_terminal

    def show(self, event: Event) -> None:
        """Tell one event: a JSON line, a table, or a sentence (none for what only programs want)."""
        if self.json:
            self._write_json(event)
            return
        if event["event"] == "step" and not self._steps:
            return
        clean = _clean(event)
        table = TABLES.get(clean["event"])
        if table is not None:
            for part in table(clean):
                self._tell(part)
        elif (text := sentence(clean, trace=self.trace)) is not None:
            self._tell(Lines(text, indent=INDENT.get(clean["event"], FURTHER)))

    def show_script(self, event: Event) -> None:
        """Tell an event whose `script` is our own text for another program: it goes out as it is."""
        if self.json:
            self._write_json(event)
        else:
            self._out.file.write(f"{event['script']}\n")

    def show_error(self, error: BaseException) -> ExitCode:
        """Tell what went wrong and how to mend it; return the exit code for it."""
        trouble = describe(error)
        self.show_trouble(trouble)
        return trouble.exit_code

    def show_trouble(self, trouble: Trouble) -> None:
        """Write the ``error:`` and ``hint:`` lines, and the JSON line before them where a program listens."""
        self.rest()
        if self.json:
            event = {"event": "error", "code": trouble.code, "error": trouble.error, "hint": trouble.hint}
            self._write_json(event)
        lines = [Text.assemble(("error: ", "bold red"), one_line(trouble.error))]
        if trouble.hint:
            lines.append(Text.assemble(("hint: ", "bold yellow"), one_line(trouble.hint)))
        for line in lines:
            self._err.print(Lines(line), soft_wrap=not self._err.is_terminal)

    def wait(self, text: str, *, clock: bool = False, since: float | None = None) -> None:
        """Show `text` in a terminal's moving last line until :meth:`rest`.

        The time beside it runs from now with `clock`, or from `since` on the monotonic clock.
        """
        if not self.is_live:
            return
        line = _Moving(text, since=time.monotonic() if clock else since)
        if self._moving is None:
            self._moving = self._out.status(line, refresh_per_second=REFRESH_PER_SECOND)
            self._moving.start()
        else:
            self._moving.update(line)

    def rest(self) -> None:
        """Remove the moving line."""
        if self._moving is not None:
            self._moving.stop()
            self._moving = None

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Show `text` in the moving line as long as the block runs."""
        self.wait(text)
        try:
            yield
        finally:
            self.rest()

    def _tell(self, part: RenderableType) -> None:
        """Print to the terminal's width; in a pipe each line stays one."""
        self._out.print(Lines(part) if isinstance(part, Text) else part, soft_wrap=not self._out.is_terminal)

    def _write_json(self, event: Event) -> None:
        # flushed, since programs wait for lines
        self._out.file.write(json.dumps(dict(event), ensure_ascii=False, default=str) + "\n")
        self._out.file.flush()


class _Moving:
    """A line that knows the time."""

    def __init__(self, text: str, *, since: float | None) -> None:
        self._text = text
        self._since = since

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = self._text
        if self._since is not None:
            minutes, seconds = divmod(int(time.monotonic() - self._since), 60)
            text = f"{minutes:02d}:{seconds:02d}  {text}"  # in front: a narrow terminal cuts the end
        yield Text(text, no_wrap=True, overflow="ellipsis")


def _console(file: TextIO) -> Console:
    width = None if file.isatty() else PLAIN_WIDTH  # in a pipe nothing is cut or wrapped at 80 columns
    return Console(file=file, highlight=False, markup=False, emoji=False, width=width)


def _clean(value: Any) -> Any:
    """Return `value` with every text in it free of control characters."""
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, Mapping):
        return {key: _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value
