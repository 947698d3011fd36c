"""Lloyd's algorithm on many nodes at once: certified nearest centroid, exact sums, seeding.

B nodes of a tile, M rows of a node (padded), D dimension, G nodes of a group, K children of a node, R single rows.

Scores come from float32 products; where the two best lie closer than the rounding error can be, float64 decides in a
fixed order, ties to the lowest index. So an assignment depends on the row and its centroids alone: not on
chunk, batch, thread count or device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.codebook.exact import tree_sum

__all__ = [
    "Scorer",
    "accumulate",
    "assign",
    "assign_and_accumulate",
    "means",
    "scorer",
    "squared_distances",
    "starts",
]

_UNIT = 2.0**-24
_CERTAINTY = 8.0
"""Rounding errors of D products add up to at most 8 sqrt(D) units but for a chance of 1e-13 (Higham & Mary 2019)."""
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

    def take(self, nodes: Tensor) -> Scorer:
        """The scorer of some nodes of the group, without a copy when these are all of them in order."""
        if len(nodes) == len(self.slack_G) and bool((nodes[1:] > nodes[:-1]).all()):
            return self
        parts = (self.centroids_GKD, self.edges_GKD, self.bias_GK, self.slack_G, self.reach_G)
        return Scorer(*(part[nodes] for part in parts))


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
    units = _UNIT * (min(_CERTAINTY * dimension**0.5, float(dimension)) + 16.0)
    longest = torch.linalg.vector_norm(edges, dim=-1).amax(1)
    reach = torch.linalg.vector_norm(origin[:, 0], dim=-1).mul_(2.0).add_(longest)
    return Scorer(centroids_GKD, edges, bias, units * longest, reach)


def assign(vectors_BMD: Tensor, norms_BM: Tensor, table: Scorer) -> Tensor:
    """Nearest child int64 [B, M] of every row of node b among the children of node b. `norms` are |x|."""
    # Centroids on the left: scores [B, K, M] come out twice as fast as [B, M, K], and minima run along contiguous rows.
    scores = torch.baddbmm(table.bias_GK.unsqueeze(-1), table.edges_GKD, vectors_BMD.transpose(1, 2), alpha=-1.0)
    best, child = scores.min(1)
    limit = (norms_BM + table.reach_G.unsqueeze(1)).mul_(2.0 * table.slack_G.unsqueeze(1)).add_(best)
    scores.scatter_(1, child.unsqueeze(1), float("inf"))
    b, m = (scores.amin(1) <= limit).nonzero(as_tuple=True)
    if len(b):
        close = scores[b, :, m] <= limit[b, m].unsqueeze(1)
        close[torch.arange(len(b), device=close.device), child[b, m]] = True
        child[b, m] = _decide(vectors_BMD, table.centroids_GKD, b, m, close)
    return child


def _decide(vectors_BMD: Tensor, centroids_GKD: Tensor, b: Tensor, m: Tensor, close_RK: Tensor) -> Tensor:
    """Nearest of the close children of the rows (b, m), by float64 distances in a fixed order."""
    row, child = close_RK.nonzero(as_tuple=True)
    distances = torch.full(close_RK.shape, float("inf"), dtype=torch.float64, device=close_RK.device)
    step = max(1, _PAIR_ELEMENTS // vectors_BMD.shape[-1])
    for r, c in zip(torch.split(row, step), torch.split(child, step), strict=True):
        distances[r, c] = squared_distances(vectors_BMD[b[r], m[r]], centroids_GKD[b[r], c])
    return distances.argmin(-1)


def squared_distances(rows_RD: Tensor, centroids_RD: Tensor) -> Tensor:
    """float64 [R]: squared distance of each row to its centroid, in the fixed order of `tree_sum`."""
    return tree_sum((rows_RD.double() - centroids_RD.double()).square_())


def accumulate(rows_RD: Tensor, slots_R: Tensor, sums_SD: Tensor, *, sign: int = 1) -> None:
    """Add (or take away) rows to their slots of float64 [S, D]; exact for rows on the grid."""
    step = max(1, _PAIR_ELEMENTS // rows_RD.shape[1])
    for rows, slots in zip(torch.split(rows_RD, step), torch.split(slots_R, step), strict=True):
        sums_SD.index_add_(0, slots, rows.double(), alpha=sign)


def assign_and_accumulate(block_ND: Tensor, centroids_KD: Tensor) -> tuple[Tensor, Tensor, float]:
    """One Lloyd pass over a block: sums float64 [K, D], counts int64 [K], inertia to these centroids.

    Sums of blocks on one grid add up to the same bits in any order; inertias are floats of a fixed order per row.
    """
    present = torch.ones(1, len(centroids_KD), dtype=torch.bool, device=block_ND.device)
    table = scorer(centroids_KD.unsqueeze(0), present)
    norms = torch.linalg.vector_norm(block_ND, dim=1).mul_(1.001)
    child = assign(block_ND.unsqueeze(0), norms.unsqueeze(0), table)[0]
    sums = torch.zeros(centroids_KD.shape, dtype=torch.float64, device=block_ND.device)
    accumulate(block_ND, child, sums)
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
    products = torch.bmm(rows, rows.transpose(1, 2))
    squares = products.diagonal(dim1=1, dim2=2).unsqueeze(1)
    nearest = valid_BM.double()
    lane = torch.arange(len(rows), device=rows.device)
    winners: list[Tensor] = []
    exists: list[Tensor] = []
    for race in races_KBM:
        speed, drawn = (nearest / race).topk(min(candidates, race.shape[1]) if winners else 1, dim=1)
        exists.append(speed[:, 0] > 0)
        scale = squares + squares[:, 0].gather(1, drawn).unsqueeze(-1)
        distance = scale - 2.0 * products[lane.unsqueeze(1), drawn]
        distance = torch.where(distance > _TWIN * scale, distance, 0.0) * valid_BM.unsqueeze(1)
        if winners:
            distance = torch.minimum(distance, nearest.unsqueeze(1))
        # float32 hides the last bits of the sums, so that equally good candidates tie and the first drawn is taken.
        best = distance.sum(-1).float().argmin(1)
        winners.append(drawn[lane, best])
        nearest = distance[lane, best]
    return vectors_BMD[lane.unsqueeze(1), torch.stack(winners, 1)], torch.stack(exists, 1)
