"""Settings of every test."""

from __future__ import annotations

import signal
import sys

import pytest
from hypothesis import settings

settings.register_profile("here", deadline=None)  # a busy machine is slow, not wrong
settings.load_profile("here")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make test-e2e` asks for more than the default."""
    parser.addoption("--batches", type=int, default=2, help="daily batches of the tests in tests/orchestration")


def pytest_configure(config: pytest.Config) -> None:
    """SIGTERM, as from `timeout`, ends like Ctrl-C: fixtures stop the servers that they started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
