"""Settings of every test."""

from __future__ import annotations

import signal

import pytest
from hypothesis import settings

settings.register_profile("here", deadline=None)  # a busy machine is slow, not wrong
settings.load_profile("here")

pytest_plugins = ["tests.markers"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make test-e2e` asks for more than the default."""
    parser.addoption("--batches", type=int, default=2, help="daily batches of the tests in tests/orchestration")


def pytest_configure(config: pytest.Config) -> None:
    """SIGTERM, as from `timeout`, ends like Ctrl-C: fixtures stop the servers that they started."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("ended by SIGTERM", returncode=128 + signal.SIGTERM))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Folders with servers and whole runs go first, so that neither of two processes ends with a long one alone."""
    long = ("orchestration", "e2e", "operators", "faults")
    items.sort(key=lambda item: next((i for i, name in enumerate(long) if name in item.path.parts), len(long)))
