"""Rows of many nodes as rectangles, so that one batched product serves all nodes of a tile.

N rows, B nodes of a tile, M rows of a node (padded).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Tile", "sorted_by_node", "tiles"]


class Tile(NamedTuple):
    """Some thousand rows of some nodes, padded to the same length with the node's first row."""

    position_B: Tensor
    """Of the nodes, among those asked for."""
    rows_BM: Tensor
    valid_BM: Tensor


def sorted_by_node(node_N: Tensor, nodes: int) -> tuple[Tensor, Tensor]:
    """Order of the rows by node [N], and where each node's rows begin and end in it [nodes + 1], on the CPU."""
    counts = torch.bincount(node_N, minlength=nodes)
    return torch.argsort(node_N, stable=True), torch.cat((counts.new_zeros(1), counts.cumsum(0))).cpu()


def tiles(order_N: Tensor, bounds: Tensor, nodes: Tensor, *, room: int) -> Iterator[Tile]:
    """Tiles of at most `room` rows: a large node is cut, small ones of similar size are padded together."""
    lows, counts = bounds[nodes], bounds[nodes + 1] - bounds[nodes]
    by_size = torch.argsort(counts, descending=True, stable=True).tolist()
    sizes, device = counts.tolist(), order_N.device
    at = 0
    while at < len(by_size) and sizes[by_size[at]] > 0:
        longest = sizes[by_size[at]]
        if longest >= room // 2:
            low = int(lows[by_size[at]])
            position = torch.tensor([by_size[at]], device=device)
            for rows in torch.split(order_N[low : low + longest], room):
                yield Tile(position, rows.unsqueeze(0), torch.ones(1, len(rows), dtype=torch.bool, device=device))
            at += 1
            continue
        batch = torch.tensor([p for p in by_size[at : at + room // longest] if sizes[p] > 0])
        offsets = torch.arange(longest)
        valid = offsets < counts[batch].unsqueeze(1)
        slots = torch.where(valid, lows[batch].unsqueeze(1) + offsets, lows[batch].unsqueeze(1))
        yield Tile(batch.to(device), order_N[slots.to(device)], valid.to(device))
        at += len(batch)
