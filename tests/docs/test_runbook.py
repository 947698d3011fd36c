"""The runbook names every alert, quotes what logs really say, and its commands are there."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator

import pytest

from tests.docs.material import REPOSITORY
from tests.docs.programs import check_command

PAGE = (REPOSITORY / "docs" / "runbook.md").read_text()
HEADINGS = re.findall(r"^### (.+)$", PAGE, re.MULTILINE)
DAGS = sorted(
    name for file in (REPOSITORY / "dags").glob("*.py") for name in re.findall(r'dag_id="(\w+)"', file.read_text())
)
_NUMBER = re.compile(r"\d+(:\d+)*")


@pytest.mark.parametrize("dag", DAGS)
def test_the_failure_of_every_dag_has_its_section(dag: str) -> None:
    assert any(re.search(rf'"{dag}( 2026-01-05)? failed"', heading) for heading in HEADINGS)


@pytest.mark.parametrize("what", ["has recovered", "is late", "a model waits for an approval"])
def test_so_have_the_other_alerts_in_their_own_words(what: str) -> None:
    assert any(what in heading for heading in HEADINGS)
    assert what in (REPOSITORY / "dags" / "videobert_alerts.py").read_text()


def quoted() -> list[str]:
    """First cells of the tables of log lines."""
    (table,) = re.findall(r"^\| the log says .*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [text for row in table.splitlines() for text in re.findall(r"`([^`]+)`", row.split(" | ")[0])]


def texts(node: ast.AST) -> Iterator[str]:
    """Strings of a source, `#` where a value is filled in."""
    for one in ast.walk(node):
        if isinstance(one, ast.JoinedStr):
            yield "".join(str(p.value) if isinstance(p, ast.Constant) else "#" for p in one.values)
        elif isinstance(one, ast.Constant) and isinstance(one.value, str):
            yield _NUMBER.sub("#", one.value)


@pytest.fixture(scope="module")
def told() -> str:
    """What pipeline and operator can say, and the names of the errors that they know of Ray."""
    files = [file for place in ("pipeline", "operators") for file in (REPOSITORY / place).rglob("*.py")]
    return "\n".join(text for file in files for text in texts(ast.parse(file.read_text()))) + _names_of_ray()


def _names_of_ray() -> str:
    return (REPOSITORY / "pipeline/videobert/runtime/ray_executor.py").read_text().partition("\n\n\n")[0]


@pytest.mark.parametrize("text", quoted())
def test_a_quoted_log_line_is_one_that_is_written(text: str, told: str) -> None:
    sought = _NUMBER.sub("#", text).replace("UNREACHABLE", "#" if "ended as" in text else "UNREACHABLE")
    assert sought in told


def test_lines_were_found() -> None:
    assert len(quoted()) > 8 and len(DAGS) > 6


def commands() -> list[str]:
    """Of running text and tables; those of the blocks are checked with those of every page."""
    found = re.findall(r"`((?:videobert|airflow) [^`]+)`", PAGE)
    assert len(found) >= 2
    return found


@pytest.mark.parametrize("line", commands())
def test_a_command_in_the_text_can_be_typed_as_it_stands(line: str) -> None:
    check_command(shlex.split(line))


def test_no_command_stands_in_a_block_that_nobody_checks() -> None:
    assert not re.search(r"^    (videobert|airflow) ", PAGE, re.MULTILINE)
