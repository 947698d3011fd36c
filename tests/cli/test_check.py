"""`videobert check`: what stands in the way of a run is said before anything is computed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Refused, Told
from tests.small_root import BATCHES, SmallRoot
from videobert.cli.main import main


def _videos(small_root: SmallRoot) -> str:
    return str(small_root.folder / "corpus" / "videos" / BATCHES[0])


def test_all_is_looked_at_and_nothing_written(told: Told, small_root: SmallRoot, tmp_path: Path) -> None:
    lines = told("check", _videos(small_root), "--root", str(tmp_path / "fresh"))
    assert {line.split()[0] for line in lines} == {"ok"}
    (source,) = (line for line in lines if f"source of {BATCHES[0]}" in line)
    videos = [path for path in Path(_videos(small_root)).iterdir() if path.suffix in (".mp4", ".mkv", ".webm")]
    assert f"{len(videos)} videos" in source
    assert any("encoder" in line and "numbers per clip" in line for line in lines)
    assert not list((tmp_path / "fresh").rglob("*.*"))


def test_every_obstacle_is_named_at_once(
    small_root: SmallRoot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = ("--evaluate.labels", str(tmp_path / "none.jsonl"), "--features.encoder", f"hf:{tmp_path}/no-model")
    with pytest.raises(SystemExit) as ended:
        main(("check", _videos(small_root), "--root", str(tmp_path / "fresh"), *wrong))
    told = capsys.readouterr()
    failed = [line for line in told.out.splitlines() if line.startswith("FAIL")]
    assert ended.value.code == 2 and "labels, encoder would stop this run" in told.err
    assert "none.jsonl" in failed[0] and "no-model" in failed[1] and len(failed) == 2


def test_a_folder_without_videos(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("no video")
    assert "source of" in refused("check", str(tmp_path), "--root", str(tmp_path / "root"))
    assert "neither videos nor batches" in refused("check", "--root", str(tmp_path / "root"))


def test_a_run_of_batches_looks_first_too(small_root: SmallRoot, refused: Refused, tmp_path: Path) -> None:
    source = str(small_root.folder / "corpus" / "videos" / "{batch}")
    wrong = ("--ingest.source", source, "--evaluate.labels", str(tmp_path / "none.jsonl"))
    said = refused("run", "--root", str(tmp_path / "root"), "--batch", BATCHES[0], *wrong)
    assert said.startswith("error: labels would stop this run") and not (tmp_path / "root/catalog").exists()


def test_a_day_without_videos_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "in/2026-01-05").mkdir(parents=True)
    with pytest.raises(SystemExit) as ended:
        main(("run", str(tmp_path / "in/{batch}"), "--root", str(tmp_path / "root"), "--batch", "2026-01-05"))
    assert ended.value.code == 3


def test_a_root_without_room_for_the_model_is_full(
    small_root: SmallRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    free = shutil.disk_usage(tmp_path)._replace(free=5_000_000)  # the videos would fit
    monkeypatch.setattr("videobert.admin.preflight.shutil.disk_usage", lambda _: free)
    with pytest.raises(SystemExit):
        main(("check", _videos(small_root), "--root", str(tmp_path / "fresh")))
    (failed,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("FAIL"))
    assert failed.split()[1] == "root" and "has 5.0 MB free and the run needs about" in failed
