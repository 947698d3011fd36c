"""The inner loops of fit and encoding, and which code runs them on a device.

N rows, R of them taken, G nodes, K children of a node, D dimension, S sums; B nodes of a tile, M rows of a node.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Protocol

import torch
from torch import Tensor

from videobert.codebook import kmeans

__all__ = ["Kernels", "kernels"]


class Kernels(Protocol):
    """What `kmeans` does with torch and `compiled` with Numba, to the same bits."""

    def assign(self, vectors_BMD: Tensor, norms_BM: Tensor, table: kmeans.Scorer, nodes_B: Tensor) -> Tensor:
        """Nearest child int64 [B, M] of every row; rows b belong to node `nodes[b]`, `norms` are not rounded down."""

    def descend(self, rows_ND: Tensor, levels: Sequence[kmeans.Scorer]) -> Tensor:
        """Leaf int64 [N] of every row: the nearest child, level by level; InputError when a value is not finite."""

    def accumulate(
        self,
        rows_ND: Tensor,
        taken_R: Tensor,
        into_R: Tensor,
        sums_SD: Tensor,
        *,
        step: float,
        out_of_R: Tensor | None = None,
    ) -> None:
        """Add the rows taken, on the grid of `step`, to slots of float64 [S, D], and take them out of others; exact."""

    def squared_norms(self, vectors: Tensor, *, step: float) -> Tensor:
        """float64 [N]: |x|**2 of float32 [N, D] on the grid of `step`, in the fixed order of `exact.tree_sum`."""


def kernels(device: torch.device) -> Kernels:
    """Compiled loops on a CPU; torch on a GPU, and where Numba is missing (two to three times as long on a CPU)."""
    if device.type == "cpu" and find_spec("numba") is not None:
        from videobert.codebook import compiled

        return compiled
    return kmeans
