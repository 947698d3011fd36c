"""Pure arithmetic of anomalies: how far a segment is from the reference, and how often the like of it comes there.

N segments of the reference, Q that are asked about, R width, K nearest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["distances", "expected_per_hour", "strangeness"]

_SCORES_AT_ONCE = 1 << 25
"""128 MB of cosines."""


def distances(
    asked_QR: NDArray[np.float32],
    reference_NR: NDArray[np.float32],
    *,
    nearest: int,
    asked_video_Q: NDArray[np.int64],
    video_N: NDArray[np.int64],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """1 - the mean cosine to the `nearest` segments of other videos, [Q], and the place of the very nearest, [Q].

    Videos are numbered alike on both sides: a segment of the reference is not compared with its own video.
    """
    distance_Q = np.empty(len(asked_QR), np.float32)
    place_Q = np.empty(len(asked_QR), np.int64)
    block = max(1, _SCORES_AT_ONCE // max(len(reference_NR), 1))
    for start in range(0, len(asked_QR), block):
        some = slice(start, start + block)
        cosine_QN = asked_QR[some] @ reference_NR.T
        cosine_QN[asked_video_Q[some, None] == video_N] = -1.0
        place_Q[some] = cosine_QN.argmax(axis=1)
        k = min(nearest, cosine_QN.shape[1])
        distance_Q[some] = 1 - np.partition(cosine_QN, -k, axis=1)[:, -k:].mean(axis=1)
    return distance_Q, place_Q


def strangeness(scores_QS: NDArray[np.float64], reference_NS: NDArray[np.float64]) -> NDArray[np.float64]:
    """The smallest over the S scores of the share of the reference that is at least as strange, [Q]; 0 is strangest."""
    shares = []
    for score_Q, score_N in zip(scores_QS.T, reference_NS.T, strict=True):
        shares.append(1 - np.searchsorted(np.sort(score_N), score_Q, side="left") / len(score_N))
    return np.asarray(np.min(shares, axis=0))


def expected_per_hour(
    share_Q: NDArray[np.float64], reference_share_N: NDArray[np.float64], hours: float
) -> NDArray[np.float64]:
    """How many segments at least as strange come per hour of the reference, [Q].

    Counts what stands in the reference: no share is taken for a probability, and several scores need no correction.
    """
    return np.asarray(np.searchsorted(np.sort(reference_share_N), share_Q, side="right") / hours)
