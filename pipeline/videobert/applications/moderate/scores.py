"""How much a segment is of the kind that a rule looks for, and why. N segments."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from videobert.applications.moderate.rules import Rule
from videobert.errors import InputError
from videobert.query.segments import Segments
from videobert.runtime.manifest import batches_of, load_manifests
from videobert.runtime.parquet import read_table
from videobert.runtime.storage import Store

__all__ = ["scores_of"]

Scores = tuple[NDArray[np.float64], list[str]]
"""A score and its evidence of every segment."""


def scores_of(rule: Rule, segments: Segments, store: Store, encode: Callable[[str], NDArray[np.float32]]) -> Scores:
    """By the way in which the rule looks; `encode` makes a vector of a text."""
    if rule.text:
        return _by_text(rule.text, segments, encode)
    if rule.words:
        return _by_words(rule.words, segments)
    return _by_task(rule, segments, store)


def _by_text(texts: Sequence[str], segments: Segments, encode: Callable[[str], NDArray[np.float32]]) -> Scores:
    vectors_TR = np.stack([encode(text) for text in texts])
    cosine_NT = np.stack([np.vecdot(segments.vectors_NR, vector_R) for vector_R in vectors_TR], axis=1)
    best_N = cosine_NT.argmax(axis=1)
    return cosine_NT.max(axis=1).astype(np.float64), [f"looks like {texts[best]!r}" for best in best_N]


def _by_words(words: Sequence[str], segments: Segments) -> Scores:
    wanted = {word: f" {_spaced(word)} " for word in words}
    said = [[word for word, spaced in wanted.items() if spaced in f" {_spaced(row['text'])} "] for row in segments.rows]
    return np.array([len(found) for found in said], np.float64), [f"says {', '.join(map(repr, f))}" for f in said]


def _spaced(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def _by_task(rule: Rule, segments: Segments, store: Store) -> Scores:
    """Predictions of another level or batch score 0."""
    found: dict[str, float] = {}
    wanted = {str(row["batch"]) for row in segments.rows}
    there = [batch for batch in batches_of(store, "predict", rule.task) if batch in wanted]
    for _, manifest in load_manifests(store, "predict", rule.task, there):
        for output in manifest.outputs if manifest else ():
            table = read_table(store, output.path, ["row_id", "labels", "scores"])
            for row in table.filter(pc.is_valid(table["labels"])).to_pylist():
                found[row["row_id"]] = dict(zip(row["labels"], row["scores"], strict=True)).get(rule.label, 0.0)
    if not found:
        raise InputError(
            f"rule {rule.name!r}: {rule.task} holds no predictions for {', '.join(sorted(wanted))}; run "
            "`videobert stage predict` over them, or correct the task"
        )
    score_N = np.array([found.get(row_id, 0.0) for row_id in segments.row_ids])
    return score_N, [f"predicted as {rule.label!r}"] * len(score_N)
