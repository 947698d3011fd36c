"""What is rare or in the wrong order is planted; alarms over what is as it should be come at the rate asked for."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import videobert
from tests.model.material import TINY, vocabulary
from tests.query.rows import EMBED, row_ids, write_embeddings
from tests.small_root import BATCHES, SmallRoot
from videobert.api import Root
from videobert.applications.anomalies.core import distances, expected_per_hour, strangeness
from videobert.cli.main import main
from videobert.demo.oracle import rank_auc
from videobert.errors import EMPTY_BATCH_EXIT_CODE
from videobert.model.network import VideoBert
from videobert.model.scoring import surprise
from videobert.pretrain.config import PretrainConfig
from videobert.pretrain.train import train
from videobert.query.filters import RowFilter
from videobert.runtime.storage import Store
from videobert.tokens.records import Segment, TokenizedVideo

USUAL, NEW, RARE = 6000, 6000, 60
"""Segments of 1.5 s: two and a half hours of each."""


def world(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """What usually happens: twenty kinds of things, each near its own direction."""
    centres = np.random.default_rng(1).standard_normal((20, 16))
    return np.asarray(centres[rng.integers(20, size=count)] + 0.5 * rng.standard_normal((count, 16)))


def unit(vectors: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    """Batch `a` is usual, `b` too, and of `c` every second segment is one that nothing is like."""
    store, rng = Store(str(tmp_path_factory.mktemp("anomalies"))), np.random.default_rng(0)
    write_embeddings(store, "a", unit(world(rng, USUAL)))
    write_embeddings(store, "b", unit(world(rng, NEW)))
    mixed = world(rng, 2 * RARE)
    mixed[1::2] = rng.standard_normal((RARE, 16)) * 4
    write_embeddings(store, "c", unit(mixed))
    return videobert.open(store.root)


@pytest.mark.parametrize("per_hour", [60.0, 200.0])
def test_alarms_over_what_is_usual_come_as_often_as_asked(root: Root, per_hour: float) -> None:
    found = root.anomalies(batch="b", reference="a", per_hour=per_hour)
    assert all(row.alarm for row in found)
    assert len(found) / (1.5 * NEW / 3600) == pytest.approx(per_hour, rel=0.2)


def test_planted_rare_segments_are_told_from_usual_ones(root: Root) -> None:
    found = {row.row_id: row for row in root.anomalies(batch="c", reference="a", per_hour=1, every=True)}
    ids = row_ids("c", 2 * RARE)
    rare, usual = (np.array([found[row].distance for row in some]) for some in (ids[1::2], ids[::2]))
    assert rank_auc(rare, usual) >= 0.95
    assert sum(found[row].alarm for row in ids[1::2]) > 0.5 * RARE
    assert all(row.nearest.startswith("a-") and row.model == EMBED and row.surprise == -1 for row in found.values())


def test_the_rate_is_that_of_the_reference_itself() -> None:
    reference_NS = np.random.default_rng(0).standard_normal((500, 2))
    share_N = strangeness(reference_NS, reference_NS)
    rate_N = expected_per_hour(share_N, share_N, hours=5.0)
    for per_hour in (1.0, 10.0, 50.0):
        assert np.count_nonzero(rate_N <= per_hour) / 5.0 == pytest.approx(per_hour, abs=0.5)
    assert expected_per_hour(strangeness(np.array([[9.0, -9.0]]), reference_NS), share_N, hours=5.0).tolist() == [0.0]


def test_a_segment_of_the_reference_is_not_compared_with_its_own_video() -> None:
    vectors_NR = unit(np.array([[1.0, 0], [1, 0.01], [0, 1]]))
    video_N = np.array([0, 0, 1])
    distance_N, place_N = distances(vectors_NR, vectors_NR, nearest=1, asked_video_Q=video_N, video_N=video_N)
    assert place_N.tolist() == [2, 2, 1] and distance_N[0] == pytest.approx(1)


def test_the_command_writes_a_table_of_alarms(root: Root, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "alarms.parquet")
    main(["anomalies", "--root", root.url, "--batch", "c", "--reference", "a", "--out", out])
    table = pq.read_table(out)
    assert f"{table.num_rows} alarms" in capsys.readouterr().out and table.num_rows > 40
    assert set(table["alarm"].to_pylist()) == {True}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"batch": ""}, "batch is empty"),
        ({"batch": "b", "per_hour": 0.0}, "per_hour is 0"),
        ({"batch": "b", "reference": "a", "per_hour": 0.1}, "fewer than one in the 2.50 hours"),
        ({"batch": "a,b,c"}, "no batch but a,b,c"),
        ({"batch": "z"}, "batch z has no embeddings"),
        ({"batch": "b", "nearest": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_judged_is_one_sentence(root: Root, options: dict[str, Any], told: str) -> None:
    with pytest.raises(videobert.InputError, match=told):
        root.anomalies(**options)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--batch", "a,b,c"], EMPTY_BATCH_EXIT_CODE),
        (["--batch", "b", "--per-hour", ".01"], EMPTY_BATCH_EXIT_CODE),
        (["--batch", "b", "--reference", "a", "--per-hour", ".01"], 2),
    ],
)
def test_a_root_that_holds_too_little_yet_skips_a_run_and_a_reference_that_does_fails_it(
    root: Root, options: list[str], code: int
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["anomalies", "--root", root.url, *options])
    assert ended.value.code == code


STEPS, LENGTH = 8, 16


def work(rng: np.random.Generator, *, swapped: bool = False) -> NDArray[np.int32]:
    """Tokens of a segment: steps 0, 1, ... 7, 0, ... from anywhere, 2 or 3 clips each, of two tokens per step.

    Every fiftieth token is a stray. Swapped: the second and the third of its steps have changed places.
    """
    begin = int(rng.integers(STEPS))
    steps = [(begin + i) % STEPS for i in range(9)]
    if swapped:
        steps[1], steps[2] = steps[2], steps[1]
    clips = [2 * step + int(rng.integers(2)) for step in steps for _ in range(int(rng.integers(2, 4)))]
    stray = rng.random(LENGTH) < 0.02
    return np.where(stray, rng.integers(2 * STEPS, size=LENGTH), clips[:LENGTH]).astype(np.int32)


@pytest.mark.slow
def test_a_finished_root_is_asked_for_distance_and_surprise(small_root: SmallRoot) -> None:
    root = videobert.open(small_root.root)
    found = root.anomalies(batch=BATCHES[1], per_hour=600, surprise=True, every=True)
    assert len(found) == root.embeddings(batches=BATCHES[1]).count_rows(filter=RowFilter().expression)
    assert all(0 < row.surprise < 20 and 0 <= row.distance <= 2 for row in found)
    alarms = root.anomalies(batch=BATCHES[1], per_hour=600, surprise=True)
    assert alarms == [row for row in found if row.alarm]


@pytest.fixture(scope="module")
def trained() -> VideoBert:
    """A model of work that has its order, of which nothing is said."""
    rng = np.random.default_rng(0)
    segment = Segment(start_seconds=0, end_seconds=1.5 * LENGTH, first_clip=0, last_clip=LENGTH)
    videos = [TokenizedVideo(video_id=f"v{i}", visual=work(rng), segments=(segment,)) for i in range(400)]
    config = PretrainConfig(
        architecture=dataclasses.replace(TINY, hidden=48, intermediate=96, initializer_range=0.12),
        learning_rate=3e-3, warmup_steps=20, batch_size=40, steps=300, freeze_visual=False, mask_probability=0.4,
        threads=1,
    )  # fmt: skip
    model = VideoBert.create(config, vocabulary=vocabulary(8, 2 * STEPS))
    train(model, videos, config)
    return model


def mean_surprise(model: VideoBert, segments: list[NDArray[np.int32]]) -> NDArray[np.float64]:
    windows = [tokens for tokens in segments for _ in range(LENGTH)]
    found = surprise(model, windows, list(range(LENGTH)) * len(segments))
    return np.asarray(found.reshape(-1, LENGTH).mean(axis=1), np.float64)


@pytest.mark.slow
def test_steps_in_the_wrong_order_surprise_the_model(trained: VideoBert) -> None:
    rng = np.random.default_rng(1)
    usual = mean_surprise(trained, [work(rng) for _ in range(60)])
    wrong = mean_surprise(trained, [work(rng, swapped=True) for _ in range(60)])
    assert rank_auc(wrong, usual) >= 0.95


@pytest.mark.slow
def test_surprise_does_not_depend_on_what_else_is_asked(trained: VideoBert) -> None:
    rng = np.random.default_rng(2)
    videos, clips = [work(rng)[:n] for n in (1, 3, 15)], [0, 2, 7]
    together = surprise(trained, videos, clips)
    alone = [surprise(trained, [video], [clip])[0] for video, clip in zip(videos, clips, strict=True)]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert surprise(trained, [], []).shape == (0,)
    with pytest.raises(videobert.InputError, match="exceed the model's"):
        surprise(trained, [np.zeros(500, np.int32)], [3])
