"""Pure arithmetic of recommending: pooled histories, popularity, diversity.

N videos, E events, C candidates, R width of the retrieval space.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from videobert.embed.core import unit_mean

__all__ = ["decayed", "diverse", "pooled", "popularity"]

_DIGITS = 6
"""Of a gain: what is equal up to the rounding of float32 stays in the order of video ids."""


def decayed(days_E: NDArray[np.float64], half_life_days: float) -> NDArray[np.float64]:
    """Weights of events of that age: 1 for a new one, half of it after every half-life."""
    return np.asarray(0.5 ** (days_E / half_life_days))


def pooled(vectors_ER: NDArray[np.float32], weight_E: NDArray[np.float64]) -> NDArray[np.float32]:
    """What a person likes: the unit vector of the weighted mean of what they watched, float32 [R]."""
    # The newest event weighs 1, so that a history that ended long ago does not vanish.
    relative_E = weight_E / weight_E.max()
    return unit_mean((vectors_ER * relative_E[:, None]).astype(np.float32))


def popularity(video_E: NDArray[np.int64], weight_E: NDArray[np.float64], videos: int) -> NDArray[np.float32]:
    """Share of all weighted events that are of a video, float32 [N]."""
    total_N = np.bincount(video_E, weights=weight_E, minlength=videos)
    share_N: NDArray[np.float32] = (total_N / max(total_N.sum(), 1e-12)).astype(np.float32)
    return share_N


def diverse(
    score_C: NDArray[np.float32], vectors_CR: NDArray[np.float32], *, top: int, diversity: float
) -> NDArray[np.int64]:
    """Places of up to `top` candidates by maximal marginal relevance (Carbonell and Goldstein, 1998).

    Each is the one with the highest (1 - diversity) x score - diversity x its cosine to the nearest already taken;
    of equals the first.
    """
    taken: list[int] = []
    nearest_C = np.zeros(len(score_C), np.float32)
    left_C = np.ones(len(score_C), bool)
    for _ in range(min(top, len(score_C))):
        gain_C = np.round((1 - diversity) * score_C - diversity * nearest_C, _DIGITS)
        best = int(np.argmax(np.where(left_C, gain_C, -np.inf)))
        cosine_C = np.vecdot(vectors_CR, vectors_CR[best])
        nearest_C = np.maximum(nearest_C, cosine_C) if taken else cosine_C
        left_C[best] = False
        taken.append(best)
    return np.array(taken, np.int64)
