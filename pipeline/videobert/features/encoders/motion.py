"""The motion of a clip as a small picture: where things move sideways, up and down, and where they end up displaced.

Flow by Lucas and Kanade (1981), on coarse windows. On the procedural kitchen (278 clips, 12 motions of 24 objects,
nearest neighbour from another video, then NMI of 24 clusters with the motion) the packaged network scored on
temporal-difference pictures .63 / .39, on flow at 56 pixels .75 / .57, on these .83 / .62; on frames alone .11 / .02.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["GRAY_SIZE", "MOTION_SIZE", "motion_picture"]

GRAY_SIZE = 56
MOTION_SIZE = GRAY_SIZE // 2 - 1
_NOISE = np.float32(10.0)
"""Squared gray levels a pixel that sensor noise may have: keeps the flow of flat areas at zero."""
_STILL = np.float32(0.02)
"""Pixels a tick below which a place does not count when the motion is centred."""
_NET_GAIN = np.float32(3.0)

Floats = NDArray[np.float32]


def motion_picture(gray_TGG: NDArray[np.uint8]) -> Floats:
    """[T, 56, 56] to [27, 27, 3]: mean |sideways|, mean |vertical|, 3 x |mean| of the flow, in pixels a tick.

    Shifted so that the centre of motion is the centre of the picture: what counts is its shape, not its place.
    """
    sideways, vertical = _flow(gray_TGG)
    net = np.hypot(sideways.mean(0), vertical.mean(0))
    return _centred(np.stack([np.abs(sideways).mean(0), np.abs(vertical).mean(0), _NET_GAIN * net], axis=-1))


def _flow(gray_TGG: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """Least-squares flow between successive ticks over windows of 6 x 6 pixels, each [T - 1, 27, 27]."""
    gray = gray_TGG.astype(np.float32)
    change = gray[1:, 1:-1, 1:-1] - gray[:-1, 1:-1, 1:-1]
    middle = (gray[1:] + gray[:-1]) * np.float32(0.25)
    x = middle[:, 1:-1, 2:] - middle[:, 1:-1, :-2]
    y = middle[:, 2:, 1:-1] - middle[:, :-2, 1:-1]
    xx, yy, xy = _windows(x * x) + _NOISE, _windows(y * y) + _NOISE, _windows(x * y)
    xt, yt = _windows(x * change), _windows(y * change)
    determinant = xx * yy - xy * xy
    return (xy * yt - yy * xt) / determinant, (xy * xt - xx * yt) / determinant


def _windows(values: Floats) -> Floats:
    """Means over overlapping windows: cells of 2 x 2, then 3 x 3 cells. Two steps cost a fifth of running sums."""
    cells = values[:, 0::2] + values[:, 1::2]
    cells = cells[:, :, 0::2] + cells[:, :, 1::2]
    padded = np.pad(cells, ((0, 0), (1, 1), (1, 1)))
    rows = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    means: Floats = (rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]) * np.float32(1 / 36)
    return means


def _centred(picture_GG3: Floats) -> Floats:
    """Shift by whole cells so that the weighted centre comes to the middle; what leaves the picture is cut off."""
    weight = np.maximum(picture_GG3.sum(-1) - 3 * _STILL, 0)
    total = weight.sum()
    if total == 0:
        return picture_GG3
    side = len(weight)
    places = np.arange(side, dtype=np.float32)
    down = round(float((side - 1) / 2 - (weight.sum(1) * places).sum() / total))
    right = round(float((side - 1) / 2 - (weight.sum(0) * places).sum() / total))
    shifted = np.zeros_like(picture_GG3)
    target = np.s_[max(0, down) : side + min(0, down), max(0, right) : side + min(0, right)]
    source = np.s_[max(0, -down) : side - max(0, down), max(0, -right) : side - max(0, right)]
    shifted[target] = picture_GG3[source]
    return shifted
