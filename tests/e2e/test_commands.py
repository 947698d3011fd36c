"""The commands on a finished run; `test_documentation` runs those of the documentation as written."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import BATCHES, Run
from tests.e2e.test_bad_input import refused, videobert
from videobert.admin.promotion import promote
from videobert.cli.main import COMMANDS
from videobert.embed.config import EmbedConfig
from videobert.flow import run_stage
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor


def told(*arguments: str) -> str:
    done = videobert(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_reader_that_has_seen_enough_is_no_failure() -> None:
    command = subprocess.Popen(
        [sys.executable, "-m", "videobert", "status", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None and command.stderr is not None
    command.stdout.close()
    assert command.stderr.read() == "" and command.wait(60) == 141
    command.stderr.close()


def test_overview_names_every_command_and_each_explains_itself() -> None:
    overview = told("--help")
    for name in COMMANDS:
        assert f"  {name} " in overview
    assert told() == overview


@pytest.mark.parametrize("name", list(COMMANDS))
def test_help_teaches(name: str) -> None:
    text = told(name, "--help")
    assert f"usage: videobert {name}" in text
    assert len(text.splitlines()) >= 8


def test_search_by_text_and_by_row(run: Run) -> None:
    hits = [json.loads(line) for line in told("search", "stir the egg", "--root", str(run.root), "--json").splitlines()]
    assert len(hits) == 5
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)


@pytest.mark.parametrize("batch", BATCHES)
def test_search_like_a_row_of_any_batch(run: Run, batch: str) -> None:
    (hit,) = told("search", "stir", "--root", str(run.root), "--json", "--top", "1", "--batch", batch).splitlines()
    row_id = json.loads(hit)["row_id"]
    like = told("search", "--like", row_id, "--root", str(run.root), "--top", "3", "--batch", BATCHES[1])
    assert len(like.splitlines()) == 3 and row_id not in like


def test_search_in_the_lists_of_an_index(copied: Run) -> None:
    root = str(copied.root)
    search = ("search", "stir the egg", "--root", root, "--json")
    assert "segments in" in told("index", "--root", root)
    assert told(*search, "--probes", "1000") == told(*search)


def test_lineage_ends_at_the_source(run: Run) -> None:
    hit = json.loads(told("search", "chop", "--root", str(run.root), "--json", "--top", "1"))
    lines = told("lineage", hit["row_id"], "--root", str(run.root)).splitlines()
    names = [line.split()[0] for line in lines]
    assert names == [
        "row", "embed", "pretrain", "tokens", "codebook", "features", "shard", "ingest", "video", "source",
    ]  # fmt: skip
    assert Path(lines[-1].split(maxsplit=1)[1].removeprefix("file://")).exists()


def test_sql_status_and_dead_letters(run: Run) -> None:
    assert "segment" in told("sql", "select level, count(*) from embeddings group by level", "--root", str(run.root))
    assert "broken" in told("sql", "select uri, reason from dead_letters", "--root", str(run.root))
    status = told("status", "--root", str(run.root))
    assert all(result.spec in status for result in run.results)
    assert f"current   {run.spec('pretrain')}" in status
    letters = told("dead-letters", "--root", str(run.root))
    assert "ingest" in letters and "broken" in letters


def test_a_promotion_is_rolled_back_once_and_no_further(copied: Run) -> None:
    recipe = dataclasses.replace(copied.recipe, embed=EmbedConfig(pool="cls"))
    model, root = copied.spec("pretrain"), str(copied.root)
    [other, _] = run_stage(
        recipe, copied.store, "embed", batches=BATCHES, selection=Selection(model=model), executor=LocalExecutor()
    )
    promote(recipe, copied.store, model)
    listed = told("models", "--root", root).splitlines()
    assert [line for line in listed if other.spec in line and "<- current" in line]
    assert [line for line in listed if copied.spec("embed") in line and "(former 1)" in line]
    assert copied.spec("embed") in told("models", "--root", root, "--rollback")
    listed = told("models", "--root", root).splitlines()
    assert [line for line in listed if copied.spec("embed") in line and "<- current" in line]
    refused(videobert("models", "--root", root, "--rollback"), root, "no former model")


def test_dry_run_writes_nothing(run: Run, tmp_path: Path) -> None:
    text = told("run", "--root", str(tmp_path / "fresh"), "--batch", "2026-01-01", "--dry-run")
    assert "would run" in text
    assert not (tmp_path / "fresh").exists()
