"""One call of a model's method for pixels: frames of clips in, one vector per clip out.

Shapes: B clips, F frames, H x W their size, P side of a patch, N patches a frame, D length of a vector.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videobert.features.encoders.pixel_method import PixelMethod, first_value
from videobert.features.encoders.pooling import pool
from videobert.features.encoders.preprocessing import Preprocessing
from videobert.video.geometry import middle_square
from videobert.video.request import ClipFrames

__all__ = ["PixelCall", "patches_of"]

_LEAVES_OUT = {"skip_predictor": True, "return_dict": True}
"""Arguments that spare work (V-JEPA 2's predictor) or name the outputs, given to methods that take them."""


class PixelCall:
    """Scales pixels as the model's processor does, calls the method and pools; constants stay on the device."""

    def __init__(self, method: PixelMethod, preprocessing: Preprocessing, device: torch.device) -> None:
        self._method, self._preprocessing = method, preprocessing
        self.use_pooler = True
        """Off where the pooler's weights were drawn at random."""
        self.how = ""
        """How the last vectors were pooled."""
        mean, std = (torch.tensor(v, dtype=torch.float64) for v in (preprocessing.mean, preprocessing.std))
        self._mean, self._std = (mean + preprocessing.offset).float().to(device), std.float().to(device)
        self._arguments = method.arguments_among(_LEAVES_OUT)
        # Models of masked pictures (MAE) hide three quarters of them, drawn anew at each call.
        self._hides = first_value(method.owner, "mask_ratio") is not None
        if self._hides:
            method.owner.config.mask_ratio = 0.0

    def arrays(self, clip: ClipFrames) -> tuple[NDArray[Any], ...]:
        """What a clip gives to a batch, of one shape whatever the clip's."""
        prep = self._preprocessing
        if self._method.takes == "patches":
            return patches_of(clip.rgb, patch=prep.size, most=prep.max_patches or 0)
        if prep.squeezed_side is not None:
            return (np.stack([middle_square(frame, prep.size) for frame in clip.rgb]),)
        return (clip.rgb,)

    def __call__(self, pixels: Tensor, *masks: Tensor) -> Tensor:
        """uint8 [B, F, H, W, 3], or patches [B, F, N, P * P * 3] with their mask and grid, to [B, D]."""
        clips, frames = pixels.shape[:2]
        if masks:
            output = self._of_patches(pixels.flatten(0, 1), *(mask.flatten(0, 1) for mask in masks))
        else:
            scaled = self._normalised(pixels).permute(0, 1, 4, 2, 3)
            scaled = scaled.flip(2) if self._preprocessing.is_bgr else scaled
            output = self._ask(scaled if self._method.takes == "clips" else scaled.flatten(0, 1))
        pooled = pool(output, self._method.owner, use_pooler=self.use_pooler)
        self.how = pooled.how
        expected = clips if self._method.takes == "clips" else clips * frames
        if pooled.vectors_ND.ndim != 2 or len(pooled.vectors_ND) != expected:
            raise ValueError(f"{tuple(pooled.vectors_ND.shape)} came back for {expected} {self._method.takes}")
        if self._method.takes == "clips":
            return pooled.vectors_ND
        return pooled.vectors_ND.reshape(clips, frames, -1).mean(1)

    def _normalised(self, pixels: Tensor) -> Tensor:
        """Levels of red, green and blue on the last axis, as the processor scales them."""
        return (pixels.float() / self._preprocessing.levels - self._mean) / self._std

    def _of_patches(self, patches: Tensor, mask: Tensor, grid: Tensor) -> Any:
        scaled = self._normalised(patches.reshape(*patches.shape[:2], -1, 3)).flatten(2) * mask[..., None]
        return self._ask(scaled, pixel_attention_mask=mask, spatial_shapes=grid)

    def _ask(self, pixels: Tensor, **others: Tensor) -> Any:
        if not self._hides:
            return self._method.call(**{self._method.pixels: pixels}, **others, **self._arguments)
        with torch.random.fork_rng():  # nothing is hidden, but the order of the patches is drawn all the same
            torch.manual_seed(0)
            return self._method.call(**{self._method.pixels: pixels}, **others, **self._arguments)


def patches_of(rgb_FHW3: NDArray[np.uint8], *, patch: int, most: int) -> tuple[NDArray[Any], ...]:
    """Patches [F, N, P * P * 3] row by row, which of them are there [F, N], and rows and columns [F, 2].

    N is `most` for every clip: what a frame does not fill is zero, and no batch depends on the shapes in it.
    """
    frames, rows, columns = len(rgb_FHW3), rgb_FHW3.shape[1] // patch, rgb_FHW3.shape[2] // patch
    grid = rgb_FHW3[:, : rows * patch, : columns * patch].reshape(frames, rows, patch, columns, patch, 3)
    patches = np.zeros((frames, most, patch * patch * 3), np.uint8)
    patches[:, : rows * columns] = grid.swapaxes(2, 3).reshape(frames, rows * columns, -1)
    mask = np.zeros((frames, most), np.int64)
    mask[:, : rows * columns] = 1
    return patches, mask, np.tile(np.array([rows, columns]), (frames, 1))
