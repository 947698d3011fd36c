"""Rank metrics in which equal scores neither help nor harm by luck: no I/O, no model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from videobert.errors import InputError

__all__ = ["median_rank", "recall_at_k", "retrieval_ranks", "top_k", "top_k_accuracy", "top_k_hits"]


def top_k(scores_BC: NDArray[np.floating], *, k: int) -> NDArray[np.int64]:
    """Columns of the k highest scores, best first, [B, min(k, C)]; the lower column comes first among equals."""
    return np.argsort(-scores_BC, axis=1, kind="stable")[:, :k].astype(np.int64)


def top_k_accuracy(scores_BC: NDArray[np.floating], labels: Iterable[Iterable[int]], *, k: int) -> float:
    """Share of rows with any of their labels among the k best; see `top_k_hits`."""
    return float(np.mean(top_k_hits(scores_BC, labels, k=k)))


def top_k_hits(scores_BC: NDArray[np.floating], labels: Iterable[Iterable[int]], *, k: int) -> NDArray[np.float64]:
    """1 where any label (column) of a row is among its k best, [B]; rows without labels raise InputError.

    A label among equals that straddle place k counts by the chance that a random order puts one of them within.
    """
    rows = [list(row) for row in labels]
    if len(rows) != len(scores_BC) or not all(rows):
        raise InputError(f"{len(scores_BC)} rows of scores need as many non-empty label sets, got {len(rows)}")
    own_BC = np.zeros(scores_BC.shape, dtype=bool)
    for own_C, row in zip(own_BC, rows, strict=True):
        own_C[row] = True
    best_B1 = np.where(own_BC, scores_BC, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    equal_BC = scores_BC == best_B1
    tied_B, wanted_B = equal_BC.sum(axis=1), (equal_BC & own_BC).sum(axis=1)
    places_B = np.clip(k - (scores_BC > best_B1).sum(axis=1), 0, tied_B)
    miss_B = np.ones(len(rows))
    for drawn in range(int(places_B.max(initial=0))):
        chance_B = np.maximum(tied_B - wanted_B - drawn, 0) / np.maximum(tied_B - drawn, 1)
        miss_B[places_B > drawn] *= chance_B[places_B > drawn]
    return 1.0 - miss_B


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
