"""Thresholds by wanted precision, from what people said of flags. N labelled segments."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Threshold", "threshold_for", "wilson"]

_Z = 1.96
"""Of an interval of 95 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A least score, and what it gave on the labelled segments; -1 where nobody labelled any."""

    score: float
    precision: float = -1.0
    precision_low: float = -1.0
    """Of its interval of 95 % (Wilson, 1927) ..."""
    precision_high: float = -1.0
    recall: float = -1.0
    """Share of the labelled segments that are right and reach the score."""


def threshold_for(score_N: NDArray[np.float64], right_N: NDArray[np.bool_], *, precision: float) -> Threshold | None:
    """The lowest score from which on at least that share is right; None where no score reaches it."""
    order = np.argsort(-score_N, kind="stable")
    score_N, right_N = score_N[order], right_N[order]
    hits_N = np.cumsum(right_N)
    share_N = hits_N / np.arange(1, len(score_N) + 1)
    # Equal scores are flagged together.
    last_N = np.append(score_N[1:] != score_N[:-1], True)[: len(score_N)]
    found = np.flatnonzero(last_N & (share_N >= precision))
    if not len(found):
        return None
    place = int(found[-1])
    low, high = wilson(int(hits_N[place]), place + 1)
    return Threshold(
        score=float(score_N[place]), precision=float(share_N[place]), precision_low=low, precision_high=high,
        recall=float(hits_N[place] / hits_N[-1]),
    )  # fmt: skip


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The interval of 95 % for a share of which `hits` of `count` were seen."""
    share, square = hits / count, _Z**2 / count
    middle = (share + square / 2) / (1 + square)
    half = _Z / (1 + square) * math.sqrt(share * (1 - share) / count + square / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)
