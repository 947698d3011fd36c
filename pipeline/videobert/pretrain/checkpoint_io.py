"""Checkpoints on the store: one folder per step, whole once its `_checkpoint.json` is there."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path

from videobert.model.checkpoint import load_model, save_model
from videobert.model.network import VideoBert
from videobert.pretrain.checkpoints import CHECKPOINT_COMMIT, LAST_STEP, Checkpoint, step_folder
from videobert.pretrain.state import TrainState, load_state, save_state
from videobert.runtime.manifest import Output
from videobert.runtime.spec import canonical_json
from videobert.runtime.storage import Store, file_sha256

__all__ = ["restore", "write_checkpoint"]

_CLOCK = ("data_wait", "tokens_per_second")


def write_checkpoint(
    store: Store, model_folder: str, model: VideoBert, state: TrainState, extra: Mapping[str, bytes]
) -> Checkpoint:
    """Upload weights, optimiser and `extra` files (the tokenizer), then the commit over them."""
    folder = step_folder(model_folder, state.step)
    with tempfile.TemporaryDirectory(prefix="videobert-") as temporary:
        local = Path(temporary)
        save_model(model, local)
        save_state(_without_clock(state), local)
        for name, data in extra.items():
            (local / name).write_bytes(data)
        files = []
        for number, path in enumerate(sorted(local.iterdir())):
            target = f"{folder}/{path.name}"
            store.upload(path, target)
            files.append(
                Output(
                    shard=number, input_digest="", path=target, sha256=file_sha256(path),
                    size_bytes=path.stat().st_size, counts={},
                )
            )  # fmt: skip
    checkpoint = Checkpoint(step=state.step, folder=folder, files=tuple(files))
    store.write(f"{folder}/{CHECKPOINT_COMMIT}", canonical_json(dataclasses.asdict(checkpoint)))
    store.write(f"{model_folder}/{LAST_STEP}", folder.rsplit("/", 1)[-1].encode())
    return checkpoint


def restore(store: Store, checkpoint: Checkpoint) -> tuple[VideoBert, TrainState]:
    """Model and training state of a step, bit for bit."""
    with tempfile.TemporaryDirectory(prefix="videobert-") as temporary:
        local = Path(temporary)
        for file in checkpoint.files:
            store.download(file.path, local / file.path.rsplit("/", 1)[-1])
        return load_model(local), load_state(local)


def _without_clock(state: TrainState) -> TrainState:
    """Speeds differ from run to run; a checkpoint is a function of its inputs."""
    curve = [{name: value for name, value in record.items() if name not in _CLOCK} for record in state.curve]
    return dataclasses.replace(state, curve=curve)
