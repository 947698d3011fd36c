"""What a reader of a committed model fetches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tests.model.material import TINY, vocabulary
from videobert.model.load import load_committed_model
from videobert.model.network import VideoBert
from videobert.pretrain.checkpoint_io import write_checkpoint
from videobert.pretrain.config import PretrainConfig
from videobert.pretrain.state import TrainState
from videobert.runtime.manifest import Manifest
from videobert.runtime.storage import Store


class CountingStore(Store):
    """Notes what is downloaded."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.downloaded: dict[str, int] = {}

    def download(self, path: str, target: Path) -> None:
        super().download(path, target)
        self.downloaded[path.rsplit("/", 1)[-1]] = target.stat().st_size


def test_the_weights_are_fetched_and_the_optimisers_moments_are_not(tmp_path: Path) -> None:
    store, words = CountingStore(str(tmp_path)), vocabulary(30, 20)
    centroids = np.random.default_rng(0).standard_normal((words.leaves, 6))
    model = VideoBert.create(PretrainConfig(architecture=TINY), vocabulary=words, centroids_NF=centroids)
    moments = {f"exp_avg.{name}": torch.zeros_like(p) for name, p in model.named_parameters()}
    step = write_checkpoint(
        store, "models/pretrain-1", model, TrainState(step=7, moments=moments), {"tokenizer.json": b"{}"}
    )
    manifest = Manifest(
        stage="pretrain", spec="pretrain-1", batch="", config={}, sources=(), outputs=step.files,
        facts={"directory": step.folder},
    )  # fmt: skip
    loaded = load_committed_model(store, manifest)
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())
    assert sorted(store.downloaded) == ["config.json", "heads.safetensors", "model.safetensors", "videobert.json"]
    sizes = {file.path.rsplit("/", 1)[-1]: file.size_bytes for file in step.files}
    assert sum(store.downloaded.values()) < 0.6 * sum(sizes.values())
