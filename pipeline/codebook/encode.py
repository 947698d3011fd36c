"""From vectors to leaves: greedy descent and flat nearest leaf.

N rows, D dimension, K children of a node.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.codebook.exact import LARGEST_VALUE, at_a_time, check_values
from pipeline.codebook.kmeans import Scorer, assign, best_of, decide, margins, norms, scorer, tensor

__all__ = ["Encoder"]

_GREEDY_ROWS = 1 << 18
"""Rows that descend together: the more, the more rows share a product with the children of a deep node."""
_PIECE_ELEMENTS = 1 << 19
"""Rows x columns that are gathered and scored at a time: 2 MiB, which stay in cache in between."""
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
        # Edges [K, D] and bias [K, 1] of every node: taking them from the table in the loop costs half a small product.
        self._products = [
            list(zip(t.edges_GKD.unbind(), t.bias_GK.unsqueeze(-1).unbind(), strict=True)) for t in self._levels
        ]
        self._leaves = torch.from_numpy(level_centroids[-1])
        self._present = torch.from_numpy(np.flatnonzero(level_present[-1]))

    def greedy(self, vectors: NDArray[np.float32]) -> NDArray[np.int32]:
        """int32 [N]: descend to the nearest child, level by level."""
        leaves = np.empty(len(vectors), dtype=np.int32)
        for low in range(0, len(vectors), _GREEDY_ROWS):
            rows = tensor(vectors[low : low + _GREEDY_ROWS], device=self._device)
            lengths = self._lengths(rows)
            node = torch.zeros(len(rows), dtype=torch.int64, device=self._device)
            for table, products in zip(self._levels, self._products, strict=True):
                node = self._descend(rows, lengths, node, table, products)
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
            nearest = assign(rows.unsqueeze(0), self._lengths(rows).unsqueeze(0), table)[0]
            leaves[low : low + len(rows)] = names[nearest].int().cpu().numpy()
        return leaves

    @staticmethod
    def _lengths(rows_ND: Tensor) -> Tensor:
        """`norms`. Raises InputError when a value is not finite, for then no length stays below the largest value."""
        lengths = norms(rows_ND)
        if not float(lengths.max()) <= LARGEST_VALUE:
            check_values(rows_ND.cpu().numpy())
        return lengths

    def _descend(
        self, rows_ND: Tensor, norms_N: Tensor, node_N: Tensor, table: Scorer, products: list[tuple[Tensor, Tensor]]
    ) -> Tensor:
        """Child int64 [N] of each row's node, as a node of the next level.

        The rows are gathered in the order of their nodes, so that one product a node scores them, and picked together.
        """
        order = torch.argsort(node_N, stable=True)
        nodes, counts = torch.unique_consecutive(sorted_N := node_N[order], return_counts=True)
        margin, child = margins(norms_N[order], table, sorted_N), torch.empty_like(node_N)
        size = max(1, at_a_time(_PIECE_ELEMENTS, self._device) // rows_ND.shape[1])
        gathered = torch.empty(min(size, len(rows_ND)), rows_ND.shape[1], device=self._device)
        doubts: list[tuple[Tensor, Tensor]] = []
        for number, runs in enumerate(_pieces(nodes.tolist(), counts.tolist(), size)):
            piece = slice(number * size, number * size + sum(runs[-1][1:]))
            x_DM = (rows_ND[piece] if len(nodes) == 1 else _gather(rows_ND, order[piece], gathered)).T
            scores_KM = torch.empty(self._branching, x_DM.shape[1], device=self._device)
            for node, low, count in runs:  # thousands, and `narrow` is quicker than a slice
                edges, bias = products[node]
                torch.addmm(bias, edges, x_DM.narrow(1, low, count), alpha=-1.0, out=scores_KM.narrow(1, low, count))
            best, limit, doubtful = best_of(scores_KM.unsqueeze(0), margin[piece].unsqueeze(0))
            child[piece] = best[0]
            m = doubtful[0].nonzero()[:, 0]
            doubts.append((m + piece.start, (scores_KM.index_select(1, m) <= limit[0].index_select(0, m)).T))
        at, close = (torch.cat(parts) for parts in zip(*doubts, strict=True))
        close[torch.arange(len(at), device=self._device), child[at]] = True
        child[at] = decide(rows_ND.index_select(0, order[at]), table.centroids_GKD, sorted_N[at], close)
        return torch.empty_like(node_N).index_copy_(0, order, sorted_N * self._branching + child)


def _gather(rows_ND: Tensor, index_M: Tensor, room: Tensor) -> Tensor:
    """Rows [M, D] in memory that is there: fresh pages took longer than the copy."""
    return torch.index_select(rows_ND, 0, index_M, out=room[: len(index_M)])


def _pieces(nodes: list[int], counts: list[int], size: int) -> Iterator[list[tuple[int, int, int]]]:
    """Rows in the order of their nodes, cut every `size` rows: of each piece (node, first row there, rows)."""
    runs: list[tuple[int, int, int]] = []
    filled = 0
    for node, count in zip(nodes, counts, strict=True):
        while count:
            taken = min(count, size - filled)
            runs.append((node, filled, taken))
            count, filled = count - taken, filled + taken
            if filled == size:
                yield runs
                runs, filled = [], 0
    if runs:
        yield runs
