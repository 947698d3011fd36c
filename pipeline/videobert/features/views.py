"""Another view of a video's pixels, for training: a part of the picture, mirrored, in other colours.

A view is one draw per video, as another camera would have filmed it: its clips stay comparable to each other, and what
moves moves the same. F frames, H x W pixels, T ticks, G side of the gray square.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from videobert.features.config import FeaturesConfig
from videobert.features.core import ClipSource
from videobert.video.request import ClipFrames

__all__ = ["View", "ViewedClips", "draw_view"]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How the pixels of one video are changed."""

    left: float
    """Where the part begins, as shares of width and height."""
    top: float
    side: float
    """Share of width and of height that is left."""
    mirrored: bool
    gains: tuple[float, float, float]
    """Factor on red, green and blue."""
    contrast: float
    """Factor on the distance from middle gray."""

    def of(self, clip: ClipFrames) -> ClipFrames:
        """The clip in this view, of the same shape."""
        rgb_FHW3 = self._placed(clip.rgb)
        coloured = (rgb_FHW3.astype(np.float32) * np.array(self.gains, np.float32) - 127.5) * self.contrast + 127.5
        gray = None
        if clip.gray is not None:
            gain = float(np.dot(self.gains, (0.299, 0.587, 0.114)))
            light = (self._placed(clip.gray).astype(np.float32) * gain - 127.5) * self.contrast + 127.5
            gray = light.round().clip(0, 255).astype(np.uint8)
        return ClipFrames(index=clip.index, rgb=coloured.round().clip(0, 255).astype(np.uint8), gray=gray)

    def _placed(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The part of every frame, scaled to its whole size; [F, H, W, 3] or [T, G, G]."""
        height, width = frames.shape[1:3]
        box = (self.left * width, self.top * height, (self.left + self.side) * width, (self.top + self.side) * height)
        found = frames
        if self.side < 1.0:
            size = (width, height)
            found = np.stack(
                [np.asarray(Image.fromarray(f).resize(size, Image.Resampling.BILINEAR, box)) for f in frames]
            )
        return np.ascontiguousarray(found[:, :, ::-1]) if self.mirrored else found


class ViewedClips:
    """The clips of a video in a view."""

    def __init__(self, source: ClipSource, view: View) -> None:
        self._source, self._view = source, view

    def __iter__(self) -> Iterator[ClipFrames]:
        return map(self._view.of, self._source)

    @property
    def damaged(self) -> list[tuple[float, float]]:
        return self._source.damaged

    @property
    def held_from(self) -> float | None:
        return self._source.held_from


def draw_view(config: FeaturesConfig, video_id: str) -> View:
    """The view of a video: follows from the configuration and its id alone."""
    key = hashlib.sha256(f"{config.view}/{video_id}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(key[:16], "big"))
    side = 1.0 - config.crop * float(rng.random())
    left, top = ((1.0 - side) * float(share) for share in rng.random(2))
    mirrored = bool(rng.random() < config.flip)
    red, green, blue, contrast = (float(1.0 + config.colour * share) for share in rng.uniform(-1.0, 1.0, size=4))
    return View(left=left, top=top, side=side, mirrored=mirrored, gains=(red, green, blue), contrast=contrast)
