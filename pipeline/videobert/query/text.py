"""The found rows of a question in words, in the order of the alignment head."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from videobert.errors import InputError
from videobert.query.model import OpenModel
from videobert.query.search import Hit
from videobert.tokens.core import from_json

__all__ = ["rerank_hits"]


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
