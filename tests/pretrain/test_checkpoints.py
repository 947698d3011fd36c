"""Checkpoints on the store: a step is whole or does not count."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from tests.model.material import TINY, random_videos, vocabulary
from videobert.errors import InputError
from videobert.model.network import VideoBert
from videobert.pretrain.checkpoint_io import restore, write_checkpoint
from videobert.pretrain.checkpoints import (
    CHECKPOINT_COMMIT,
    LAST_STEP,
    Checkpoint,
    drop_old_checkpoints,
    find_checkpoint,
)
from videobert.pretrain.config import PretrainConfig
from videobert.pretrain.state import TrainState
from videobert.pretrain.train import train
from videobert.runtime.manifest import Output
from videobert.runtime.spec import canonical_json, output_config
from videobert.runtime.storage import Store

WORDS = vocabulary(30, 20)
CONFIG = PretrainConfig(
    architecture=TINY, learning_rate=1e-3, batch_size=8, steps=4, warmup_steps=0, checkpoint_every_steps=2, threads=1,
    log_every_steps=1, retrieval_dim=8,
)  # fmt: skip
FOLDER = "models/pretrain-1"
EXTRA = {"tokenizer.json": b"{}"}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def _train(store: Store, *, killed_at: int | None = None) -> None:
    """What a training job does: resume at the last whole step, write every checkpoint."""

    def on_checkpoint(model: VideoBert, state: TrainState) -> None:
        write_checkpoint(store, FOLDER, model, state, EXTRA)
        if state.step == killed_at:
            raise KeyboardInterrupt

    found = find_checkpoint(store, FOLDER)
    centroids = np.random.default_rng(0).standard_normal((WORDS.leaves, 6))
    fresh = VideoBert.create(CONFIG, vocabulary=WORDS, centroids_NF=centroids)
    model, state = restore(store, found) if found else (fresh, TrainState())
    videos = random_videos(6, words=30, leaves=20)
    train(model, videos, CONFIG, state=state, on_checkpoint=on_checkpoint, on_step=lambda record: None)


def test_a_killed_training_ends_with_the_bytes_of_one_that_was_not(store: Store, tmp_path: Path) -> None:
    straight = Store(str(tmp_path / "straight"))
    _train(straight)
    killed = Store(str(tmp_path / "killed"))
    with pytest.raises(KeyboardInterrupt):
        _train(killed, killed_at=2)
    found = find_checkpoint(killed, FOLDER)
    assert found is not None and found.step == 2
    _train(killed)
    assert killed.list(FOLDER) == straight.list(FOLDER)
    assert {p: killed.read(p) for p in killed.list(FOLDER)} == {p: straight.read(p) for p in straight.list(FOLDER)}


def test_the_last_whole_step_counts(store: Store) -> None:
    assert find_checkpoint(store, FOLDER) is None
    _train(store)
    last = find_checkpoint(store, FOLDER)
    assert (
        last is not None and last.step == 4 and f"{FOLDER}/step-0000004/tokenizer.json" in {f.path for f in last.files}
    )
    store.write(f"{FOLDER}/step-0000004/model.safetensors", b"half")
    earlier = find_checkpoint(store, FOLDER)
    assert earlier is not None and earlier.step == 2
    store.delete([f"{FOLDER}/step-0000002/_checkpoint.json"])
    assert find_checkpoint(store, FOLDER) is None


def test_speeds_do_not_reach_a_checkpoint(store: Store) -> None:
    _train(store)
    last = find_checkpoint(store, FOLDER)
    assert last is not None
    _, state = restore(store, last)
    assert len(state.curve) == 4
    assert all({"tokens_per_second", "data_wait"}.isdisjoint(record) for record in state.curve)
    assert dataclasses.asdict(state)["step"] == 4


def _write_steps(store: Store, *steps: int, uncommitted: int = 0) -> Checkpoint:
    """Small whole steps in order, and files of one that was never committed; returns the last."""
    for step in steps:
        folder = f"{FOLDER}/step-{step:07d}"
        store.write(f"{folder}/weights", b"w")
        file = Output(shard=0, input_digest="", path=f"{folder}/weights", sha256="", size_bytes=1, counts={})
        last = Checkpoint(step=step, folder=folder, files=(file,))
        store.write(f"{folder}/{CHECKPOINT_COMMIT}", canonical_json(dataclasses.asdict(last)))
        store.write(f"{FOLDER}/{LAST_STEP}", folder.rsplit("/", 1)[-1].encode())
    if uncommitted:
        store.write(f"{FOLDER}/step-{uncommitted:07d}/weights", b"w")
    return last


@pytest.mark.parametrize(
    ("keep", "kept"), [(0, [1, 2, 3, 4]), (1, [4]), (2, [3, 4]), (3, [2, 3, 4]), (9, [1, 2, 3, 4])]
)
def test_the_last_steps_stay(store: Store, tmp_path: Path, keep: int, kept: list[int]) -> None:
    drop_old_checkpoints(store, _write_steps(store, 1, 2, 3, 4), keep=keep)
    assert store.folders(FOLDER) == [f"step-{step:07d}" for step in kept]
    assert all(find_whole(store, step) for step in kept)


def find_whole(store: Store, step: int) -> bool:
    return len(store.list(f"{FOLDER}/step-{step:07d}")) == 2


def test_what_never_counted_goes_and_what_another_run_wrote_later_stays(store: Store) -> None:
    _write_steps(store, 10, 40)
    last = _write_steps(store, 20, uncommitted=15)
    drop_old_checkpoints(store, last, keep=2)
    assert store.folders(FOLDER) == ["step-0000010", "step-0000020", "step-0000040"]


def test_killed_at_any_deletion_the_last_step_is_whole_and_the_next_call_ends_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = 0

    def killed_after_some(self: Store, paths: Iterable[str]) -> None:
        nonlocal left
        for path in list(paths):
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            whole_delete(self, [path])

    whole_delete = Store.delete
    for deletions in range(6):
        last = _write_steps(store, 1, 2, 3, 4)
        left = deletions
        with monkeypatch.context() as patched:
            patched.setattr(Store, "delete", killed_after_some)
            with pytest.raises(KeyboardInterrupt):
                drop_old_checkpoints(store, last, keep=1)
        found = find_checkpoint(store, FOLDER)
        assert found == last
    drop_old_checkpoints(store, last, keep=1)
    assert store.folders(FOLDER) == ["step-0000004"]


def test_the_number_of_kept_steps_is_no_part_of_the_spec() -> None:
    assert output_config(CONFIG) == output_config(dataclasses.replace(CONFIG, keep_checkpoints=7))
    with pytest.raises(InputError, match="keep_checkpoints -1"):
        dataclasses.replace(CONFIG, keep_checkpoints=-1)
