"""What the token stage hands to pretraining: one video as visual tokens and captioned segments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videobert.tokens.footage import Footage, take

__all__ = ["Segment", "TokenizedVideo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A span of one video: a sentence and the clips it spans, or 16 clips without text (paper, section 3.2)."""

    start_seconds: float
    end_seconds: float
    first_clip: int
    """First visual token of the segment; an index into `TokenizedVideo.visual`."""
    last_clip: int
    """One past the last visual token."""
    text: str = ""
    """The sentence as spoken; empty in the video-only regime."""
    text_ids: tuple[int, ...] = ()
    """WordPiece ids of `text` without special tokens."""
    said_at: float | None = None
    """When its pictures are seen, in clips from the beginning of the video: 3.4 lies within clip 3; None: not kept.
    The middle of the sentence where the codebook found no better moment."""

    def __post_init__(self) -> None:
        if not 0 <= self.first_clip < self.last_clip:
            raise ValueError(f"a segment needs at least one clip, got [{self.first_clip}, {self.last_clip})")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizedVideo:
    """All tokens of one video, in time order."""

    video_id: str
    """sha256 of the video's bytes."""
    visual: NDArray[np.int32]
    """Leaf of every 1.5 s clip, shape [N], values 0 .. leaves-1."""
    segments: tuple[Segment, ...]
    residuals: NDArray[np.float16] | None = None
    """What quantising dropped of every clip, in the codebook's components, shape [N, K]; None without components."""

    def __post_init__(self) -> None:
        if self.residuals is not None and self.residuals.shape[:1] != self.visual.shape:
            raise ValueError(f"residuals {self.residuals.shape} do not belong to {len(self.visual)} clips")
        if self.visual.ndim != 1 or self.visual.dtype != np.int32:
            raise ValueError(f"visual tokens are int32 [N], got {self.visual.dtype} {self.visual.shape}")
        if any(s.last_clip > len(self.visual) for s in self.segments):
            raise ValueError(f"a segment of {self.video_id} reaches beyond its {len(self.visual)} clips")

    def footage(self, first: int, last: int, *, around: int = 0) -> Footage:
        """Clips first .. last-1 as a model reads them, with up to `around` clips on either side."""
        return take(self.visual, self.residuals, np.arange(first, last), around=around)
