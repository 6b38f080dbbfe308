"""Tests that need hosts of their own: network namespaces, hence root. `make test` skips them and says why."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

SWITCH = "SECP2PSIP_NETNS"
"""`make zero-config` sets it: nobody's `make test` is to make namespaces, not even root's."""
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = why_not()
    for item in items:
        if reason and HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


def why_not() -> str:
    """Return why these tests cannot run, or nothing."""
    if not os.environ.get(SWITCH):
        return f"makes network namespaces: run it with `make zero-config`, or set {SWITCH}=1"
    if os.geteuid() != 0:
        return "network namespaces need root"
    return "" if shutil.which("ip") else "there is no `ip`: install iproute2"
