"""What is said over some clips of a video: asked by training about every span of every batch, so all at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from videobert.tokens.records import Segment

__all__ = ["Said"]


class Said:
    """The sentences of a video and when their pictures are seen; N sentences."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        texts = [segment for segment in segments if segment.text_ids]
        self._ids = [segment.text_ids for segment in texts]
        self._first_N = np.array([segment.first_clip for segment in texts], dtype=np.int64)
        self._last_N = np.array([segment.last_clip for segment in texts], dtype=np.int64)
        # A clip's middle is half a clip after its beginning; no number where the moment is not kept.
        self._at_N = np.array([np.nan if s.said_at is None else s.said_at for s in texts], dtype=np.float64) - 0.5
        self._half_N = np.maximum(1.0, (self._last_N - self._first_N) / 2)

    def near(self, first: int, last: int) -> dict[tuple[int, ...], float]:
        """Word ids of the sentences said over clips first .. last-1, and how much over these: 0 to 1.

        1 when a sentence's middle is that of a clip, falling to 0 over one clip, or half of a longer sentence. Where
        the middle is not kept, 1 for every sentence that shares a clip.
        """
        nearest_N = np.clip(self._at_N, first, last - 1)
        away_N = np.minimum(np.abs(self._at_N - np.floor(nearest_N)), np.abs(self._at_N - np.ceil(nearest_N)))
        shared_N = (self._first_N < last) & (first < self._last_N)
        near_N = np.where(np.isnan(self._at_N), shared_N, 1 - away_N / self._half_N)
        found: dict[tuple[int, ...], float] = {}
        for number in np.flatnonzero(near_N > 0).tolist():
            ids, near = self._ids[number], float(near_N[number])
            found[ids] = max(near, found.get(ids, 0.0))
        return found
