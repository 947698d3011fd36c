"""How a player turns and mirrors the stored picture before it shows it: FFmpeg's display matrix."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from numpy.typing import NDArray

__all__ = ["Orientation", "OrientationMeter", "orientation_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Orientation:
    """Mirrored first, turned afterwards; the default leaves the picture as it is stored."""

    mirrored: bool = False
    """Left and right change places."""
    turns: int = 0
    """Counterclockwise quarter turns, 0 to 3."""

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A view of the picture as it is shown; shape [H, W, ...] becomes [W, H, ...] with an odd number of turns."""
        return np.rot90(image[:, ::-1] if self.mirrored else image, self.turns)


def orientation_of(frame: VideoFrame) -> Orientation:
    """Of a decoded frame. An angle between quarter turns is rounded to the nearest.

    The matrix (a, b, u, c, d, v, x, y, w) sends the pixel (p, q), with q counted downwards, to (a p + c q, b p + d q);
    a negative determinant mirrors, of which `frame.rotation` does not tell.
    """
    matrix: Any = frame.side_data.get(Type.DISPLAYMATRIX)  # type: ignore[call-overload]  # which PyAV's stub forgets
    if matrix is None:
        return Orientation()
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix))
    across, down = math.hypot(a, c), math.hypot(b, d)
    if not across or not down:
        return Orientation()
    mirrored = a * d < b * c
    sign = -1 if mirrored else 1
    clockwise = math.atan2(sign * b / down, sign * a / across)
    return Orientation(mirrored=mirrored, turns=-round(clockwise * 2 / math.pi) % 4)


class OrientationMeter:
    """The orientation of each frame of a video, looked up again when its angle changes.

    PyAV's side data and their frame hold each other, and memory that only the garbage collector frees slows decoding by
    a third. Whether a picture is mirrored does not change within a stream that keeps its angle.
    """

    def __init__(self) -> None:
        self._known: tuple[int, Orientation] | None = None

    def __call__(self, frame: VideoFrame) -> Orientation:
        if self._known is None or self._known[0] != frame.rotation:
            self._known = (frame.rotation, orientation_of(frame))
        return self._known[1]
