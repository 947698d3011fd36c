"""Finetune: labels, tokens and a pretrained model become a model of one task in Hugging Face layout."""

from __future__ import annotations

import json
from typing import Any

from videobert.errors import InputError
from videobert.finetune.config import FinetuneConfig
from videobert.finetune.labels import read_labels
from videobert.finetune.stage import FINETUNE
from videobert.finetune.views import view_manifests
from videobert.labels.read import parse_labels
from videobert.runtime.corpus_commit import commit_files, committed
from videobert.runtime.executor import Executor
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest, Output, folder_of
from videobert.runtime.spec import output_config

__all__ = ["RESULT", "job_arguments", "run"]

_WORKER = "videobert.finetune.job:FinetuneJob"
RESULT = "_result.json"
"""Written by the job when all files stand, for the commit, with which it goes."""


def run(config: FinetuneConfig, inputs: Inputs, executor: Executor) -> Manifest:
    """Fine-tune, or resume, or find it done. Raises InputError for labels that cannot be learnt from."""
    spec = FINETUNE.spec(config, inputs)
    if done := committed(inputs.store, FINETUNE, spec):
        return done
    folder = folder_of(FINETUNE, spec, "")
    result = f"{folder}/{RESULT}"
    if not inputs.store.exists(result):
        executor.train(_WORKER, job_arguments(config, inputs))
    made = json.loads(inputs.store.read(result))
    written = tuple(Output(**{**file, "rejects": ()}) for file in made["files"])
    return commit_files(inputs, FINETUNE, spec, {}, config=output_config(config), facts=made["facts"], written=written)


def job_arguments(config: FinetuneConfig, inputs: Inputs) -> dict[str, Any]:
    """What a training worker gets. Raises InputError for labels that cannot be read, and tokens of another model."""
    labels, spec = read_labels(config, inputs.store.root), FINETUNE.spec(config, inputs)
    for file in labels:
        parse_labels(file.data, file.url)  # before anything is started for them
    pretrain, tokens = inputs.one("pretrain"), inputs.upstream["tokens"]
    foreign = {m.facts["codebook_spec"] for m in tokens} - {pretrain.facts["codebook_spec"]}
    if foreign:
        raise InputError(f"the tokens are of {', '.join(sorted(foreign))}, the model's are not; tokenise with --model")
    return {
        "config": config, "store": inputs.store, "folder": folder_of(FINETUNE, spec, ""), "spec": spec,
        "labels": labels, "pretrain": pretrain, "tokens": tokens, "views": view_manifests(config, inputs),
    }  # fmt: skip
