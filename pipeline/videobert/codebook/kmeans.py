"""Lloyd's algorithm on many nodes at once: certified nearest centroid, exact sums, seeding.

B nodes of a tile, M rows of a node (padded), D dimension, G nodes of a group, K children of a node, R single rows.

Scores come from float32 products; where the two best lie closer than the rounding error can be, float64 decides in a
fixed order, ties to the lowest index. So an assignment depends on the row and its centroids alone: not on
chunk, batch, thread count or device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videobert.codebook.exact import at_a_time, squared_norms, tree_sum
from videobert.codebook.tiles import sorted_by_node, tiles
from videobert.codebook.values import LARGEST_VALUE, UNDERFLOW, UNIT, check_values

__all__ = [
    "TILE_ELEMENTS",
    "Scorer",
    "accumulate",
    "assign",
    "assign_and_accumulate",
    "checked_norms",
    "descend",
    "means",
    "norms",
    "scorer",
    "squared_distances",
    "squared_norms",
    "starts",
    "tensor",
]

_CERTAINTY = 8.0
"""Rounding errors of D products add up to at most 8 sqrt(D) units but for a chance of 1e-13 (Higham & Mary 2019)."""
TILE_ELEMENTS = 1 << 22
"""Rows x columns of a tile: 16 MiB. A quarter takes 1.1 times as long with 256 columns, four times with 1,024 too."""
_PAIR_ELEMENTS = 1 << 18
_TWIN = 1e-12
"""Two rows closer than this share of their squared norms count as one when starts are drawn."""


@dataclass(frozen=True, slots=True)
class Scorer:
    """Children of a group of nodes, ready for products: score = bias - x . edge orders them as |x - centroid| does."""

    centroids_GKD: Tensor
    edges_GKD: Tensor
    """Centroid minus the mean of its siblings: short edges keep the rounding error small on deep levels."""
    bias_GK: Tensor
    """Infinite for an absent child, which is therefore never chosen."""
    slack_G: Tensor
    reach_G: Tensor
    """The error of a score is below slack * (|x| + reach)."""


def tensor(block: NDArray[np.float32], *, device: torch.device) -> Tensor:
    """float32 [N, D] on the device, without a copy where torch can share the memory."""
    return torch.from_numpy(np.require(block, requirements=["C", "W"])).to(device)


def norms(rows_ND: Tensor) -> Tensor:
    """|x| float32 [N], rounded up, as `assign` takes it."""
    lengths: Tensor = torch.linalg.vector_norm(rows_ND, dim=1)
    return lengths.mul_(1.001)


def scorer(centroids_GKD: Tensor, present_GK: Tensor) -> Scorer:
    """Prepare float32 centroids; absent children may hold any finite values."""
    complete = bool(present_GK.all())
    kept = centroids_GKD if complete else torch.where(present_GK.unsqueeze(-1), centroids_GKD, 0.0)
    origin = kept.sum(1, keepdim=True) / present_GK.sum(1).clamp_min(1).view(-1, 1, 1)
    edges = kept - origin
    if not complete:
        edges.mul_(present_GK.unsqueeze(-1))
    # |c|**2 - |origin|**2 as a product of the short edge: the difference of the squares would lose its digits.
    bias = (edges * (kept + origin)).sum(-1).mul_(0.5).masked_fill_(~present_GK, float("inf"))
    dimension = centroids_GKD.shape[-1]
    units = UNIT * (min(_CERTAINTY * dimension**0.5, float(dimension)) + 16.0)
    longest = torch.linalg.vector_norm(edges, dim=-1).amax(1)
    reach = torch.linalg.vector_norm(origin[:, 0], dim=-1).mul_(2.0).add_(longest)
    return Scorer(centroids_GKD, edges, bias, units * longest, reach)


def assign(vectors_BMD: Tensor, norms_BM: Tensor, table: Scorer, nodes_B: Tensor | None = None) -> Tensor:
    """Nearest child int64 [B, M] of every row among the children of its node. `norms` are |x|, not rounded down.

    Rows b belong to node `nodes[b]` of the table, which need not be given when that is b.
    """
    edges, bias, slack, reach = table.edges_GKD, table.bias_GK, table.slack_G, table.reach_G
    if nodes_B is not None and not (len(nodes_B) == len(slack) and bool((nodes_B[1:] > nodes_B[:-1]).all())):
        # index_select copies whole rows; plain indexing took six times as long.
        edges, bias, slack, reach = (part.index_select(0, nodes_B) for part in (edges, bias, slack, reach))
    # Centroids on the left: scores [B, K, M] come out twice as fast as [B, M, K], and minima run along contiguous rows.
    scores = torch.baddbmm(bias.unsqueeze(-1), edges, vectors_BMD.transpose(1, 2), alpha=-1.0)
    margin = (norms_BM + reach.unsqueeze(1)).mul_(2.0 * slack.unsqueeze(1)).add_(UNDERFLOW)
    best, child = scores.min(1)
    limit = best.add_(margin)
    scores.scatter_(1, child.unsqueeze(1), float("inf"))
    b, m = (scores.amin(1) <= limit).nonzero(as_tuple=True)
    if len(b):
        close = scores[b, :, m] <= limit[b, m].unsqueeze(1)
        close[torch.arange(len(b), device=close.device), child[b, m]] = True
        rows = vectors_BMD.flatten(0, 1).index_select(0, b * vectors_BMD.shape[1] + m)
        child[b, m] = _decide(rows, table.centroids_GKD, b if nodes_B is None else nodes_B[b], close)
    return child


def checked_norms(rows_ND: Tensor) -> Tensor:
    """`norms`. Raises InputError when a value is not finite, for then no length stays below the largest value."""
    lengths = norms(rows_ND)
    if not float(lengths.max()) <= LARGEST_VALUE:
        check_values(rows_ND.cpu().numpy())
    return lengths


def descend(rows_ND: Tensor, levels: Sequence[Scorer]) -> Tensor:
    """Leaf int64 [N] of every row: the nearest child, level by level; InputError when a value is not finite."""
    lengths = checked_norms(rows_ND)
    node = torch.zeros(len(rows_ND), dtype=torch.int64, device=rows_ND.device)
    room = max(1, at_a_time(TILE_ELEMENTS, rows_ND.device) // rows_ND.shape[1])
    for table in levels:
        nodes, branching = table.bias_GK.shape
        order, bounds = sorted_by_node(node, nodes)
        child = torch.zeros_like(node)
        for position, rows, valid in tiles(order, bounds, torch.arange(nodes), room=room):
            vectors = rows_ND.index_select(0, rows.flatten()).view(*rows.shape, -1)
            child[rows[valid]] = assign(vectors, lengths[rows], table, position)[valid]
        node = node * branching + child
    return node


def _decide(rows_RD: Tensor, centroids_GKD: Tensor, nodes_R: Tensor, close_RK: Tensor) -> Tensor:
    """Nearest int64 [R] of the close children of each row's node, by float64 distances in a fixed order."""
    row, child = close_RK.nonzero(as_tuple=True)
    distances = torch.full(close_RK.shape, float("inf"), dtype=torch.float64, device=close_RK.device)
    step = max(1, at_a_time(_PAIR_ELEMENTS, rows_RD.device) // rows_RD.shape[1])
    for r, c in zip(torch.split(row, step), torch.split(child, step), strict=True):
        distances[r, c] = squared_distances(rows_RD[r], centroids_GKD[nodes_R[r], c])
    return distances.argmin(-1)


def squared_distances(rows_RD: Tensor, centroids_RD: Tensor) -> Tensor:
    """float64 [R]: squared distance of each row to its centroid, in the fixed order of `tree_sum`."""
    return tree_sum((rows_RD.double() - centroids_RD.double()).square_())


def accumulate(
    rows_ND: Tensor, taken_R: Tensor, into_R: Tensor, sums_SD: Tensor, *, step: float, out_of_R: Tensor | None = None
) -> None:
    """Add rows, snapped to the grid of `step`, to slots of float64 [S, D], and take them out of others; exact."""
    part = max(1, at_a_time(_PAIR_ELEMENTS, rows_ND.device) // rows_ND.shape[1])
    for at in range(0, len(taken_R), part):
        piece = slice(at, at + part)
        on_grid = rows_ND.index_select(0, taken_R[piece]).mul_(1.0 / step).round_().double()
        sums_SD.index_add_(0, into_R[piece], on_grid, alpha=step)
        if out_of_R is not None:
            sums_SD.index_add_(0, out_of_R[piece], on_grid, alpha=-step)


def assign_and_accumulate(block_ND: Tensor, centroids_KD: Tensor, *, step: float) -> tuple[Tensor, Tensor, float]:
    """One Lloyd pass over a block: sums float64 [K, D], counts int64 [K], inertia to these centroids.

    Sums of blocks on one grid (`step`) add up to the same bits in any order; inertias to nearly the same float.
    """
    present = torch.ones(1, len(centroids_KD), dtype=torch.bool, device=block_ND.device)
    table = scorer(centroids_KD.unsqueeze(0), present)
    child = assign(block_ND.unsqueeze(0), norms(block_ND).unsqueeze(0), table)[0]
    sums = torch.zeros(centroids_KD.shape, dtype=torch.float64, device=block_ND.device)
    accumulate(block_ND, torch.arange(len(block_ND), device=child.device), child, sums, step=step)
    inertia = tree_sum(squared_distances(block_ND, centroids_KD[child]))
    return sums, torch.bincount(child, minlength=len(centroids_KD)), float(inertia)


def means(sums_GKD: Tensor, counts_GK: Tensor, previous_GKD: Tensor) -> Tensor:
    """float32 [G, K, D]: mean of each child's rows; a child without rows stays where it was."""
    average = (sums_GKD / counts_GK.clamp_min(1).unsqueeze(-1)).float()
    filled = counts_GK > 0
    return average if bool(filled.all()) else torch.where(filled.unsqueeze(-1), average, previous_GKD)


def starts(vectors_BMD: Tensor, valid_BM: Tensor, races_KBM: Tensor, *, candidates: int = 4) -> tuple[Tensor, Tensor]:
    """k-means++ starts of each node: centroids float32 [B, K, D] and which of them exist [B, K].

    A row is drawn with probability proportional to its squared distance d from the starts drawn so far, as the winner
    of an exponential race: the least `races / d`, where races[k] holds -log of a uniform number for every row. Of the
    first `candidates` to come in, the one that lowers the sum of d most is taken (greedy k-means++).
    """
    rows = vectors_BMD.double()
    few = rows.shape[1] <= candidates * len(races_KBM)
    gram = torch.bmm(rows, rows.transpose(1, 2)) if few else None
    squares = squared_norms(vectors_BMD.flatten(0, 1)).view(len(rows), 1, -1)
    nearest = valid_BM.double()
    lane = torch.arange(len(rows), device=rows.device)
    winners: list[Tensor] = []
    exists: list[Tensor] = []
    for race in races_KBM:
        speed, drawn = (nearest / race).topk(min(candidates, race.shape[1]) if winners else 1, dim=1)
        exists.append(speed[:, 0] > 0)
        scale = squares + squares[:, 0].gather(1, drawn).unsqueeze(-1)
        at = (lane.unsqueeze(1), drawn)
        products = gram[at] if gram is not None else torch.bmm(rows[at], rows.transpose(1, 2))
        distance = torch.sub(scale, products, alpha=2.0)
        distance.mul_((distance > scale.mul_(_TWIN)) & valid_BM.unsqueeze(1))
        if winners:
            distance = torch.minimum(distance, nearest.unsqueeze(1))
        # float32 hides the last bits of the sums, so that equally good candidates tie and the first drawn is taken.
        best = distance.sum(-1).float().argmin(1)
        winners.append(drawn[lane, best])
        nearest = distance[lane, best]
    return vectors_BMD[lane.unsqueeze(1), torch.stack(winners, 1)], torch.stack(exists, 1)
