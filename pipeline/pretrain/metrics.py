"""Rank metrics in which equal scores neither help nor harm by luck: no I/O, no model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError

__all__ = ["median_rank", "recall_at_k", "retrieval_ranks", "top_k", "top_k_accuracy"]


def top_k(scores_BC: NDArray[np.floating], *, k: int) -> NDArray[np.int64]:
    """Columns of the k highest scores, best first, [B, min(k, C)]; the lower column comes first among equals."""
    return np.argsort(-scores_BC, axis=1, kind="stable")[:, :k].astype(np.int64)


def top_k_accuracy(scores_BC: NDArray[np.floating], labels: Sequence[Sequence[int]], *, k: int) -> float:
    """Share of rows with any of their labels (columns) among the k best; rows without labels raise InputError.

    A label among equals that straddle place k counts by the chance that a random order puts one of them within.
    """
    if len(labels) != len(scores_BC) or any(len(row) == 0 for row in labels):
        raise InputError(f"{len(scores_BC)} rows of scores need as many non-empty label sets, got {len(labels)}")
    return float(np.mean([_hit(scores_C, set(row), k) for scores_C, row in zip(scores_BC, labels, strict=True)]))


def _hit(scores_C: NDArray[np.floating], labels: set[int], k: int) -> float:
    best = max(scores_C[label] for label in labels)
    above = int((scores_C > best).sum())
    tied = int((scores_C == best).sum())
    wanted = sum(scores_C[label] == best for label in labels)
    places = min(max(0, k - above), tied)
    miss = 1.0
    for drawn in range(places):
        miss *= max(0, tied - int(wanted) - drawn) / (tied - drawn)
    return 1.0 - miss


def retrieval_ranks(similarity_QC: NDArray[np.floating], targets: Sequence[int] | None = None) -> NDArray[np.float64]:
    """Rank of each query's target, 1 is best, [Q]; equal scores share the mean of their ranks.

    The target of query i is column i unless `targets` says otherwise. A constant model gets the middle rank.
    """
    columns = np.arange(len(similarity_QC)) if targets is None else np.asarray(targets)
    if len(columns) != len(similarity_QC) or (len(columns) and int(columns.max()) >= similarity_QC.shape[1]):
        raise InputError(f"targets do not fit a similarity matrix of shape {similarity_QC.shape}: one column a query")
    own_Q1 = similarity_QC[np.arange(len(columns)), columns][:, None]
    above_Q = (similarity_QC > own_Q1).sum(axis=1)
    equal_Q = (similarity_QC == own_Q1).sum(axis=1)
    return np.asarray(above_Q + (equal_Q + 1) / 2, dtype=np.float64)


def recall_at_k(ranks_Q: NDArray[np.floating], *, k: int) -> float:
    """Share of queries whose target ranks within k."""
    return float((ranks_Q <= k).mean())


def median_rank(ranks_Q: NDArray[np.floating]) -> float:
    """Median rank of the targets."""
    return float(np.median(ranks_Q))
