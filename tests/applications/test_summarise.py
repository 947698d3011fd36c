"""Summaries are as good as they can be, within their budget, and find the clips that were planted as keys."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import videobert
from tests.small_root import SmallRoot
from videobert.applications.summarise.objective import Material, best_subset, value_of
from videobert.cli.main import main


def random_material(clips: int, seed: int, *, asked: bool = False) -> Material:
    rng = np.random.default_rng(seed)
    return Material(
        vectors_ND=rng.standard_normal((clips, 4)).astype(np.float32), tokens_N=rng.integers(4, size=clips),
        seconds_N=rng.uniform(0.5, 3, clips), relevance_N=rng.random(clips) if asked else None,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(8))
def test_a_short_video_gets_the_optimum(seed: int) -> None:
    given = random_material(9, seed, asked=seed % 2 == 0)
    budget = float(given.seconds_N.sum()) / 3
    best = best_subset(given, budget)
    assert given.seconds_N[best].sum() <= budget
    subsets = (np.array(s, np.int64) for size in range(10) for s in itertools.combinations(range(9), size))
    optimum = max(value_of(given, s) for s in subsets if given.seconds_N[s].sum() <= budget)
    assert value_of(given, best) == pytest.approx(optimum, abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_greedy_choice_is_near_the_optimum_and_within_the_budget(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given = random_material(14, seed, asked=seed % 2 == 0)
    budget = float(given.seconds_N.sum()) * (seed + 1) / 8
    optimum = value_of(given, best_subset(given, budget))
    monkeypatch.setattr("videobert.applications.summarise.objective.EXACT", 0)
    chosen = best_subset(given, budget)
    assert given.seconds_N[chosen].sum() <= budget + 1e-9
    assert value_of(given, chosen) > 0.9 * optimum


def test_the_function_is_monotone_submodular_and_1_for_all() -> None:
    given = random_material(12, 3, asked=True)
    rng = np.random.default_rng(0)
    assert value_of(given, np.arange(12)) == pytest.approx(1, abs=1e-5)
    for _ in range(50):
        order = rng.permutation(12)
        small, large, clip = order[:3], order[:7], order[9:10]

        def gain(subset: NDArray[np.int64], clip: NDArray[np.int64] = clip) -> float:
            return value_of(given, np.append(subset, clip)) - value_of(given, subset)

        assert gain(small) >= gain(large) - 1e-6 >= -2e-6


def planted(scenes: int, seed: int) -> tuple[Material, set[int]]:
    """Scenes of 3 to 12 clips, each with one clean clip among noisy ones: the key."""
    rng = np.random.default_rng(seed)
    centres_SD = rng.standard_normal((scenes, 16)) * 3
    rows: list[NDArray[np.float64]] = []
    tokens: list[int] = []
    keys: set[int] = set()
    for scene in range(scenes):
        length = int(rng.integers(3, 13))
        key = int(rng.integers(length))
        keys.add(len(rows) + key)
        for clip in range(length):
            rows.append(centres_SD[scene] + (0 if clip == key else 1) * rng.standard_normal(16))
            tokens.append(scene if clip == key or rng.random() < 0.7 else scenes + int(rng.integers(4)))
    material = Material(
        vectors_ND=np.array(rows, np.float32), tokens_N=np.array(tokens), seconds_N=np.full(len(rows), 1.5)
    )  # fmt: skip
    return material, keys


def test_planted_key_clips_are_found() -> None:
    scores = []
    for seed in range(10):
        material, keys = planted(8, seed)
        chosen = set(best_subset(material, 8 * 1.5).tolist())
        assert len(chosen) <= 8
        scores.append(2 * len(chosen & keys) / (len(chosen) + len(keys)))
    assert np.mean(scores) >= 0.9


def test_a_video_where_nothing_happens_gets_its_first_clips() -> None:
    material = Material(
        vectors_ND=np.ones((40, 3), np.float32), tokens_N=np.zeros(40, np.int64), seconds_N=np.full(40, 1.5)
    )
    assert best_subset(material, 3.2).tolist() == [0, 1]
    assert best_subset(material, 1.0).tolist() == []


@pytest.fixture
def video(small_root: SmallRoot) -> str:
    rows = videobert.open(small_root.root).search(vector=[1.0] * 128, top=100)
    return max(rows, key=lambda row: row.end_seconds).video_id


@pytest.mark.slow
def test_a_finished_root_gives_clips_a_film_and_a_sheet(
    small_root: SmallRoot, video: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = videobert.open(small_root.root)
    found = root.summarise(video=video, seconds=4.6)
    assert 1 <= len(found) <= 3 and [clip.clip for clip in found] == sorted({clip.clip for clip in found})
    assert {clip.model for clip in found} == {small_root.specs["embed"]}
    main(["summarise", "--root", small_root.root, "--video", video, "--seconds", "4.6", "--json"])
    assert [json.loads(line)["clip"] for line in capsys.readouterr().out.splitlines()] == [c.clip for c in found]

    def written(name: str) -> bytes:
        arguments = ["--root", small_root.root, "--video", video, "--seconds", "4.6", "--out", str(tmp_path / name)]
        main(["summarise", *arguments])
        return (tmp_path / name).read_bytes()

    with av.open(io.BytesIO(written("s.mp4")), "r") as film:
        frames = len(list(film.decode(video=0)))
        assert film.streams.video[0].average_rate == 20 and frames == 30 * len(found) <= 20 * 4.6
    sheet = Image.open(io.BytesIO(written("s.jpg")))
    assert sheet.format == "JPEG" and np.asarray(sheet).std() > 10
    assert [clip["clip"] for clip in json.loads(written("s.json"))] == [clip.clip for clip in found]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "are no budget"),
        ({"seconds": 3.0, "share": 0.1}, "are no budget"),
        ({"seconds": -1.0}, "are no budget"),
        ({"share": 1.5}, "are no budget"),
        ({"seconds": 0.5}, "shorter than any clip"),
        ({"seconds": 3.0, "diversity": 2.0}, "diversity is 2"),
        ({"seconds": 3.0, "out": "x.gif"}, "ends in none of"),
        ({"seconds": 3.0, "video": "nobody"}, "no row 'nobody'"),
    ],
)
def test_what_cannot_be_summarised_is_one_sentence(
    small_root: SmallRoot, video: str, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(videobert.InputError, match=told):
        videobert.open(small_root.root).summarise(**{"video": video} | options)


def test_a_very_long_video_is_covered_by_its_even_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videobert.applications.summarise.objective._GROUND", 30)
    material, keys = planted(8, 0)
    chosen = best_subset(material, 8 * 1.5)
    assert len(chosen) == 8 and material.tokens_N[chosen].tolist() != [0] * 8 and set(chosen.tolist()) & keys
