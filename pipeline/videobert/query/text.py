"""Searching with words: a sentence as a vector, and the found rows in the order of the alignment head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.query.model import OpenModel
from videobert.query.search import Hit
from videobert.tokens.core import from_json

__all__ = ["encode_query", "rerank_hits"]


def encode_query(opened: OpenModel, text: str) -> NDArray[np.float32]:
    """Unit vector float32 [R] of a sentence by a model's text side. Raises InputError where it has read no text."""
    from videobert.model.scoring import encode_text

    if not opened.has_read_text:
        raise InputError(
            f"no video that {opened.manifest.spec} was trained on has text, so it cannot compare words with pictures; "
            "search with --like ROW_ID, or give captions or --ingest.speech-model and train again"
        )
    vector: NDArray[np.float32] = encode_text(opened.model, [opened.text_ids(text)])[0]
    return vector


def rerank_hits(opened: OpenModel, text: str, hits: Sequence[Hit]) -> list[Hit]:
    """Segments in the order of P(the text belongs to the video) by the alignment head, which becomes their score.

    It reads text and video together, so it tells more than a cosine and costs a forward pass per row: use it on the
    best rows of a search. Equals keep the order in which they come. Raises InputError when the tokens of a row are
    gone.
    """
    from videobert.model.scoring import alignment_logits

    if not hits:
        return []
    wanted = {hit.row_id.rsplit(":", 1)[0] for hit in hits}
    videos = {
        s["video_id"]: from_json(s) for s in opened.samples({hit.batch for hit in hits}) if s["video_id"] in wanted
    }
    if missing := sorted(wanted - set(videos)):
        raise InputError(
            f"the tokens of {missing[0]} and {len(missing) - 1} other videos are gone; run the stage tokens of their "
            f"batches again with --model {opened.manifest.spec}, or search without --rerank"
        )
    spans = []
    for hit in hits:
        video_id, segment = hit.row_id.rsplit(":", 1)
        found = videos[video_id].segments[int(segment)]
        around = opened.model.reading.context_clips
        spans.append(videos[video_id].footage(found.first_clip, found.last_clip, around=around))
    logits_N = alignment_logits(opened.model, [opened.text_ids(text)] * len(hits), spans).astype(np.float64)
    scored = [replace(hit, score=float(1 / (1 + np.exp(-z)))) for hit, z in zip(hits, logits_N, strict=True)]
    return sorted(scored, key=lambda hit: -hit.score)
