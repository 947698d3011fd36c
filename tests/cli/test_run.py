"""`videobert run` and `stage` over a finished run: nothing is computed again, and wrong input is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Refused, Told
from tests.small_root import BATCHES, SmallRoot
from videobert.cli.stages import ExecutorOptions, RunCommand, StageCommand
from videobert.errors import InputError
from videobert.runtime.storage import Store
from videobert.stages import run_order


def test_a_finished_run_is_found_finished(
    small_root: SmallRoot, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Store(small_root.root).list("")
    RunCommand(root=small_root.root, batch=", ".join(BATCHES), config=small_root.recipe).execute()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.split()[0] != "ok"]
    stages, (promoted, report, files, refused, search) = lines[:-5], lines[-5:]
    assert {line.split()[0] for line in stages} == set(run_order())
    assert all("already committed" in line for line in stages) and "promoted already" in promoted
    assert Path(report.split()[1]).is_file() and f"--batch {BATCHES[0]}" in files
    assert "dead-letters" in refused and "(3 files" in refused and "search 'some words'" in search
    assert Store(small_root.root).list("") == before


def test_one_stage_of_one_batch(small_root: SmallRoot, capsys: pytest.CaptureFixture[str]) -> None:
    StageCommand(
        name="embed", root=small_root.root, batch=BATCHES[1], config=small_root.recipe, model="current"
    ).execute()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split()[:3] == ["embed", BATCHES[1], small_root.specs["embed"]] and "already committed" in line


def test_a_plan_writes_nothing(told: Told, tmp_path: Path) -> None:
    lines = told("run", "--root", str(tmp_path / "fresh"), "--batch", "a,b", "--dry-run")
    assert any(line.split()[:2] == ["ingest", "b"] for line in lines)
    assert not (tmp_path / "fresh").exists()


def test_wrong_input(refused: Refused, tmp_path: Path) -> None:
    root = ("--root", str(tmp_path))
    assert "neither videos nor batches are named" in refused("run", *root)
    assert "no recipe 'x'" in refused("run", *root, "--recipe", "x")
    assert "--share '2'" in refused("stage", "shard", *root, "--batch", "a", "--share", "2")
    with pytest.raises(InputError, match=r"need --executor\.kind ray"):
        ExecutorOptions(train_workers=2).build()
    with pytest.raises(InputError, match=r"need --executor\.kind ray"):
        ExecutorOptions(encoders=1).build()
