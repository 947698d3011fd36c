"""From vectors to leaves: greedy descent and flat nearest leaf.

N rows, D dimension, K children of a node.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from videobert.codebook.kernels import kernels
from videobert.codebook.kmeans import assign, checked_norms, scorer, tensor

__all__ = ["Encoder"]

_GREEDY_ROWS = 1 << 18
"""Rows that descend together: the more, the more rows share a product with the children of a deep node."""
_FLAT_ELEMENTS = 1 << 23
"""Scores of a flat tile: 32 MiB of float32."""


class Encoder:
    """Centroids of every level prepared for products on one device."""

    def __init__(
        self,
        level_centroids: tuple[NDArray[np.float32], ...],
        level_present: tuple[NDArray[np.bool_], ...],
        *,
        branching: int,
        device: str,
    ) -> None:
        self._device = torch.device(device)
        dimension = level_centroids[0].shape[1]
        self._levels = [
            scorer(
                torch.from_numpy(centroids).to(self._device).view(-1, branching, dimension),
                torch.from_numpy(present).to(self._device).view(-1, branching),
            )
            for centroids, present in zip(level_centroids, level_present, strict=True)
        ]
        self._leaves = torch.from_numpy(level_centroids[-1])
        self._present = torch.from_numpy(np.flatnonzero(level_present[-1]))

    def greedy(self, vectors: NDArray[np.float32]) -> NDArray[np.int32]:
        """int32 [N]: descend to the nearest child, level by level."""
        leaves = np.empty(len(vectors), dtype=np.int32)
        for low in range(0, len(vectors), _GREEDY_ROWS):
            rows = tensor(vectors[low : low + _GREEDY_ROWS], device=self._device)
            leaves[low : low + len(rows)] = kernels(self._device).descend(rows, self._levels).int().cpu().numpy()
        return leaves

    def flat(self, vectors: NDArray[np.float32]) -> NDArray[np.int32]:
        """int32 [N]: nearest of all present leaves."""
        leaves = np.empty(len(vectors), dtype=np.int32)
        names = self._present.to(self._device)
        kept = self._leaves[self._present].to(self._device).unsqueeze(0)
        table = scorer(kept, torch.ones(kept.shape[:2], dtype=torch.bool, device=self._device))
        step = max(1, _FLAT_ELEMENTS // max(1, len(names)))
        for low in range(0, len(vectors), step):
            rows = tensor(vectors[low : low + step], device=self._device)
            nearest = assign(rows.unsqueeze(0), checked_norms(rows).unsqueeze(0), table)[0]
            leaves[low : low + len(rows)] = names[nearest].int().cpu().numpy()
        return leaves
