"""The rows of the paper's zero-shot table (section 4.3) for annotated clips: what is done, and to what.

B clips, V words of the text vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from videobert.evaluate.config import EvaluateConfig
from videobert.evaluate.core import span_clips
from videobert.evaluate.metrics import top_k_hits
from videobert.evaluate.youcook import Clip, WordLists, words_of
from videobert.model.network import VideoBert
from videobert.model.scoring import zero_shot
from videobert.pretrain.config import PretrainConfig
from videobert.query.model import OpenModel
from videobert.runtime.held_out import is_held_out
from videobert.tokens.core import from_json
from videobert.tokens.footage import Footage

__all__ = ["ActionTable", "action_table"]

_CHUNK = 256
"""Clips scored at once; a row holds a score for every word of the vocabulary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionTable:
    """Rows of (name, verb top-1, verb top-5, object top-1, object top-5), shares; and what they rest on."""

    rows: tuple[tuple[str, float, float, float, float], ...]
    clips: int
    """Annotated clips that were scored."""
    left_out: Mapping[str, int]
    """Annotated clips that were not, by reason."""
    not_in_vocabulary: tuple[str, ...]
    """Words of the lists that are more than one word piece: never answered, and counted as wrong."""


def action_table(
    opened: OpenModel, clips: Sequence[Clip], lists: WordLists, *, batches: Sequence[str] = ()
) -> ActionTable:
    """Rank the whole text vocabulary at both masks of the prompt; any verb (noun) of the caption in the lists is right.

    Clips of videos that the model was trained on are left out. The language prior is the prompt without a video. The
    prompt is the paper's, letter by letter.
    """
    vocabulary = opened.tokenizer.get_vocab(with_added_tokens=True)
    videos, left_out = (
        _videos(opened, batches),
        dict.fromkeys(("video missing", "trained on", "name not unique", "too short"), 0),
    )
    captions: list[list[str]] = []
    spans: list[Footage] = []
    for clip in clips:
        found = videos.get(clip.video)
        reason = "video missing" if found is None else found["reason"]
        first, last = (0, 0) if found is None else _span(found, clip)
        if reason or last <= first:
            left_out[reason or "too short"] += 1
            continue
        assert found is not None  # else there is a reason
        captions.append(words_of(clip.caption))
        spans.append(from_json(found).footage(first, last, around=opened.model.reading.context_clips))
    answers = [_answers(captions, group, vocabulary) for group in (lists.verbs, lists.nouns)]
    prompt = opened.tokenizer.encode(EvaluateConfig().prompt, add_special_tokens=False).ids
    nothing: list[Footage | None] = [None] * len(spans)
    rows = [
        ("VideoBERT, language prior", *_figures(opened.model, prompt, nothing, answers)),
        ("VideoBERT, cross-modal", *_figures(opened.model, prompt, spans, answers)),
    ]
    if base := _base_model(opened):
        rows.insert(0, ("BERT, language prior", *_figures(base, prompt, nothing, answers)))
    lost = tuple(word for word in (*lists.verbs, *lists.nouns) if word not in vocabulary)
    return ActionTable(rows=tuple(rows), clips=len(spans), left_out=left_out, not_in_vocabulary=lost)


def _videos(opened: OpenModel, batches: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Token samples by the stem of their file, each with the `reason` to leave it out, or an empty one."""
    facts = opened.manifest.facts
    known = {s["video_id"] for s in opened.samples(facts["batches"])}
    found: dict[str, dict[str, Any]] = {}
    for sample in opened.samples(batches):
        trained = sample["video_id"] in known and not is_held_out(sample["video_id"], facts["heldout_fraction"])
        other = found.setdefault(
            PurePosixPath(sample["uri"]).stem, sample | {"reason": "trained on" if trained else ""}
        )
        if other["video_id"] != sample["video_id"]:
            other["reason"] = "name not unique"
    return found


def _span(sample: Mapping[str, Any], clip: Clip) -> tuple[int, int]:
    return span_clips(
        sample["clip_starts"], sample["clip_ends"], start_seconds=clip.start_seconds, end_seconds=clip.end_seconds
    )


def _answers(
    captions: Iterable[Sequence[str]], words: Sequence[str], vocabulary: Mapping[str, int]
) -> list[list[int] | None]:
    """Ids of the right answers of every caption; None where it holds no word of the list, so there is no question."""
    out: list[list[int] | None] = []
    for caption in captions:
        right = sorted(set(caption) & set(words))
        out.append([vocabulary.get(word, -1) for word in right] if right else None)
    return out


def _figures(
    model: VideoBert,
    prompt: Sequence[int],
    spans: Sequence[Footage | None],
    answers: Sequence[list[list[int] | None]],
) -> tuple[float, float, float, float]:
    """Top-1 and top-5 of verbs and of nouns; NaN where no caption asks."""
    words = range(model.vocabulary.text_size)
    hits: dict[tuple[int, int], list[NDArray[np.float64]]] = {(kind, k): [] for kind in (0, 1) for k in (1, 5)}
    for begin in range(0, len(spans), _CHUNK):
        scores = zero_shot(model, prompt, spans[begin : begin + _CHUNK], verb_ids=words, noun_ids=words)
        for kind, scores_BV in enumerate((scores.verbs, scores.nouns)):
            right = answers[kind][begin : begin + _CHUNK]
            asked = [i for i, ids in enumerate(right) if ids is not None]
            # A last column that never wins is for words that are no single word piece.
            padded_BV = np.pad(scores_BV[asked], ((0, 0), (0, 1)), constant_values=-np.inf)
            labels = [ids for ids in right if ids is not None]
            for k in (1, 5):
                hits[kind, k].append(top_k_hits(padded_BV, labels, k=k))
    shares = [float(np.concatenate(found).mean()) if any(map(len, found)) else np.nan for found in hits.values()]
    verb_1, verb_5, noun_1, noun_5 = shares
    return verb_1, verb_5, noun_1, noun_5


def _base_model(opened: OpenModel) -> VideoBert | None:
    """The checkpoint that training began with, whose prior tells what its text alone brought; None from scratch."""
    init_from = str(opened.manifest.config["init_from"])
    if not init_from:
        return None
    return VideoBert.create(replace(PretrainConfig(), init_from=init_from), vocabulary=opened.model.vocabulary).eval()
