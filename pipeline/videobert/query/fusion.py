"""Several lists of hits as one: reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from videobert.query.search import Hit

__all__ = ["fused"]

_K = 60
"""Of the paper: how little the first places outdo the next ones."""


def fused(lists: Sequence[Sequence[Hit]], *, top: int, depth: int) -> list[Hit]:
    """The `top` hits by the sum of 1 / (60 + rank) over the first `depth` of every list, which becomes their score.

    Hits of equal score share the first of their ranks, as the order among them says nothing. Of equal sums those
    better in an earlier list come first, then those of lower row id. What lies deeper in the lists follows by place,
    so that the first hits are the same however many are asked for.
    """
    score: dict[str, float] = {}
    first: dict[str, tuple[int, int]] = {}
    hits: dict[str, Hit] = {}
    for number, found in enumerate(lists):
        rank = 0
        for place, hit in enumerate(found[:depth], start=1):
            if place == 1 or hit.score != found[place - 2].score:
                rank = place
            score[hit.row_id] = score.get(hit.row_id, 0.0) + 1 / (_K + rank)
            first.setdefault(hit.row_id, (number, place))
            hits.setdefault(hit.row_id, hit)
    order = sorted(score, key=lambda row_id: (-score[row_id], first[row_id], row_id))
    best = [replace(hits[row_id], score=score[row_id]) for row_id in order]
    deeper = [(place, number) for number, found in enumerate(lists) for place in range(depth, len(found))]
    for place, number in sorted(deeper):
        hit = lists[number][place]
        if hit.row_id not in hits:
            hits[hit.row_id] = hit
            best.append(replace(hit, score=1 / (_K + 1 + place)))
    return best[:top]
