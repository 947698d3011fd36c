"""Markers tell the truth: a test that starts Ray or Airflow is marked so, and one that computes for long is named.

A pytest plugin of tests/conftest.py. Time is that of the processor, children included: a busy machine is slow, too.
"""

from __future__ import annotations

import os
import re
import sys
from collections import defaultdict
from collections.abc import Generator, Sequence
from typing import cast

import pytest

__all__: list[str] = []

_SLOW_SECONDS = 5.0
"""Of the processor; a test that takes longer is `slow`."""
_STARTS = {
    "ray": re.compile(r"infra\.local\.ray_process|/gcs_server |/raylet |/ray start "),
    "airflow": re.compile(r"(-m |/)airflow (api-server|connections|dag|db|scheduler|standalone|triggerer)"),
}
"""Marker -> a command line that needs it."""

_FIXTURES = {"ray": {"ray_head"}, "slow": {"bad", "ray_head", "run", "small_root", "trained"}}
"""Marker -> fixtures that need it: a head, the hostile corpus, the whole pipeline over a small kitchen, a model."""
_FOLDERS = {"airflow": {"dags"}, "slow": {"benchmarks", "dags", "e2e", "hostile"}}
"""Marker -> folders of which every test needs it: to parse a DAG takes Airflow's import, a command of ours torch's."""

_unmarked: list[str] = []
"""Markers that the test which runs now has not."""


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event != "subprocess.Popen" or not _unmarked:
        return
    words = cast("str | Sequence[str | bytes | os.PathLike[str]]", arguments[1])
    line = words if isinstance(words, str) else " ".join(os.fsdecode(word) for word in words)
    for marker in _unmarked:
        if _STARTS[marker].search(f"{line} "):
            raise AssertionError(f"this test starts {marker} and is not marked `{marker}`: {line}")


sys.addaudithook(_watch)


def pytest_itemcollected(item: pytest.Item) -> None:
    for marker in _FIXTURES.keys() | _FOLDERS.keys():
        fixtures, folders = _FIXTURES.get(marker, set()), _FOLDERS.get(marker, set())
        if fixtures.intersection(getattr(item, "fixturenames", ())) or folders.intersection(
            item.path.relative_to(item.config.rootpath).parts
        ):
            item.add_marker(marker)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    _unmarked[:] = [marker for marker in _STARTS if not item.get_closest_marker(marker)]
    try:
        return (yield)
    finally:
        _unmarked.clear()


@pytest.fixture(autouse=True)
def _no_cluster_without_the_marker(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the hook does not see: a child that would start its own cluster looks for one where none is."""
    if not request.node.get_closest_marker("ray"):
        monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    global _spent
    before, _spent = _spent, _cpu_seconds()
    report = yield
    if not item.get_closest_marker("slow"):
        report.user_properties = [*report.user_properties, ("cpu_seconds", _spent - before)]
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name what should be marked, with its fixtures; the first test of a module pays for the module's imports."""
    spent: dict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in (report for report in reports if isinstance(report, pytest.TestReport)):
            spent[report.nodeid] += sum(float(str(v)) for k, v in report.user_properties if k == "cpu_seconds")
    for name, seconds in sorted(spent.items(), key=lambda entry: -entry[1]):
        if seconds > _SLOW_SECONDS:
            terminalreporter.write_line(f"{seconds:.1f} s of processor and not marked slow: {name}")


def _cpu_seconds() -> float:
    return sum(os.times()[:4])


_spent = _cpu_seconds()
