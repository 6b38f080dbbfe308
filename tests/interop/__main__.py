"""`python -m tests.interop [--quick] [--only WORDS]`: exit code 0 only if every case that could be played was ok."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.interop import page
from tests.interop.board import Board
from tests.interop.cases import Case, all_cases, play
from tests.interop.lan import Lan
from tests.interop.phones import missing
from tests.interop.scene import Scene
from tests.interop.tool import InteropFailed
from tests.support.programs import ProgramFailed

RESULT = Path("build/interop.json")
LOGS = Path("build/interop-logs")
NEEDED = ("ip", "tcpdump", "sox")


async def _play(cases: list[Case], folder: Path, board: Board) -> None:
    for six in (False, True):
        mine = [case for case in cases if case.six is six]
        if not mine:
            continue
        try:
            async with Scene(folder=folder / ("six" if six else "four"), six=six) as scene:
                if any("twinkle" in case.needs for case in mine) and not missing("twinkle"):
                    await scene.start_sound()
                for case in mine:
                    await _try(case, scene, board)
        except (InteropFailed, ProgramFailed, OSError) as error:
            for case in mine:
                if not case.row.why and not case.row.ok:
                    case.row.why = f"the LAN and its ring did not come up: {' '.join(str(error).split())[:200]}"
                    board.done(case.row)


async def _try(case: Case, scene: Scene, board: Board) -> None:
    why = next(filter(None, map(missing, case.needs)), "")
    if why:
        case.row.skipped, case.row.why = True, why
    else:
        board.begin(case.row)
        await play(case, scene)
    board.done(case.row)


def main() -> int:
    """Play the cases once."""
    parser = argparse.ArgumentParser(prog="make interop", description="Real phones call each other on a LAN.")
    parser.add_argument("--quick", action="store_true", help="five pairs")
    parser.add_argument(
        "--only",
        default="",
        metavar="WORDS",
        help="cases with all these words in their names; a comma begins a choice",
    )
    parser.add_argument("--first", type=int, default=1, metavar="N", help="begin with the Nth case")
    parser.add_argument("--or-skip", action="store_true", help="where it cannot run at all, say why and be content")
    parser.add_argument("--list", action="store_true", help="only list the cases")
    parser.add_argument("--keep", action="store_true", help="keep logs, packets and recordings of good cases too")
    arguments = parser.parse_args()
    cases = [case for case in all_cases()[arguments.first - 1 :] if not arguments.quick or case.quick]
    wanted = [set(words.split()) for words in arguments.only.split(",")]
    cases = [case for case in cases if any(words <= set(case.name.split("-")) for words in wanted)]
    if arguments.list:
        print("\n".join(case.name for case in cases))  # noqa: T201 -- the list was asked for
        return 0
    if why := _why_not():
        print(f"make interop {'skipped' if arguments.or_skip else 'cannot run'}: {why}", file=sys.stderr)  # noqa: T201
        return 0 if arguments.or_skip else 2
    folder = Path(tempfile.mkdtemp(prefix="secp2psip-interop-"))
    began = time.monotonic()
    board = Board(len(cases))
    try:
        with board:
            asyncio.run(_play(cases, folder, board))
    except KeyboardInterrupt:
        return 130
    finally:
        _keep(folder, cases, everything=arguments.keep)
    rows = [case.row for case in cases]
    if not arguments.only and arguments.first == 1 and not arguments.quick:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps([row.as_json() for row in rows], indent=1) + "\n")
        page.write()
    board.verdict(rows, time.monotonic() - began)
    return 0 if rows and all(row.ok or row.skipped for row in rows) else 1


def _why_not() -> str:
    """Return why no case can be played here, or nothing."""
    if os.geteuid() != 0:
        return "it makes network namespaces and needs root: sudo make interop"
    if absent := [program for program in NEEDED if shutil.which(program) is None]:
        return f"{', '.join(absent)} not installed: make interop-setup"
    try:
        with Lan(1):
            return ""
    except OSError as error:
        return f"this machine gives no network namespaces ({error})"


def _keep(folder: Path, cases: list[Case], *, everything: bool) -> None:
    """Keep what is needed to understand a failure."""
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    for log in folder.glob("*/*.log"):
        shutil.copy(log, LOGS / f"{log.parent.name}-{log.name}")
    for case in cases:
        source = folder / ("six" if case.six else "four") / "cases" / case.name
        if source.is_dir() and (everything or not case.row.ok):
            shutil.copytree(source, LOGS / case.name, ignore=shutil.ignore_patterns("*.out"), symlinks=True)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
