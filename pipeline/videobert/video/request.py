"""What an encoder asks to see of every clip, and what it is given.

Shapes: F frames of a clip for the encoder, T ticks a clip, H x W the encoder's picture, G side of the gray square.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from videobert.video.geometry import by_shorter_side, in_patches, middle_square

__all__ = ["ClipFrames", "ClipRequest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRequest:
    """What an encoder wants to see of every clip."""

    frame_ticks: tuple[int, ...]
    """Ticks whose frames the encoder sees in colour."""
    size: int
    """Side of the square that the whole frame is squeezed to, unless a field below says otherwise."""
    gray_size: int | None = None
    """Side of a gray square for every tick of the clip, for motion; none when not needed."""
    shorter_side: int | None = None
    """The frame keeps its shape: its shorter side gets so many pixels, and the middle square of `size` is cut out."""
    max_patches: int | None = None
    """The frame keeps its shape and all of its picture: at most so many patches, each a square of `size`."""

    def __post_init__(self) -> None:
        if self.shorter_side is not None and (self.shorter_side < self.size or self.max_patches is not None):
            raise ValueError(f"a square is cut out of a side that is no shorter, and not of patches, got {self}")

    def scaled(self, width: Fraction, height: Fraction) -> tuple[int, int]:
        """Width and height that a frame of this shape is scaled to, before a square is cut out."""
        if self.shorter_side is not None:
            return by_shorter_side(width, height, self.shorter_side)
        if self.max_patches is not None:
            return in_patches(width, height, patch=self.size, most=self.max_patches)
        return self.size, self.size

    def cut(self, scaled_HW3: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """What the encoder sees of a scaled frame."""
        return scaled_HW3 if self.shorter_side is None else middle_square(scaled_HW3, self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipFrames:
    """One clip, ready for an encoder."""

    index: int
    """The clip starts at index x stride (see `DecodeOptions`)."""
    rgb: NDArray[np.uint8]
    """Colour frames, shape [F, H, W, 3]."""
    gray: NDArray[np.uint8] | None
    """Luma of every tick, shape [T, G, G]."""

    def __post_init__(self) -> None:
        if self.rgb.dtype != np.uint8 or self.rgb.ndim != 4 or self.rgb.shape[3] != 3:
            raise ValueError(f"frames are uint8 [F, H, W, 3], got {self.rgb.dtype} {self.rgb.shape}")
        if self.gray is not None and (self.gray.dtype != np.uint8 or self.gray.ndim != 3):
            raise ValueError(f"gray frames are uint8 [T, G, G], got {self.gray.dtype} {self.gray.shape}")
