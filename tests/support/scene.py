"""A small ring of real processes that the tests of one file share.  I/O: processes, files."""

from __future__ import annotations

import tempfile
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.cast import HOST, Cast

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def scene(*users: str, registered: bool = True, host: str = HOST, other_host: str = "") -> AsyncIterator[Cast]:
    """Run a bootstrap server (k=3, n=7) and one adapter for each user; with `registered` each has a bare phone."""
    with tempfile.TemporaryDirectory(prefix="secp2psip-test-") as folder:
        async with Cast(folder=Path(folder), host=host, other_host=other_host) as cast:
            await cast.start_bootstrap(k=3, n=7)
            for user in users:
                await cast.start_adapter(user)
                if registered:
                    await cast.register(user)
            yield cast
