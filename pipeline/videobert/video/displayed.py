"""The frame on screen, as the small pictures that an encoder sees of it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from videobert.video.orientation import Orientation

__all__ = ["DisplayedFrame"]

_SCALING = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


class DisplayedFrame:
    """The frame on screen; scaled on first use and at most once for each need, however many ticks show it."""

    def __init__(
        self,
        frame: VideoFrame,
        scalers: tuple[VideoReformatter, VideoReformatter],
        *,
        pixel_aspect: Fraction = Fraction(1),
        orientation: Orientation = Orientation(),  # noqa: B008 - frozen
    ) -> None:
        self._frame, self._scalers, self._pixel_aspect = frame, scalers, pixel_aspect
        self._orientation = orientation
        self._rgb: NDArray[np.uint8] | None = None
        self._rgb_size = (0, 0)
        self._gray: NDArray[np.uint8] | None = None

    @property
    def shape(self) -> tuple[Fraction, Fraction]:
        """Width and height as they are shown, in square pixels."""
        across, down = self._frame.width * self._pixel_aspect, Fraction(self._frame.height)
        return (down, across) if self._lies_on_its_side else (across, down)

    @property
    def _lies_on_its_side(self) -> bool:
        return self._orientation.turns % 2 == 1

    def rgb(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Scaled to this width and height, shape [H, W, 3]."""
        if self._rgb is None or self._rgb_size != size:
            self._rgb, self._rgb_size = self._scale(self._scalers[0], size, "rgb24"), size
        return self._rgb

    def gray(self, size: int) -> NDArray[np.uint8]:
        """Luma squeezed to a square, shape [G, G]."""
        if self._gray is None:
            self._gray = self._scale(self._scalers[1], (size, size), "gray")
        return self._gray

    def _scale(self, scaler: VideoReformatter, size: tuple[int, int], pixel_format: str) -> NDArray[np.uint8]:
        width, height = size[::-1] if self._lies_on_its_side else size
        small = scaler.reformat(
            self._frame, width=width, height=height, format=pixel_format, interpolation=_SCALING, threads=1
        )
        plane = small.planes[0]
        channels = 3 if pixel_format == "rgb24" else 1
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(height, plane.line_size)[:, : width * channels]
        image = rows.reshape(height, width, channels) if channels > 1 else rows
        # A small picture is turned at a fraction of the cost.
        return self._orientation.apply(image)
