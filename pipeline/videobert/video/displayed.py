"""The frame on screen, as the small squares that an encoder sees of it."""

from __future__ import annotations

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from videobert.video.decode import quarter_turns

__all__ = ["DisplayedFrame"]

_SCALING = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


class DisplayedFrame:
    """The frame on screen; scaled on first use and at most once for each need, however many ticks show it."""

    def __init__(self, frame: VideoFrame, scalers: tuple[VideoReformatter, VideoReformatter]) -> None:
        self._frame = frame
        self._scalers = scalers
        self._rgb: NDArray[np.uint8] | None = None
        self._gray: NDArray[np.uint8] | None = None

    def rgb(self, size: int) -> NDArray[np.uint8]:
        if self._rgb is None:
            self._rgb = self._scale(self._scalers[0], size, "rgb24")
        return self._rgb

    def gray(self, size: int) -> NDArray[np.uint8]:
        if self._gray is None:
            self._gray = self._scale(self._scalers[1], size, "gray")
        return self._gray

    def _scale(self, scaler: VideoReformatter, size: int, pixel_format: str) -> NDArray[np.uint8]:
        small = scaler.reformat(
            self._frame, width=size, height=size, format=pixel_format, interpolation=_SCALING, threads=1
        )
        plane = small.planes[0]
        channels = 3 if pixel_format == "rgb24" else 1
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(size, plane.line_size)[:, : size * channels]
        image = rows.reshape(size, size, channels) if channels > 1 else rows
        # A square may be turned after scaling at a fraction of the cost.
        return np.rot90(image, quarter_turns(self._frame))
