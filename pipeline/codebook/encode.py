"""From vectors to leaves: greedy descent and flat nearest leaf.

N rows, D dimension, K children of a node.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.codebook.kmeans import assign, norms, scorer, tensor

__all__ = ["Encoder"]

_GREEDY_ROWS = 1 << 16
_PIECE_ROWS = 8192
_FILL = 0.5
"""Least size of a node, as a share of the largest one it is padded to."""
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
            rows = tensor(vectors[low : low + _GREEDY_ROWS], device=self._device)
            lengths = norms(rows)
            parts = zip(torch.split(rows, _PIECE_ROWS), torch.split(lengths, _PIECE_ROWS), strict=True)
            node = torch.cat([assign(x.unsqueeze(0), n.unsqueeze(0), self._levels[0])[0] for x, n in parts])
            # The rows of one child of the root go down together: they and its subtree's centroids stay in cache.
            runs = torch.split(torch.argsort(node, stable=True), torch.bincount(node).tolist())
            for run in runs:
                for piece in torch.tensor_split(run, -(-len(run) // _PIECE_ROWS)) if len(run) else ():
                    node[piece] = self._descend(rows.index_select(0, piece), lengths[piece], node[piece[:1]])
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
            rows = tensor(vectors[low : low + step], device=self._device)
            nearest = assign(rows.unsqueeze(0), norms(rows).unsqueeze(0), table)[0]
            leaves[low : low + len(rows)] = names[nearest].int().cpu().numpy()
        return leaves

    def _descend(self, rows_ND: Tensor, norms_N: Tensor, top: Tensor) -> Tensor:
        """Leaves int64 [N] of rows that are all in the child `top` [1] of the root."""
        if len(self._levels) == 1:
            return top.expand(len(rows_ND))
        child = assign(rows_ND.unsqueeze(0), norms_N.unsqueeze(0), self._levels[1], top)[0]
        node: Tensor = top * self._branching + child
        for table in self._levels[2:]:
            for nodes, index in _grouped(node):
                vectors = rows_ND.index_select(0, index.flatten()).view(*index.shape, rows_ND.shape[1])
                child[index] = assign(vectors, norms_N[index], table, nodes)
            node = node * self._branching + child
        return node


def _grouped(node_N: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Tiles (nodes [B], rows [B, M]) over all rows; nodes of like size are padded with repeats of their last row."""
    order = torch.argsort(node_N, stable=True)
    nodes, sizes = torch.unique_consecutive(node_N[order], return_counts=True)
    lows = sizes.cumsum(0) - sizes
    rank = torch.argsort(sizes, descending=True)
    lengths = sizes[rank].tolist()
    at = 0
    while at < len(lengths):
        # Pad up to double: measured, more products cost as much as the padding they save.
        end = at + 1
        while end < len(lengths) and lengths[end] >= _FILL * lengths[at]:
            end += 1
        picked = rank[at:end]
        offsets = torch.arange(lengths[at], device=node_N.device)
        yield nodes[picked], order[lows[picked].unsqueeze(1) + torch.minimum(offsets, sizes[picked].unsqueeze(1) - 1)]
        at = end
