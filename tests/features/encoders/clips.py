"""Clips of random pixels in the shape that an encoder asks for."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from videobert.video.request import ClipFrames, ClipRequest

__all__ = ["random_clips"]


def random_clips(request: ClipRequest, count: int) -> list[ClipFrames]:
    """Smooth enough to have flow; each from its own seed."""
    clips = []
    for index in range(count):
        rng = np.random.default_rng(index)
        width, height = (
            request.scaled(Fraction(16), Fraction(9)) if request.max_patches else (request.size, request.size)
        )
        shape = (len(request.frame_ticks), height, width, 3)
        gray = None
        if request.gray_size is not None:
            still = rng.integers(0, 256, (request.gray_size, request.gray_size)).astype(np.uint8)
            gray = np.stack([np.roll(still, tick // 3, axis=index % 2) for tick in range(30)])
        clips.append(ClipFrames(index=index, rgb=rng.integers(0, 256, shape, dtype=np.uint8), gray=gray))
    return clips
