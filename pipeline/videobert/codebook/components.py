"""Principal components: the axes in which tokens carry what quantising dropped.

N rows, D dimension of the features, K components.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

__all__ = ["axes_to_bytes", "load_axes", "principal_axes"]

_LEAST_VARIANCE = 1e-6
"""Share of the largest variance below which a direction is noise of float32 and is left out."""


def principal_axes(rows_ND: NDArray[np.float32], *, components: int, whitening: float = 1.0) -> NDArray[np.float32]:
    """Axes float32 [D, K]: `row @ axes` has unit variance in each of the K directions of most variance.

    With less `whitening` a direction's standard deviation is what it was to the power of 1 - whitening, and the mean
    variance of those there are is 1. Does not depend on the order of the rows. Directions without variance are zero
    columns, so that K is as asked for.
    """
    order = np.lexsort(rows_ND[:, :8].T)
    centred_ND = rows_ND[order].astype(np.float64)
    centred_ND -= centred_ND.mean(axis=0)
    variances_D, axes_DD = _directions(centred_ND)
    axes_DK = np.zeros((rows_ND.shape[1], components), dtype=np.float32)
    largest = float(variances_D[-1])
    kept = [d for d in range(len(variances_D) - 1, -1, -1) if variances_D[d] > _LEAST_VARIANCE * largest][:components]
    left = variances_D[kept] ** (1 - whitening)
    scales = np.sqrt(left / left.mean()) if whitening < 1 else np.ones(len(kept))
    for column, d in enumerate(kept):
        axis_D = axes_DD[:, d]
        sign = np.sign(axis_D[np.abs(axis_D).argmax()])  # an eigenvector has no sign of its own
        axes_DK[:, column] = sign * axis_D / np.sqrt(variances_D[d]) * scales[column]
    return axes_DK


def _directions(centred_ND: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variances, ascending, and unit directions as columns: all D, or as many as there are rows where these are fewer.

    Two videos have a hundred clips of 2,560 numbers: the products of the clips are some hundred times quicker to divide
    into directions than those of the numbers, and tell the same.
    """
    rows, width = centred_ND.shape
    if rows >= width:
        variances_D, axes_DD = np.linalg.eigh(centred_ND.T @ centred_ND / max(1, rows))
        return variances_D, axes_DD
    variances_N, parts_NN = np.linalg.eigh(centred_ND @ centred_ND.T / max(1, rows))
    directions_DN = centred_ND.T @ parts_NN
    return variances_N, directions_DN / np.maximum(np.linalg.norm(directions_DN, axis=0), 1e-30)


def axes_to_bytes(axes_DK: NDArray[np.float32]) -> bytes:
    """One safetensors file."""
    return bytes(save({"axes": np.ascontiguousarray(axes_DK)}))


def load_axes(path: Path) -> NDArray[np.float32]:
    """Read what `axes_to_bytes` wrote."""
    axes_DK: NDArray[np.float32] = load_file(path)["axes"]
    return axes_DK
