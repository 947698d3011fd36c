"""Finetune: labels, tokens and a pretrained model become a model of one task in Hugging Face layout."""

from __future__ import annotations

import json

from videobert.errors import InputError
from videobert.finetune.config import FinetuneConfig
from videobert.finetune.labels import read_labels
from videobert.finetune.stage import FINETUNE
from videobert.labels.read import parse_labels
from videobert.runtime.corpus_commit import commit_files, committed
from videobert.runtime.executor import Executor
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest, Output, folder_of
from videobert.runtime.spec import output_config
from videobert.tasks.registry import check_task

__all__ = ["RESULT", "run"]

_WORKER = "videobert.finetune.job:FinetuneJob"
RESULT = "_result.json"
"""Written by the job when all files stand, for the commit, with which it goes."""


def run(config: FinetuneConfig, inputs: Inputs, executor: Executor) -> Manifest:
    """Fine-tune, or resume, or find it done. Raises InputError for labels that cannot be learnt from."""
    check_task(config.task)
    labels, url = read_labels(config, inputs.store.root)
    spec = FINETUNE.spec(config, inputs)
    if done := committed(inputs.store, FINETUNE, spec):
        return done
    parse_labels(labels, url)  # before anything is started for labels that cannot be read
    pretrain, tokens = inputs.one("pretrain"), inputs.upstream["tokens"]
    foreign = {m.facts["codebook_spec"] for m in tokens} - {pretrain.facts["codebook_spec"]}
    if foreign:
        raise InputError(f"the tokens are of {', '.join(sorted(foreign))}, the model's are not; tokenise with --model")
    folder = folder_of(FINETUNE, spec, "")
    result = f"{folder}/{RESULT}"
    if not inputs.store.exists(result):
        arguments = {
            "config": config, "store": inputs.store, "folder": folder, "spec": spec, "labels": labels,
            "labels_url": url, "pretrain": pretrain, "tokens": tokens,
        }  # fmt: skip
        executor.train(_WORKER, arguments)
    made = json.loads(inputs.store.read(result))
    written = tuple(Output(**{**file, "rejects": ()}) for file in made["files"])
    return commit_files(inputs, FINETUNE, spec, {}, config=output_config(config), facts=made["facts"], written=written)
