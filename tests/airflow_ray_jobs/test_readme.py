"""What the operators' README promises: each guarantee names a test that is there, each Python block parses."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from textwrap import dedent

TESTS = Path(__file__).parent
README = (Path(__file__).parents[2] / "operators" / "README.md").read_text()


def guarantees() -> dict[str, str]:
    """Of the table: guarantee -> `file::test`."""
    rows = re.findall(r"^\| ([^|]+) \| `(test_\w+\.py::test_\w+)` \|$", README, re.MULTILINE)
    return dict(rows)


def test_each_guarantee_names_a_test_that_is_there() -> None:
    table = README.partition("| guarantee | test |")[2]
    assert table and len(guarantees()) == len(re.findall(r"^\| ", table, re.MULTILINE))
    for guarantee, name in guarantees().items():
        file, _, function = name.partition("::")
        assert f"\ndef {function}(" in (TESTS / file).read_text(), f"{guarantee}: {name}"


def test_python_blocks_parse() -> None:
    blocks = [dedent(block) for block in re.findall(r"(?:^    .*\n(?:\n(?=    ))?)+", README, re.MULTILINE)]
    python = [block for block in blocks if "import" in block or "json.dump" in block]
    assert len(python) == 2
    for block in python:
        ast.parse(block)
