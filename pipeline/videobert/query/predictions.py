"""Answers of fine-tuned models for the rows of the embeddings: of one video, and which rows have a label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from videobert.errors import InputError
from videobert.runtime.manifest import batches_of, load_manifests, specs_of
from videobert.runtime.storage import Store

__all__ = ["Prediction", "labels_of", "predictions_of_video", "rows_labelled"]

_BY_TASK = ds.partitioning(pa.schema([("task", pa.string()), ("batch", pa.string())]), flavor="hive")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What one fine-tuned model says of a segment or a video. Labels and answers are text of others."""

    task: str
    """Spec of the predictions, the name of their folder after `task=`."""
    task_name: str
    row_id: str
    start_seconds: float
    end_seconds: float
    label: str | None
    """The best label; None where the task writes text."""
    score: float | None
    """Its probability, or the value of a regression."""
    labels: list[str]
    """The best ones in their order, with `scores`."""
    scores: list[float]
    answer: str | None
    """What the task writes; None where it chooses."""


_COLUMNS = [name for name in Prediction.__dataclass_fields__ if name != "task"]


def predictions_of_video(store: Store, embed_spec: str, video_id: str, batch: str) -> list[Prediction]:
    """All that is committed for a video of these embeddings, by task, then in the order of time."""
    found: list[Prediction] = []
    for spec, paths in _files(store, embed_spec, batch):
        rows = store.dataset(paths, partitioning=_BY_TASK)
        table = rows.to_table(columns=_COLUMNS, filter=pc.field("video_id") == video_id)
        own = [Prediction(task=spec, **row) for row in table.to_pylist()]
        found += sorted(own, key=lambda one: (one.start_seconds, one.end_seconds, one.row_id))
    return found


def labels_of(store: Store, embed_spec: str) -> list[str]:
    """The best labels that rows of these embeddings have, sorted."""
    return sorted({label for _, label in _labelled(store, embed_spec)})


def rows_labelled(store: Store, embed_spec: str, label: str) -> frozenset[str]:
    """Ids of the rows whose best label it is: of segments, and of videos where the task answers for these.

    Raises InputError when none has it.
    """
    found = frozenset(row_id for row_id, own in _labelled(store, embed_spec) if own == label)
    if not found:
        there = labels_of(store, embed_spec)
        told = f"there are {', '.join(there[:20])}" if there else "run `videobert predict` first"
        raise InputError(f"no prediction for rows of {embed_spec} is {label!r}; {told}")
    return found


def _labelled(store: Store, embed_spec: str) -> Iterator[tuple[str, str]]:
    """(row id, best label) of every prediction that has one."""
    for _, paths in _files(store, embed_spec):
        rows = store.dataset(paths, partitioning=_BY_TASK)
        table = rows.to_table(columns=["row_id", "label"], filter=pc.field("label").is_valid())
        yield from zip(table["row_id"].to_pylist(), table["label"].to_pylist(), strict=True)


def _files(store: Store, embed_spec: str, batch: str = "") -> Iterator[tuple[str, list[str]]]:
    """(spec, files) of predictions over the tokens that the embeddings were made from: only there ids mean the same."""
    embedded = batches_of(store, "embed", embed_spec)
    made = (manifest for _, manifest in load_manifests(store, "embed", embed_spec, embedded) if manifest)
    tokens = next((manifest.source_spec("tokens") for manifest in made), "")
    for spec in specs_of(store, "predict"):
        batches = [key for key in batches_of(store, "predict", spec) if key in ((batch,) if batch else embedded)]
        manifests = [manifest for _, manifest in load_manifests(store, "predict", spec, batches) if manifest]
        paths = [o.path for m in manifests if m.source_spec("tokens") == tokens for o in m.outputs]
        if paths:
            yield spec, paths
