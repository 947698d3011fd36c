"""One video, asked or described: what `videobert ask` and `videobert caption` do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from videobert.codebook.load import load_tokenizer
from videobert.errors import InputError
from videobert.finetune.data import see
from videobert.finetune.sight import Sight
from videobert.labels.match import match_videos
from videobert.labels.records import LabelRow
from videobert.runtime.manifest import Manifest, batches_of, load_manifests
from videobert.runtime.storage import Store
from videobert.tasks.base import Answer
from videobert.tasks.load import load_tuned
from videobert.tasks.registry import get_task
from videobert.tokens.read import read_samples

__all__ = ["answer_one"]


def answer_one(store: Store, tuned: Manifest, row: LabelRow, *, batches: Sequence[str] = ()) -> Answer:
    """What a fine-tuned model says of the video, span, question and choices of a row.

    Raises InputError for a video that has no tokens of the model's kind, and for a span outside of it.
    """
    task = get_task(tuned.facts["task"])
    network, settings = load_tuned(store, tuned)
    tokenizer = load_tokenizer(store, tuned)
    sample = _sample(store, tuned.source_spec("tokens"), row, batches)
    example = see(
        sample, row, Sight.of(network, settings), task=task,
        encode=lambda text: tuple(tokenizer.encode(text, add_special_tokens=False).ids),
    )  # fmt: skip
    if example is None:
        raise InputError(f"{row.video} has no clip from {row.start_seconds} to {row.end_seconds} s; give another span")
    (answer,) = task.answers(network.predictions([example]), settings["facts"])
    return answer


def _sample(store: Store, spec: str, row: LabelRow, batches: Sequence[str]) -> dict[str, Any]:
    """The tokens of a video that is named by id, URI or file name."""
    found: dict[str, dict[str, Any]] = {}
    for _, manifest in load_manifests(store, "tokens", spec, batches or batches_of(store, "tokens", spec)):
        for sample in read_samples(store, manifest.outputs if manifest else ()):
            if row.video in (sample["video_id"], sample["uri"]) or row.video in sample["uri"].rsplit("/", 1)[-1]:
                found[sample["video_id"]] = sample
    if not found:
        raise InputError(
            f"no video is called {row.video!r} among the tokens of {spec}; name it by id, URI or file name"
        )
    ((video_id, _),), _ = match_videos([row], {i: sample["uri"] for i, sample in found.items()}, "of the command")
    return found[video_id]
