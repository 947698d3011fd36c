"""The documentation's Python blocks and its cheap commands, run against a finished root called `demo`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.material import Block, blocks, command_lines
from tests.e2e.conftest import Run
from videobert.cli.main import parse_command
from videobert.query.embeddings import open_embeddings

RUNNABLE = [block for block in blocks("python", "py") if not block.not_run]
READS = ("dead-letters", "lineage", "models", "search", "sql", "status")
"""Commands that read a root and need seconds; what writes has tests of its own."""


def read_commands() -> list[list[str]]:
    """Every such command over the demo's root, once."""
    lines = [words for block in blocks("bash", "sh") for words in command_lines(block)]
    wanted = [words[1:] for words in lines if words[0] == "videobert" and words[1] in READS and "demo" in words]
    unique = {tuple(words) for words in wanted if not {"--rollback", "--help", "--probes", "--file"} & set(words)}
    return [list(words) for words in sorted(unique)]


@pytest.fixture
def next_to_demo(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the finished root in it, as `demo`."""
    (tmp_path / "demo").symlink_to(run.root)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("block", RUNNABLE, ids=str)
def test_python_runs(block: Block, next_to_demo: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block.text], env=os.environ.copy(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_there_are_commands_to_run() -> None:
    assert {words[0] for words in read_commands()} == set(READS)


@pytest.mark.parametrize("words", read_commands(), ids=" ".join)
def test_command_runs(words: list[str], run: Run, next_to_demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = open_embeddings(run.store, run.spec("embed")).to_table(["row_id"])["row_id"].to_pylist()
    row = next(name for name in rows if ":" in name)
    batch = run.results[0].batch
    known = [re.sub(r"^20\d\d-\d\d-\d\d$", batch, word.replace("VIDEO_ID:SEGMENT", row)) for word in words]
    parse_command(known).execute()
    assert capsys.readouterr().out
