"""How large a frame is scaled for an encoder, and what is cut out of it. Pure arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = ["by_shorter_side", "in_patches", "middle_square"]

_WIDEST = 8
"""Longer frames are squeezed to 8 : 1 first. Cinema ends at 2.8 : 1, and a hostile file of 16,384 x 2 pixels would
become a picture of gigabytes."""


def by_shorter_side(width: Fraction, height: Fraction, side: int) -> tuple[int, int]:
    """Width and height with the shape of the frame, the shorter of them `side` pixels, the longer rounded down."""
    longer = int(side * min(max(width, height) / min(width, height), Fraction(_WIDEST)))
    return (longer, side) if width >= height else (side, longer)


def in_patches(width: Fraction, height: Fraction, *, patch: int, most: int) -> tuple[int, int]:
    """Width and height in whole square patches of `patch` pixels, at most `most` of them, nearly the frame's shape.

    As SigLIP 2 (arXiv 2502.14786, section 2.4.2) scales: by the largest factor at which the patches that the frame
    touches do not exceed the budget. That factor fills a row or a column exactly, so those are all there is to try.
    """
    fills = {Fraction(count) / side for side in (width, height) for count in range(1, most + 1)}
    grids = [(factor, -(-factor * width // 1), -(-factor * height // 1)) for factor in fills]
    _, columns, rows = max(grid for grid in grids if grid[1] * grid[2] <= most)
    return int(columns) * patch, int(rows) * patch


def middle_square(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The middle `side` x `side` pixels of [H, W, ...]; an odd margin leaves the larger half below and on the right."""
    top, left = ((length - side) // 2 for length in image.shape[:2])
    return image[top : top + side, left : left + side]
