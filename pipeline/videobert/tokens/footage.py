"""Clips of one video as the model reads them: a span, the clips around it, and what quantising left over.

N clips, K components of the codebook's residuals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

__all__ = ["Footage", "take"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Footage:
    """A span of video. Clips outside `first` .. `last` are its surroundings: read, but not spoken about."""

    leaves: NDArray[np.integer]
    """Visual tokens, [N]."""
    first: int
    """First clip of the span itself."""
    last: int
    """One past its last clip."""
    lead: int = 0
    """Clips that are missing in front because the video begins there: positions are as if they were not."""
    residuals: NDArray[np.floating] | None = None
    """What the token dropped of each clip, [N, K]; None where the codebook keeps none."""

    def __len__(self) -> int:
        return len(self.leaves)

    @classmethod
    def plain(cls, leaves: NDArray[np.integer]) -> Footage:
        """Tokens and nothing else."""
        return cls(leaves=leaves, first=0, last=len(leaves))

    def fitted(self, room: int) -> Footage:
        """At most `room` clips: the surroundings go first, then the end of the span."""
        if len(self) <= room:
            return self
        return self.cut(self.first, min(self.last, self.first + room))

    def ending(self, room: int) -> Footage:
        """The last `room` clips up to the end of the span; what comes after it is not to be seen."""
        return replace(self.cut(max(0, self.last - room), self.last), lead=0)

    def cut(self, begin: int, end: int) -> Footage:
        """Clips begin .. end-1."""
        first, last = np.clip((self.first - begin, self.last - begin), 0, end - begin)
        return replace(
            self,
            leaves=self.leaves[begin:end],
            first=int(first),
            last=int(last),
            lead=self.lead + begin,
            residuals=None if self.residuals is None else self.residuals[begin:end],
        )


def take(
    leaves_N: NDArray[np.integer],
    residuals_NK: NDArray[np.floating] | None,
    chosen_M: NDArray[np.int64],
    *,
    around: int = 0,
) -> Footage:
    """The chosen clips of a video, ascending, with up to `around` clips before the first and after the last."""
    before = after = 0
    if around:
        chosen_M = np.unique(chosen_M)  # sentences may share a clip
        begin, end = int(chosen_M[0]), int(chosen_M[-1]) + 1
        before, after = min(around, begin), min(around, len(leaves_N) - end)
        chosen_M = np.concatenate([np.arange(begin - before, begin), chosen_M, np.arange(end, end + after)])
    return Footage(
        leaves=leaves_N[chosen_M],
        first=before,
        last=len(chosen_M) - after,
        lead=around - before,
        residuals=None if residuals_NK is None else residuals_NK[chosen_M],
    )
