"""Settings of every test."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.small_root import SmallRoot

settings.register_profile("here", deadline=None)  # a busy machine is slow, not wrong
settings.load_profile("here")

pytest_plugins = ["tests.markers"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make test-e2e` and `make test-families` ask for more than the default."""
    parser.addoption("--all-families", action="store_true", help="every family of transformers, not only a dozen")
    parser.addoption("--batches", type=int, default=2, help="daily batches of the tests in tests/orchestration")


def pytest_configure(config: pytest.Config) -> None:
    """SIGTERM, as from `timeout`, ends like Ctrl-C: fixtures stop the servers that they started."""
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("ended by SIGTERM", returncode=128 + signal.SIGTERM))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Folders with servers and whole runs go first, so that neither of two processes ends with a long one alone."""
    long = ("orchestration", "e2e", "airflow_ray_jobs", "faults")
    items.sort(key=lambda item: next((i for i, name in enumerate(long) if name in item.path.parts), len(long)))


@pytest.fixture(scope="session")
def small_root(tmp_path_factory: pytest.TempPathFactory) -> SmallRoot:
    """A finished run of six small videos, made once for all processes; tests that change it copy it first."""
    from tests.small_root import small_root_at

    shared = tmp_path_factory.getbasetemp()
    return small_root_at(shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared)
