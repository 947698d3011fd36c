"""Forecast, text-to-video and re-ranking on a finished run."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.e2e.conftest import Run
from videobert.cli.query import SearchCommand
from videobert.cli.visualize import ForecastCommand, TextToVideoCommand
from videobert.codebook.load import load_codebook
from videobert.errors import InputError
from videobert.model.scoring import alignment_logits
from videobert.query.model import open_model
from videobert.runtime.held_out import is_held_out
from videobert.runtime.manifest import load_manifest
from videobert.runtime.parquet import vectors_of
from videobert.video.options import DecodeOptions
from videobert.visualization.nearest import nearest_clips
from videobert.visualization.pictures import SIDE, clip_pictures
from videobert.visualization.show import find_segment


def test_the_nearest_clip_is_that_of_a_full_search_over_the_training_share(run: Run) -> None:
    codebook = load_manifest(run.store, "codebook", run.spec("codebook"), "")
    assert codebook is not None
    fitted = load_codebook(run.store, codebook)
    rows, vectors = [], []
    for path in sorted((run.root / "features").rglob("*.parquet")):
        table = pq.read_table(path, partitioning=None)
        rows += table.select(["video_id", "start_seconds"]).to_pylist()
        vectors.append(vectors_of(table))
    ours = np.array([not is_held_out(row["video_id"], 0.3) for row in rows])
    assert 0 < ours.sum() < len(ours)
    found = nearest_clips(run.store, codebook, range(len(fitted.centroids)))
    assert set(found) == set(np.flatnonzero(fitted.present).tolist())
    for leaf, clip in found.items():
        distances = ((np.concatenate(vectors) - fitted.centroids[leaf]) ** 2).sum(1)
        assert not is_held_out(clip.video_id, 0.3)
        assert clip.squared_distance == pytest.approx(distances[ours].min(), rel=1e-3, abs=1e-4)


def test_a_picture_shows_its_own_clip(run: Run) -> None:
    codebook = load_manifest(run.store, "codebook", run.spec("codebook"), "")
    assert codebook is not None
    clips = list(nearest_clips(run.store, codebook, range(16)).values())
    pictures = clip_pictures(run.store, clips, DecodeOptions())
    assert set(pictures) == set(clips)
    alone = clip_pictures(run.store, clips[-1:], DecodeOptions())
    assert alone == {clips[-1]: pictures[clips[-1]]}
    assert len(set(pictures.values())) > len(set(clips)) / 2
    assert Image.open(io.BytesIO(pictures[clips[0]])).size == (SIDE, SIDE)


def test_forecast_and_text_to_video_write_pages_that_stand_alone(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, page = str(run.root), tmp_path / "page.html"
    row = next(open_model(run.store).samples())["video_id"] + ":0"
    commands: tuple[ForecastCommand | TextToVideoCommand, ...] = (
        ForecastCommand(row=row, root=root, horizon=4, top=2, out=str(page)),
        TextToVideoCommand(text="stir <the> egg", root=root, clips=4, top=2, out=str(page)),
    )
    for command, rows in zip(commands, (6, 4), strict=True):
        command.execute()
        text = page.read_text()
        assert len(capsys.readouterr().out.splitlines()) == rows + 1
        assert text.count("<h2>") == rows and text.count("data:image/png;base64,") >= 8
        assert "<the>" not in text and not re.search(r"https?://", text)


def test_a_segment_that_is_not_there_is_an_input_error(run: Run) -> None:
    opened = open_model(run.store)
    for row_id in ("nobody:0", "nobody"):
        with pytest.raises(InputError, match="hold the segment"):
            find_segment(opened, row_id)


def test_rerank_orders_the_best_rows_by_the_alignment_head(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    def hits(rerank: int) -> list[dict[str, object]]:
        SearchCommand(text="stir the egg", root=str(run.root), json=True, top=12, rerank=rerank).execute()
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    plain, ranked = hits(0), hits(8)
    assert {hit["row_id"] for hit in plain[:8]} == {hit["row_id"] for hit in ranked[:8]}
    assert [hit["row_id"] for hit in plain[8:]] == [hit["row_id"] for hit in ranked[8:]]
    opened = open_model(run.store)
    stretches = [find_segment(opened, str(hit["row_id"])).seen_N for hit in ranked[:8]]
    odds = alignment_logits(opened.model, [opened.text_ids("stir the egg")] * 8, stretches)
    assert (np.diff(odds) <= 1e-5).all()
    assert [hit["score"] for hit in ranked[:8]] == pytest.approx((1 / (1 + np.exp(-odds))).tolist(), abs=1e-5)
    with pytest.raises(InputError, match="goes with a text"):
        SearchCommand(like="x:0", root=str(run.root), rerank=3).execute()
