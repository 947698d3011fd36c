"""From vectors to leaves: greedy descent and flat nearest leaf.

N rows, D dimension, K children of a node.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.codebook.kmeans import Scorer, assign, scorer

__all__ = ["Encoder"]

_GREEDY_ROWS = 1 << 16
_TILE_ROWS = 2048
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
        self._branching = branching
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
            rows = self._rows(vectors[low : low + _GREEDY_ROWS])
            norms = torch.linalg.vector_norm(rows, dim=1).mul_(1.001)
            node = torch.zeros(len(rows), dtype=torch.int64, device=self._device)
            for table in self._levels:
                node = node * self._branching + self._children(rows, norms, node, table)
            leaves[low : low + len(rows)] = node.int().cpu().numpy()
        return leaves

    def flat(self, vectors: NDArray[np.float32]) -> NDArray[np.int32]:
        """int32 [N]: nearest of all present leaves."""
        leaves = np.empty(len(vectors), dtype=np.int32)
        names = self._present.to(self._device)
        kept = self._leaves[self._present].to(self._device).unsqueeze(0)
        table = scorer(kept, torch.ones(kept.shape[:2], dtype=torch.bool, device=self._device))
        step = max(1, _FLAT_ELEMENTS // max(1, len(names)))
        for low in range(0, len(vectors), step):
            rows = self._rows(vectors[low : low + step])
            norms = torch.linalg.vector_norm(rows, dim=1).mul_(1.001)
            nearest = assign(rows.unsqueeze(0), norms.unsqueeze(0), table)[0]
            leaves[low : low + len(rows)] = names[nearest].int().cpu().numpy()
        return leaves

    def _rows(self, vectors: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(vectors)).to(self._device)

    def _children(self, rows_ND: Tensor, norms_N: Tensor, node_N: Tensor, table: Scorer) -> Tensor:
        """Nearest child int64 [N] of each row's own node: rows are grouped by node, nodes of like size together."""
        child = torch.empty_like(node_N)
        order = torch.argsort(node_N)
        nodes, sizes = torch.unique_consecutive(node_N[order], return_counts=True)
        lows = sizes.cumsum(0) - sizes
        rank = torch.argsort(sizes, descending=True)
        lengths = sizes[rank].tolist()
        at = 0
        while at < len(lengths):
            longest = lengths[at]
            count = max(1, _TILE_ROWS // longest)
            picked = rank[at : at + count]
            for offset in range(0, longest, _TILE_ROWS):
                offsets = torch.arange(offset, min(longest, offset + _TILE_ROWS), device=self._device)
                # A padded slot repeats the last row of its node, so that writing it back is harmless.
                slots = lows[picked].unsqueeze(1) + torch.minimum(offsets, sizes[picked].unsqueeze(1) - 1)
                index = order[slots]
                child[index] = assign(rows_ND[index], norms_N[index], table.take(nodes[picked]))
            at += count
        return child
