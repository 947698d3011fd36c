"""The files of labels, found and read without a model: their bytes are part of the name of what is made of them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from videobert.errors import InputError
from videobert.finetune.config import FinetuneConfig
from videobert.labels.read import read_bytes
from videobert.tasks.registry import check_task

__all__ = ["LabelFile", "label_digests", "read_labels"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelFile:
    """The labels of one task."""

    task: str
    weight: float
    """Of an example in the loss, that of the first task being 1."""
    url: str
    data: bytes


def read_labels(config: FinetuneConfig, root: str) -> tuple[LabelFile, ...]:
    """The labels of the task, and of those that are learnt with it.

    Raises InputError where none are configured, none are there, or `also` cannot be understood.
    """
    if not config.labels:
        raise InputError("finetune.labels is empty; name a file of labels, as in: videobert finetune --labels FILE")
    asked = [(config.task, 1.0, config.labels), *(_also(given) for given in config.also)]
    found = []
    for task, weight, location in asked:
        check_task(task)
        url = location.replace("{root}", root)
        found.append(LabelFile(task=task, weight=weight, url=url, data=read_bytes(url)))
    return tuple(found)


def label_digests(files: tuple[LabelFile, ...]) -> dict[str, str]:
    """What the spec holds of them."""
    from videobert.runtime.storage import sha256

    first, *others = files
    return {"labels": sha256(first.data)} | {f"also {n}": sha256(o.data) for n, o in enumerate(others, start=1)}


def _also(given: str) -> tuple[str, float, str]:
    task, _, rest = given.partition(":")
    weight, _, location = rest.partition(":")
    try:
        value = float(weight)
    except ValueError:
        value = math.nan
    if not location or not 0 < value < math.inf:
        raise InputError(f"finetune.also has {given!r}; write TASK:WEIGHT:LABELS, such as captions:0.5:captions.jsonl")
    return task, value, location
