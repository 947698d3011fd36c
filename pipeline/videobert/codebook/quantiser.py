"""A codebook in numpy: from features to leaves and what these drop, as the stage `tokens` finds them, without torch.

The file is an .npz of `level.0`, `level.1` and so on, float32 [G, K, D], `present.0` and so on, bool [G, K], and
`axes`, float32 [D, C], where tokens carry what quantising drops. Of a codebook that is searched flat there is one
level with one node, whose children are all leaves.

N rows, D dimension, G nodes of a level, K children of a node, C components, M children that lie too close to tell.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from videobert.codebook.values import UNDERFLOW, UNIT, check_values
from videobert.errors import InputError

if TYPE_CHECKING:
    from videobert.codebook.core import Codebook

__all__ = ["Quantiser", "residuals_of"]

_LARGEST = 1e4
"""In standard deviations; half precision ends at 65,504."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Quantiser:
    """Centroids of every level, and the axes of what they drop."""

    levels: tuple[NDArray[np.float32], ...]
    """[G, K, D] of every level."""
    present: tuple[NDArray[np.bool_], ...]
    """[G, K] of every level: a child that is absent is never assigned."""
    axes_DC: NDArray[np.float32] | None
    """None where tokens carry nothing besides the leaf."""

    @classmethod
    def of(cls, codebook: Codebook, axes_DC: NDArray[np.float32] | None, *, flat: bool) -> Quantiser:
        """That of a fitted codebook; `flat`: the nearest of all leaves, not greedy descent."""
        children = len(codebook.centroids) if flat else codebook.branching
        kept = slice(-1 if flat else None, None)
        return cls(
            levels=tuple(c.reshape(-1, children, codebook.dimension) for c in codebook.level_centroids[kept]),
            present=tuple(counts.reshape(-1, children) > 0 for counts in codebook.level_counts[kept]),
            axes_DC=axes_DC,
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Quantiser:
        """Read what `to_bytes` wrote."""
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            depth = sum(name.startswith("level.") for name in file)
            return cls(
                levels=tuple(file[f"level.{level}"] for level in range(depth)),
                present=tuple(file[f"present.{level}"] for level in range(depth)),
                axes_DC=file.get("axes"),
            )

    def to_bytes(self) -> bytes:
        """One .npz file; equal quantisers give equal bytes."""
        arrays: dict[str, NDArray[np.generic]] = {f"level.{n}": level for n, level in enumerate(self.levels)}
        arrays |= {f"present.{n}": present for n, present in enumerate(self.present)}
        if self.axes_DC is not None:
            arrays["axes"] = self.axes_DC
        sink = io.BytesIO()
        np.savez(sink, allow_pickle=False, **arrays)
        return sink.getvalue()

    @property
    def dimension(self) -> int:
        """Columns D of a feature vector."""
        return int(self.levels[0].shape[2])

    def quantise(self, features_ND: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float16] | None]:
        """Leaves [N] and what they drop, [N, C], None without components. A row's depend on that row alone.

        InputError when the dimension is not the codebook's, the type is not float32, or a value is not finite.
        """
        if features_ND.shape == (0, 0):  # of a video without clips
            features_ND = np.zeros((0, self.dimension), np.float32)
        if features_ND.ndim != 2 or features_ND.shape[1] != self.dimension or features_ND.dtype != np.float32:
            raise InputError(
                f"features are {features_ND.dtype} {features_ND.shape}, not float32 [N, {self.dimension}]; give those "
                "of the encoder that the codebook was fitted on"
            )
        check_values(features_ND)
        leaves_N = np.array([self._leaf(row_D) for row_D in features_ND], dtype=np.int32)
        if self.axes_DC is None:
            return leaves_N, None
        centroids_KD = self.levels[-1].reshape(-1, self.dimension)
        return leaves_N, residuals_of(features_ND - centroids_KD[leaves_N], self.axes_DC)

    def _leaf(self, row_D: NDArray[np.float32]) -> int:
        node = 0
        for centroids_GKD, bias_GK in zip(self.levels, self._bias, strict=True):
            node = node * bias_GK.shape[1] + _nearest(row_D, centroids_GKD[node], bias_GK[node])
        return node

    @cached_property
    def _bias(self) -> Sequence[NDArray[np.float32]]:
        """Half the squared norm of every centroid, [G, K] of every level; infinite for a child that is absent."""
        squares = (np.einsum("gkd,gkd->gk", level, level) for level in self.levels)
        return [
            np.where(present, square / 2, np.inf).astype(np.float32)
            for present, square in zip(self.present, squares, strict=True)
        ]


def residuals_of(rest_ND: NDArray[np.float32], axes_DC: NDArray[np.float32]) -> NDArray[np.float16]:
    """What the leaves drop of each vector along the axes, float16 [N, C]."""
    residuals_NC = np.empty((len(rest_ND), axes_DC.shape[1]), np.float16)
    # Row by row: a clip's bytes do not depend on its neighbours.
    for n, row_D in enumerate(rest_ND):
        residuals_NC[n] = np.clip(row_D @ axes_DC, -_LARGEST, _LARGEST)
    return residuals_NC


def _nearest(row_D: NDArray[np.float32], centroids_KD: NDArray[np.float32], bias_K: NDArray[np.float32]) -> int:
    """The nearest child. Where products of float32 cannot tell, float64 does, in the order in which the stage adds up.

    The bound is that of any order of summation, so that the nearest is always among those that are looked at again.
    """
    scores_K = bias_K - centroids_KD @ row_D
    length, reach = float(np.linalg.norm(row_D.astype(np.float64))), float(np.sqrt(2 * bias_K[bias_K < np.inf].max()))
    error = 1.01 * UNIT * (len(row_D) + 2) * reach * (length + reach / 2) + UNDERFLOW
    close_M = np.flatnonzero(scores_K <= scores_K.min() + 2 * error)
    if len(close_M) == 1:
        return int(close_M[0])
    apart_MD = row_D.astype(np.float64) - centroids_KD[close_M].astype(np.float64)
    return int(close_M[_tree_sum(apart_MD * apart_MD).argmin()])


def _tree_sum(values_MD: NDArray[np.float64]) -> NDArray[np.float64]:
    """As `exact.tree_sum`, to the bit: halves are added until one column is left."""
    while (width := values_MD.shape[1]) > 1:
        half = width // 2
        folded_MH = values_MD[:, :half] + values_MD[:, half : 2 * half]
        values_MD = np.concatenate((folded_MH, values_MD[:, -1:]), axis=1) if width % 2 else folded_MH
    return values_MD[:, 0]
