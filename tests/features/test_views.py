"""Other views of the pixels: one draw per video, a spec of its own, quantised with the codebook of the videos."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.small_root import BATCHES, SmallRoot
from videobert.errors import InputError
from videobert.features.config import FeaturesConfig
from videobert.features.views import View, draw_view
from videobert.finetune.config import FinetuneConfig
from videobert.flow import run_stage
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.manifest import load_manifest
from videobert.runtime.storage import Store
from videobert.video.request import ClipFrames

SAME = View(left=0.0, top=0.0, side=1.0, mirrored=False, gains=(1.0, 1.0, 1.0), contrast=1.0)


def clip() -> ClipFrames:
    rng = np.random.default_rng(0)
    rgb, gray = (rng.integers(0, 256, size=shape, dtype=np.uint8) for shape in ((2, 8, 8, 3), (5, 4, 4)))
    return ClipFrames(index=3, rgb=rgb, gray=gray)


def test_a_view_moves_picture_and_motion_alike() -> None:
    one = clip()
    assert one.gray is not None
    same = SAME.of(one)
    assert same.gray is not None
    assert np.array_equal(same.rgb, one.rgb) and np.array_equal(same.gray, one.gray) and same.index == 3
    mirrored = replace(SAME, mirrored=True).of(one)
    assert mirrored.gray is not None
    assert np.array_equal(mirrored.rgb, one.rgb[:, :, ::-1]) and np.array_equal(mirrored.gray, one.gray[:, :, ::-1])
    red = replace(SAME, gains=(0.5, 1.0, 1.0)).of(one)
    assert np.array_equal(red.rgb[..., 1:], one.rgb[..., 1:])
    assert np.array_equal(red.rgb[..., 0], (one.rgb[..., 0] * np.float32(0.5)).round())
    flat = replace(SAME, contrast=0.0).of(one)
    assert set(np.unique(flat.rgb)) == {128}
    edges = ClipFrames(index=0, rgb=np.kron(np.eye(2, dtype=np.uint8) * 200, np.ones((4, 4), np.uint8))[None, ..., None]
                       .repeat(3, axis=3), gray=None)  # fmt: skip
    corner = replace(SAME, side=0.5).of(edges)
    assert (corner.rgb[:, :-2, :-2] == 200).all(), "the upper left quarter fills the picture, but for its soft edge"


def test_a_view_follows_from_its_number_and_the_video() -> None:
    config = FeaturesConfig(crop=0.4, flip=0.5, colour=0.2)
    views = [draw_view(config, str(i)) for i in range(200)]
    assert draw_view(config, "7") == views[7] != draw_view(replace(config, view=1), "7")
    assert all(view.side >= 0.6 and view.left + view.side <= 1 and view.top + view.side <= 1 for view in views)
    assert 70 < sum(view.mirrored for view in views) < 130
    assert all(0.8 <= gain <= 1.2 for view in views for gain in (*view.gains, view.contrast))
    for wrong in ({"crop": 1.0}, {"flip": 1.5}, {"colour": -0.1}, {"view": 2}):
        with pytest.raises(InputError, match=r"is no view of a video|changes nothing"):
            FeaturesConfig(**wrong)


@pytest.mark.slow
def test_a_root_has_the_view_besides_and_a_task_learns_from_both(small_root: SmallRoot, tmp_path: Path) -> None:
    shutil.copytree(small_root.root, tmp_path / "demo")
    store, plain = Store(str(tmp_path / "demo")), small_root.recipe
    viewed = replace(plain, features=replace(plain.features, flip=1.0, colour=0.2))
    specs = {}
    for name in ("features", "tokens"):
        chosen = Selection(codebook=small_root.specs["codebook"])
        done = run_stage(viewed, store, name, batches=BATCHES, selection=chosen, executor=LocalExecutor())
        specs[name] = done[0].spec
        assert specs[name] != small_root.specs[name]
    manifest = load_manifest(store, "features", specs["features"], BATCHES[0])
    assert manifest is not None and manifest.facts == {"view_of": small_root.specs["features"]}
    truth = (small_root.folder / "corpus/truth/truth.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in truth]
    videos = sorted({row["video_id"] for row in rows})
    split = dict(zip(videos, ("test", "validation", "train", "train", "train", "train"), strict=True))
    (tmp_path / "demo/labels.jsonl").write_text("".join(
        json.dumps({
            "video": row["video_id"], "start_seconds": row["start_seconds"], "end_seconds": row["end_seconds"],
            "label": "low" if i % 2 else "high", "split": split[row["video_id"]],
        }) + "\n"
        for i, row in enumerate(rows)
    ))  # fmt: skip
    config = FinetuneConfig(labels="{root}/labels.jsonl", epochs=1, batch_size=4, bootstrap_draws=5)
    counts = []
    for views in ((), (specs["tokens"],)):
        recipe = replace(plain, finetune=replace(config, views=views))
        (tuned,) = run_stage(
            recipe, store, "finetune", batches=(), selection=Selection(model="current"), executor=LocalExecutor()
        )
        counts.append(json.loads(store.read(f"finetuned/{tuned.spec}/metrics.json"))["examples"])
    assert counts[1] == counts[0] | {"train": 2 * counts[0]["train"]}
    recipe = replace(plain, finetune=replace(config, views=("tokens-none",)))
    with pytest.raises(InputError, match=r"finetune\.views has tokens-none, which batch '2026-01-01' has not"):
        run_stage(recipe, store, "finetune", batches=(), selection=Selection(model="current"), executor=LocalExecutor())
