"""Checkpoints of fine-tuning: what is trained, the best of it, and the optimiser; in the form of pretraining's."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from videobert.errors import InputError
from videobert.finetune.train import TuneState
from videobert.model.tensors import load_tensors
from videobert.pretrain.checkpoints import (
    CHECKPOINT_COMMIT,
    LAST_STEP,
    Checkpoint,
    drop_old_checkpoints,
    find_checkpoint,
)
from videobert.pretrain.state import load_state, save_state
from videobert.runtime.manifest import Output
from videobert.runtime.spec import canonical_json
from videobert.runtime.storage import Store, file_sha256
from videobert.tasks.base import TaskNetwork

__all__ = ["resume", "upload_folder", "write_checkpoint"]

_WEIGHTS, _BEST, _VALIDATION = "weights.safetensors", "best.safetensors", "validation.json"


def write_checkpoint(store: Store, folder: str, weights: dict[str, Tensor], state: TuneState) -> None:
    """Upload a step, commit it, and drop the one before it."""
    target = f"{folder}/step-{state.step:07d}"
    with tempfile.TemporaryDirectory(prefix="videobert-") as temporary:
        local = Path(temporary)
        save_file(weights, local / _WEIGHTS)
        save_file(state.best, local / _BEST)
        save_state(state, local)
        # Not sorted: the first figure is the one that is compared.
        (local / _VALIDATION).write_text(json.dumps(state.validation))
        files = upload_folder(store, local, target)
    checkpoint = Checkpoint(step=state.step, folder=target, files=files)
    store.write(f"{target}/{CHECKPOINT_COMMIT}", canonical_json(dataclasses.asdict(checkpoint)))
    store.write(f"{folder}/{LAST_STEP}", target.rsplit("/", 1)[-1].encode())
    drop_old_checkpoints(store, checkpoint, keep=1)


def resume(store: Store, folder: str, network: TaskNetwork) -> TuneState:
    """Put the last whole step into the network; a fresh state where there is none."""
    checkpoint = find_checkpoint(store, folder)
    if checkpoint is None:
        return TuneState()
    with tempfile.TemporaryDirectory(prefix="videobert-") as temporary:
        local = Path(temporary)
        for file in checkpoint.files:
            store.download(file.path, local / file.path.rsplit("/", 1)[-1])
        weights, done = load_tensors(local / _WEIGHTS), load_state(local)
        best, validation = load_tensors(local / _BEST), json.loads((local / _VALIDATION).read_text())
    own = dict(network.named_parameters())
    if set(weights) - set(own):
        raise InputError(f"{store.url(checkpoint.folder)} is a checkpoint of another network; remove its folder")
    with torch.no_grad():
        for name, value in weights.items():
            own[name].copy_(value)
    return TuneState(step=done.step, moments=done.moments, curve=done.curve, best=best, validation=validation)


def upload_folder(store: Store, local: Path, target: str) -> tuple[Output, ...]:
    """Upload the files of a local folder, sorted by name."""
    written = []
    for number, path in enumerate(sorted(path for path in local.iterdir() if path.is_file())):
        store.upload(path, f"{target}/{path.name}")
        written.append(
            Output(
                shard=number, input_digest="", path=f"{target}/{path.name}", sha256=file_sha256(path),
                size_bytes=path.stat().st_size, counts={},
            )
        )  # fmt: skip
    return tuple(written)
