"""Pretrain: the tokens of some batches become one VideoBERT in Hugging Face layout."""

from __future__ import annotations

import json
import logging
from typing import Any

from videobert.errors import InputError
from videobert.pretrain.card import model_card
from videobert.pretrain.checkpoints import checkpoint_at, find_checkpoint
from videobert.pretrain.config import PretrainConfig
from videobert.pretrain.stage import PRETRAIN
from videobert.pretrain.stopping import TRAINING_FILE, best_step, stop_sentence
from videobert.runtime.corpus_commit import commit_files, committed
from videobert.runtime.executor import Executor
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest, folder_of
from videobert.runtime.spec import canonical_json, output_config

__all__ = ["run"]

_LOG = logging.getLogger("videobert")
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
    state = json.loads(inputs.store.read(f"{last.folder}/train_state.json"))
    best = best_step(state.get("checks", ()))
    chosen = last if best is None else checkpoint_at(inputs.store, folder, best)
    assert chosen is not None  # the best one stays
    facts: dict[str, Any] = {
        "step": chosen.step, "directory": chosen.folder, "codebook_spec": codebook.spec,
        "feature_spec": codebook.facts["feature_spec"], "heldout_fraction": codebook.facts["heldout_fraction"],
        "batches": [manifest.batch for manifest in tokens],
    }  # fmt: skip
    files = {}
    if plan := state.get("plan"):
        facts["training"] = {"plan": plan, "ended": last.step, "checks": state["checks"]}
        files[TRAINING_FILE] = canonical_json({"curve": state["curve"], **facts["training"]})
        _LOG.info("pretrain: %s", stop_sentence(facts["training"]))
    files["README.md"] = model_card(spec, facts, [manifest.counts for manifest in tokens], state["curve"])
    return commit_files(inputs, PRETRAIN, spec, files, config=output_config(config), facts=facts, written=chosen.files)
