"""What would stop a run is found before it computes: source, room, labels, text, encoder; and what it will take."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.video.videos import moving_square, write_video
from videobert.admin.durations import measure_durations
from videobert.admin.preflight import check_run
from videobert.codebook.config import CodebookConfig
from videobert.evaluate.config import EvaluateConfig
from videobert.features.config import FeaturesConfig
from videobert.ingest.config import IngestConfig
from videobert.pretrain.config import PretrainConfig
from videobert.pretrain.estimate import TrainingTime
from videobert.recipes import Recipe, own
from videobert.runtime.storage import Store
from videobert.video.limits import DecoderLimits


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "long.mp4", [moving_square(n % 30) for n in range(400)], fps=20)
    write_video(folder / "short.mp4", [moving_square(n) for n in range(20)], fps=20)
    return folder


def looked(recipe: Recipe, videos: Path, root: Path) -> Mapping[str, tuple[bool, str]]:
    recipe = replace(recipe, ingest=IngestConfig(source=str(videos)))
    return {f.what: (f.failed, f.said) for f in check_run(recipe, Store(str(root)), ("b",))}


def test_time_and_room_follow_from_videos_that_are_looked_at(videos: Path, tmp_path: Path) -> None:
    found = looked(own(), videos, tmp_path / "root")
    assert not any(failed for failed, _ in found.values()), found
    assert "14 clips, by 2 videos that were looked at" in found["duration"][1]
    said = r"no video is held out; about \d+ steps, \d+ (seconds|minutes) of one worker on "
    assert re.match(said, found["training"][1]), found["training"][1]
    assert not (tmp_path / "root").exists() or not list((tmp_path / "root").rglob("*.parquet"))


def test_everything_that_is_wrong_is_told_at_once(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = SimpleNamespace(total=1, used=1, free=1_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    recipe = replace(
        own(),
        evaluate=EvaluateConfig(labels=str(tmp_path / "no.jsonl")),
        features=FeaturesConfig(encoder="hf:/no/such/model"),
        codebook=CodebookConfig(tokenizer="/no/such/tokenizer"),
    )
    found = looked(recipe, videos, tmp_path / "root")
    wrong: dict[str, Any] = {what: said for what, (failed, said) in found.items() if failed}
    assert set(wrong) == {"root", "temporary folder", "labels", "text", "encoder"}
    assert "1 kB free" in wrong["root"] and "set TMPDIR" in wrong["temporary folder"]


def test_training_is_estimated_with_the_codebook_that_the_clips_get(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaves: list[int] = []

    def estimate(config: PretrainConfig, *, leaves: int, found: list[int] = leaves, **_: int) -> TrainingTime:
        found.append(leaves)
        return TrainingTime(steps=1, seconds_per_step=1.0)

    monkeypatch.setattr("videobert.pretrain.estimate.estimate_training", estimate)
    looked(own(), videos, tmp_path / "root")
    assert leaves == [12]  # of 14 clips


def test_files_that_are_no_videos_are_counted_and_do_not_decide(videos: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("no video" * 1000)
    sizes = {f"file://{path}": path.stat().st_size for path in (*videos.iterdir(), tmp_path / "notes.mp4")}
    found = measure_durations(sizes, DecoderLimits())
    assert (found.looked_at, found.unreadable) == (2, 1)
    assert found.seconds > 21
    assert measure_durations({}, DecoderLimits()).seconds == 0
    remote = measure_durations({"s3://bucket/film.mp4": 10**9}, DecoderLimits())
    assert remote.looked_at == 0 and remote.seconds == pytest.approx(8_000)
