"""Arithmetic whose result does not depend on order, chunks, threads or device.

Sums are taken of vectors snapped to a grid of 2**-24 of the largest magnitude. They are then exact in float64 for up to
2**29 rows, so any order of summation gives the same bits; what cannot be exact is summed in one fixed tree of
elementwise additions, which every device rounds alike.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["at_a_time", "grid_step", "mix", "snap", "squared_norms", "tree_sum", "uniforms"]

_GRID_BITS = 24
_SMALLEST_EXPONENT = -126
_TREE_CHUNK = 1 << 18
"""Elements worked on at a time: 2 MiB of float64 stay in cache."""
_GPU_SHARE = 64
"""Times as much on a GPU: no cache to stay in there, but microseconds for every call."""


def at_a_time(in_cache: int, device: torch.device) -> int:
    """How much to work on at a time where `in_cache` is right for a CPU; no result depends on it."""
    return in_cache if device.type == "cpu" else in_cache * _GPU_SHARE


def grid_step(largest: float) -> float:
    """Grid, a power of two, on which every |x| <= largest is an integer of at most 24 bits."""
    exponent = math.frexp(largest)[1] if largest > 0 else 0
    return math.ldexp(1.0, max(exponent - _GRID_BITS, _SMALLEST_EXPONENT))


def snap(vectors: Tensor, *, step: float) -> Tensor:
    """Nearest grid point of every element, float32; scaling by a power of two loses nothing."""
    return (vectors * (1.0 / step)).round_().mul_(step)


def tree_sum(values: Tensor) -> Tensor:
    """Sum over the last axis in a fixed order: halves are added elementwise until one column is left."""
    while (width := values.shape[-1]) > 1:
        half = width // 2
        folded = values[..., :half] + values[..., half : 2 * half]
        values = torch.cat((folded, values[..., -1:]), dim=-1) if width % 2 else folded
    return values[..., 0]


def squared_norms(vectors: Tensor, *, step: float | None = None) -> Tensor:
    """float64 [N]: |x|**2 of float32 [N, D], snapped if a grid is given, in the fixed order of `tree_sum`."""
    rows = max(1, at_a_time(_TREE_CHUNK, vectors.device) // vectors.shape[1])
    blocks = torch.split(vectors, rows)
    parts = [tree_sum((part if step is None else snap(part, step=step)).double().square_()) for part in blocks]
    return torch.cat(parts) if parts else torch.zeros(0, dtype=torch.float64, device=vectors.device)


def mix(values: NDArray[np.uint64], *keys: int) -> NDArray[np.uint64]:
    """Hash of each value under the keys (splitmix64), uint64; equal inputs give equal hashes everywhere."""
    hashed = values
    for key in (*keys, 0):
        hashed = hashed + np.uint64((key * 0x9E3779B97F4A7C15 + 0x9E3779B97F4A7C15) % (1 << 64))
        hashed = (hashed ^ (hashed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        hashed = (hashed ^ (hashed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        hashed = hashed ^ (hashed >> np.uint64(31))
    return hashed


def uniforms(values: NDArray[np.uint64], *keys: int) -> NDArray[np.float64]:
    """A number in (0, 1) for each value under the keys."""
    return ((mix(values, *keys) >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
