"""Decoded pictures of answers."""

from __future__ import annotations

import io

import av
import numpy as np
from numpy.typing import NDArray

__all__ = ["Frames", "difference", "frames", "shown_at"]

Frames = list[tuple[float, NDArray[np.uint8]]]


def frames(data: bytes) -> Frames:
    """(seconds, uint8 [H, W, 3]) of every frame of a video or picture."""
    with av.open(io.BytesIO(data), "r") as container:
        return [(float(f.time or 0), f.to_ndarray(format="rgb24").astype(np.uint8)) for f in container.decode(video=0)]


def shown_at(source: Frames, seconds: float) -> NDArray[np.uint8]:
    """What a player shows then."""
    return [image for at, image in source if at <= seconds + 1e-3][-1]


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Mean levels by which two pictures differ."""
    return float(np.abs(one.astype(int) - other.astype(int)).mean())
