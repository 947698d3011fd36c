"""Pretrain: the tokens of some batches become one VideoBERT in Hugging Face layout."""

from __future__ import annotations

import json
from typing import Any

from videobert.errors import InputError
from videobert.pretrain.card import model_card
from videobert.pretrain.checkpoints import find_checkpoint
from videobert.pretrain.config import PretrainConfig
from videobert.pretrain.stage import PRETRAIN
from videobert.runtime.corpus_commit import commit_files, committed
from videobert.runtime.executor import Executor
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest, folder_of
from videobert.runtime.spec import output_config

__all__ = ["run"]

_WORKER = "videobert.pretrain.job:TrainJob"


def run(config: PretrainConfig, inputs: Inputs, executor: Executor) -> Manifest:
    """Train, or resume, or find it done. Raises InputError when the tokens are of different codebooks."""
    tokens, codebook = inputs.upstream["tokens"], inputs.one("codebook")
    foreign = sorted({m.facts["codebook_spec"] for m in tokens} - {codebook.spec})
    if foreign or not tokens:
        raise InputError(
            f"the tokens are of codebook {', '.join(foreign) or '(none)'}, the model's is {codebook.spec}; "
            "tokenise every batch with one codebook"
        )
    spec = PRETRAIN.spec(config, inputs)
    if done := committed(inputs.store, PRETRAIN, spec):
        return done
    folder = folder_of(PRETRAIN, spec, "")
    arguments = {"config": config, "store": inputs.store, "folder": folder, "codebook": codebook, "tokens": tokens}
    executor.train(_WORKER, arguments)
    last = find_checkpoint(inputs.store, folder)
    assert last is not None  # training ends with a checkpoint
    facts: dict[str, Any] = {
        "step": last.step, "directory": last.folder, "codebook_spec": codebook.spec,
        "feature_spec": codebook.facts["feature_spec"], "heldout_fraction": codebook.facts["heldout_fraction"],
        "batches": [manifest.batch for manifest in tokens],
    }  # fmt: skip
    curve = json.loads(inputs.store.read(f"{last.folder}/train_state.json"))["curve"]
    card = model_card(spec, facts, [manifest.counts for manifest in tokens], curve)
    return commit_files(
        inputs, PRETRAIN, spec, {"README.md": card}, config=output_config(config), facts=facts, written=last.files
    )
