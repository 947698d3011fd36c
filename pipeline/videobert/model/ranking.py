"""How well scores rank: average precision. B examples, C classes or questions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["average_precisions"]


def average_precisions(scores_BC: NDArray[np.floating], own_BC: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Average precision of every class that occurs; examples of equal score count together, as one threshold."""
    found = []
    for scores_B, own_B in zip(scores_BC.T, own_BC.T, strict=True):
        if not own_B.any():
            continue
        order_B = np.argsort(-scores_B, kind="stable")
        right_B = np.cumsum(own_B[order_B])
        ends = np.append(np.flatnonzero(np.diff(scores_B[order_B])), len(scores_B) - 1)
        recalled = np.diff(right_B[ends], prepend=0) / right_B[-1]
        found.append(float((recalled * right_B[ends] / (ends + 1)).sum()))
    return np.array(found)
