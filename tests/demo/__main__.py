"""`python -m tests.demo [--threshold 3] [--pieces 7] [--keep]`: exit code 0 only if every promise held."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from overlay.errors import LocalError
from overlay.trust.shamir import check_threshold
from tests.demo.report import Report
from tests.demo.story import Story
from tests.support.cast import Cast
from tests.support.programs import ProgramFailed

RESULT = Path("build/demo.json")
LOGS = Path("build/demo-logs")


async def _play(folder: Path, report: Report, *, k: int, n: int) -> dict[str, Any]:
    async with Cast(folder=folder) as cast:
        return await Story(cast, report, k=k, n=n).run()


def main() -> int:
    """Run the demo once."""
    parser = argparse.ArgumentParser(prog="make demo", description="Eight nodes, two phones, three calls.")
    parser.add_argument("--threshold", type=int, default=3, metavar="K", help="pieces that rebuild a key (default 3)")
    parser.add_argument("--pieces", type=int, default=7, metavar="N", help="pieces dealt, on as many nodes (default 7)")
    arguments = parser.parse_args()
    report = Report()
    try:
        check_threshold(arguments.threshold, arguments.pieces)
    except LocalError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the refusal goes where errors go
        return 2
    began = time.monotonic()
    RESULT.unlink(missing_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="secp2psip-demo-"))
    try:
        figures = asyncio.run(_play(folder, report, k=arguments.threshold, n=arguments.pieces))
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(figures, indent=1) + "\n")
        good = report.verdict(figures)
    except ProgramFailed as error:
        report.fail(str(error))
        good = False
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(LOGS, ignore_errors=True)
        LOGS.mkdir(parents=True)
        for log in (*folder.glob("*.log"), *folder.glob("*.wav")):
            shutil.move(log, LOGS / log.name)
        shutil.rmtree(folder, ignore_errors=True)
    report.say(f"took {time.monotonic() - began:.0f} s; figures in {RESULT}, logs and recordings in {LOGS}/")
    report.act("All of it held." if good else "It did not all hold.")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
