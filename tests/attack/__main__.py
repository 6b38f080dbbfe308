"""make attack: liars among the holders, evil nodes in the ring, attacks on messages, real processes;
counted, judged, drawn.

Prints a table, writes build/attack.json and build/attack.svg, and exits 1 if a promise of docs/threats.md is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.attack import plan, plot, process_level, promises, table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.attack.rows import Cell

EXAMPLES = """examples:
  make attack                                       every cell
  make attack ARGS="--only 'chosen key' --seed 7"   the cells whose attack names it, with other dice
  make attack ARGS="--only process"                 the real programs alone, a minute and a half
  make attack-quick                                 under a minute
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.attack",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="few cells and few calls, under a minute")
    parser.add_argument("--seed", type=int, default=1, help="another seed draws other keys, places, liars and delays")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    parser.add_argument("--calls", type=int, help="no more calls a cell than this")
    parser.add_argument("--only", default="", metavar="TEXT", help="cells whose level, variant and attack contain this")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON instead of the table")
    parser.add_argument("--out", type=Path, default=Path("build"), help="where the two files go (default: build)")
    arguments = parser.parse_args()
    cells = (plan.quick if arguments.quick else plan.whole)(arguments.seed)
    cells = cells if arguments.quick else plan.processes(arguments.seed) + cells
    cells = [cell for cell in cells if arguments.only in f"{cell.level} {cell.variant} {cell.attack}"]
    if arguments.calls:
        cells = [replace(cell, calls=min(cell.calls, arguments.calls)) for cell in cells]
    if not cells:
        parser.error(f"no cell contains {arguments.only!r}")
    began = time.monotonic()
    rows: list[dict[str, Any]] = []
    try:
        play_all(cells, rows, jobs=arguments.jobs, bar=Console(stderr=True))
        stopped = False
    except KeyboardInterrupt:
        stopped = True
    rows.sort(key=table.order)
    judged = promises.judge(rows)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "attack.json").write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")
    (arguments.out / "attack.svg").write_text(plot.draw(rows))
    if arguments.json:
        print(json.dumps(rows))  # noqa: T201 - its output
    else:
        console = Console(width=None if sys.stdout.isatty() else 140)
        table.show(console, rows, judged)
        calls = sum(row["calls"] for row in rows)
        console.print(
            f"{calls} calls in {len(rows)} cells took {time.monotonic() - began:.0f} s; {arguments.out}/attack.svg"
        )
    if stopped:
        print(f"stopped: {len(rows)} of {len(cells)} cells were played", file=sys.stderr)  # noqa: T201
    # in a whole run a promise that no cell speaks of is not kept: the cell is gone, or has another name now
    is_whole = not (arguments.quick or arguments.only)
    failed = [promise for promise in judged if promise.broken or (is_whole and not promise.rows)]
    sys.exit(130 if stopped else int(bool(failed)))


def play_all(cells: Sequence[Cell], rows: list[dict[str, Any]], *, jobs: int, bar: Console) -> None:
    """Play every cell, some at once, and add their rows as they come."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("calls"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=bar) as progress:
        task = progress.add_task("attacking", total=sum(cell.calls for cell in cells))

        def played(row: dict[str, Any]) -> None:
            rows.append(row)
            progress.update(task, advance=row["calls"], description=row["attack"])

        # by themselves: these take real time, and what is counted beside them would slow them down
        if real := [cell for cell in cells if cell.level == "process"]:
            progress.update(task, description="starting programs")
            asyncio.run(_play_processes(real, played))
        cells = [cell for cell in cells if cell.level != "process"]
        with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
            playing = {pool.submit(plan.play, cell): cell for cell in cells}
            try:
                for done in as_completed(playing):
                    played(done.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


async def _play_processes(cells: Sequence[Cell], played: Callable[[dict[str, Any]], None]) -> None:
    async for row in process_level.play(cells):
        played(row)


if __name__ == "__main__":
    main()
