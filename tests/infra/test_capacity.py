"""The page on capacity says what its command prints, and the command counts as the pipeline plans and writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from infra.capacity import Corpus, bytes_per_video, core_hours, objects
from videobert.runtime.plan import Item, extend_plan
from videobert.shard.config import ShardConfig

ROOT = Path(__file__).resolve().parents[2]


def test_shards_are_those_of_the_planner() -> None:
    corpus = Corpus(hours=20)
    items = [Item(key=f"{number:05d}", weight=corpus.video_bytes) for number in range(corpus.videos)]
    assert objects(corpus)["shards"] == len(extend_plan([], items, limit=ShardConfig().shard_bytes))


def test_bytes_follow_the_dimensions_and_nothing_else() -> None:
    small, wide = (bytes_per_video(Corpus(feature_dimension=size)) for size in (512, 1024))
    assert wide["features"] == pytest.approx(2 * small["features"], rel=0.01)
    for stage in small.keys() - {"features"}:  # other random names and numbers, which zstd takes differently
        assert wide[stage] == pytest.approx(small[stage], rel=0.01)
    vectors = 4 * 1024 * Corpus().clips_per_video
    assert 0.8 * vectors < wide["features"] < 1.01 * vectors


def test_work_grows_with_the_hours() -> None:
    once, twice = (core_hours(Corpus(hours=hours)) for hours in (1_000, 2_000))
    assert twice == pytest.approx({name: 2 * value for name, value in once.items()}, rel=0.001)


@pytest.mark.slow
def test_the_page_quotes_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.capacity"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    page = (ROOT / "docs" / "capacity.md").read_text()
    assert all(line in page for line in done.stdout.splitlines()), done.stdout
