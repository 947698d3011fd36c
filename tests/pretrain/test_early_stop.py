"""The stage with early stop: the best checkpoint is what it commits, also where training was killed again and again."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest

from tests.small_root import SmallRoot
from videobert.flow import run_stage
from videobert.model.load import load_committed_model
from videobert.pretrain import validation
from videobert.pretrain.config import Validation
from videobert.pretrain.stopping import TRAINING_FILE, best_step
from videobert.recipes import Recipe
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.manifest import Manifest, load_manifest
from videobert.runtime.storage import Store


class MortalStore(Store):
    """Dies with the n-th object that is written; a killed process leaves as much."""

    left: int

    def write(self, path: str, content: bytes | Path) -> None:
        self._live()
        super().write(path, content)

    def upload(self, source: Path, path: str, **condition: str) -> None:
        self._live()
        super().upload(source, path, **condition)

    def _live(self) -> None:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1


def _pretrain(recipe: Recipe, store: Store, codebook: str) -> Manifest:
    (result,) = run_stage(
        recipe, store, "pretrain", batches=(), selection=Selection(codebook=codebook), executor=LocalExecutor()
    )
    manifest = load_manifest(store, "pretrain", result.spec, "")
    assert manifest is not None
    return manifest


def test_the_best_checkpoint_is_committed_whatever_kills_training(
    small_root: SmallRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "LEAST_VIDEOS", 2)  # the root has few
    recipe = dataclasses.replace(
        small_root.recipe,
        pretrain=dataclasses.replace(
            small_root.recipe.pretrain, steps=120, learning_rate=1e-2, checkpoint_every_steps=5, keep_checkpoints=1,
            validation=Validation(checks=40, patience=4, fraction=0.3, least_segments=1),
        ),
    )  # fmt: skip
    roots = []
    for name in ("straight", "killed"):
        shutil.copytree(small_root.root, tmp_path / name)
        roots.append(str(tmp_path / name))
    straight, codebook = Store(roots[0]), small_root.specs["codebook"]
    committed = _pretrain(recipe, straight, codebook)
    training = committed.facts["training"]
    assert training["plan"]["videos"] == 1
    assert committed.facts["step"] == best_step(training["checks"]) < training["ended"] < 120
    folder = f"models/{committed.spec}"
    step_folders = {path.split("/")[2] for path in straight.list(folder) if "/step-" in path}
    assert step_folders == {committed.facts["directory"].split("/")[2]}
    assert f"{folder}/{TRAINING_FILE}" in straight.list(folder)
    load_committed_model(straight, committed)

    deaths = 0
    while True:
        store = MortalStore(roots[1])
        store.left = 14 + deaths  # more than one checkpoint takes
        try:
            again = _pretrain(recipe, store, codebook)
            break
        except KeyboardInterrupt:
            deaths += 1
    assert deaths >= 3 and again == committed
    assert {p: store.read(p) for p in store.list(folder)} == {p: straight.read(p) for p in straight.list(folder)}
