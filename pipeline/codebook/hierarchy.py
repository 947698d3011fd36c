"""Fit the hierarchy: level by level, all nodes of a group at once, over one worker or many (paper, section 4.2).

G nodes of a group, K children of a node, D dimension, B nodes of a tile, M rows of a node.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.codebook.config import CodebookConfig
from pipeline.codebook.core import Codebook
from pipeline.codebook.exact import grid_step, tree_sum, uniforms
from pipeline.codebook.kmeans import means, starts
from pipeline.codebook.rows import Extent, FitWorker, Partial, Rows
from pipeline.errors import InputError

__all__ = ["Team", "fit", "fit_team", "local_team"]

Team = Callable[..., list[Any]]
"""`team(method, *arguments)` calls that method of every `FitWorker` and returns the answers, in any order."""

_GROUP_ROWS = 4096
_GROUP_ELEMENTS = 1 << 28
_START_ELEMENTS = 1 << 20


def local_team(workers: Sequence[FitWorker]) -> Team:
    """Workers of this process, one after the other."""

    def call(method: str, *arguments: object) -> list[Any]:
        return [getattr(worker, method)(*arguments) for worker in workers]

    return call


def fit(
    vectors: NDArray[np.float32] | Iterable[NDArray[np.float32]],
    config: CodebookConfig,
    *,
    feature_spec: str = "",
) -> Codebook:
    """Fit on float32 [N, D], or on a re-iterable of such blocks when they do not fit in memory (read once a pass).

    Same vectors, config and torch build give the same bytes, whatever the blocks, threads or workers.
    InputError: no vectors, other shapes, NaN or infinity.
    """
    device = config.device if config.device != "auto" else ("cuda" if torch.cuda.is_available() else "cpu")
    # Nodes that fit in cache together are carried to the end before the next; a stream rather reads its blocks seldom.
    rows = _GROUP_ROWS if isinstance(vectors, np.ndarray) and device == "cpu" else None
    team = local_team([FitWorker(vectors, device=device)])
    return fit_team(team, config, feature_spec=feature_spec, device=device, group_rows=rows)


def fit_team(
    team: Team, config: CodebookConfig, *, feature_spec: str = "", device: str = "cpu", group_rows: int | None = None
) -> Codebook:
    """Fit over the workers of a team, as `fit`. `group_rows` bounds the rows in hand at a time, not the result."""
    return _Fit(team, config, device=device, group_rows=group_rows).run(feature_spec)


class _Fit:
    """One fit: what its steps share."""

    def __init__(self, team: Team, config: CodebookConfig, *, device: str, group_rows: int | None) -> None:
        self.team, self.config, self.group_rows = team, config, group_rows
        self.device = torch.device(device)
        extents: list[Extent] = team("measure")
        self.rows = sum(extent.rows for extent in extents)
        dimensions = {extent.dimension for extent in extents if extent.dimension}
        if self.rows == 0:
            raise InputError("no vectors to fit a codebook on; run the features stage first, or widen the batches")
        if len(dimensions) > 1:
            raise InputError(f"workers hold vectors of dimensions {sorted(dimensions)}; fit one feature spec at a time")
        self.dimension = dimensions.pop()
        largest = max(team("start", grid_step(max(extent.largest for extent in extents))))
        self.unit = math.ldexp(1.0, math.frexp(largest)[1] - 61 + self.rows.bit_length())
        team("grid_squares", self.unit)

    def run(self, feature_spec: str) -> Codebook:
        """All levels, each from the rows of the one above."""
        branching, depth = self.config.branching, self.config.depth
        centroids, counts = [], []
        inertia = np.zeros(depth)
        for level in range(depth):
            sizes: NDArray[np.int64] = np.sum(np.stack(self.team("level", branching**level)), axis=0)
            points = np.zeros((len(sizes), branching, self.dimension), dtype=np.float32)
            members = np.zeros((len(sizes), branching), dtype=np.int64)
            node_inertia = np.zeros(len(sizes))
            for nodes in self._groups(sizes):
                found = _Group(self, nodes, sizes[nodes], level).solve()
                points[nodes], members[nodes], node_inertia[nodes] = (part.cpu().numpy() for part in found)
            self.team("close", branching)
            inertia[level] = math.fsum(node_inertia)
            centroids.append(points.reshape(-1, self.dimension))
            counts.append(members.reshape(-1))
        return Codebook(
            branching=branching,
            seed=self.config.seed,
            feature_spec=feature_spec,
            level_centroids=tuple(centroids),
            level_counts=tuple(counts),
            level_inertia=inertia,
        )

    def _groups(self, sizes: NDArray[np.int64]) -> Iterable[NDArray[np.int64]]:
        """Nodes to be solved together, those of like size side by side."""
        order = np.argsort(-sizes, kind="stable")
        order = order[: int((sizes > 0).sum())]
        limit = max(1, _GROUP_ELEMENTS // (self.config.branching * self.dimension))
        at = 0
        while at < len(order):
            count = limit
            if self.group_rows is not None:
                count = min(limit, max(1, self.group_rows // int(sizes[order[at]])))
            yield order[at : at + count]
            at += count


class _Group:
    """Lloyd's algorithm on the nodes of one group."""

    def __init__(self, owner: _Fit, nodes: NDArray[np.int64], sizes: NDArray[np.int64], level: int) -> None:
        self.team, self.config, self.device, self.level = owner.team, owner.config, owner.device, level
        self.dimension = owner.dimension
        self.nodes, self.sizes = nodes, sizes
        squares = np.sum(np.stack(self.team("open", nodes)), axis=0)
        self.squares = torch.from_numpy(squares * owner.unit).to(self.device)
        self.clear()

    def clear(self) -> None:
        """Empty sums, as before the first pass."""
        shape = (len(self.nodes), self.config.branching)
        self.sums = torch.zeros(shape[0] * shape[1], self.dimension, dtype=torch.float64, device=self.device)
        self.counts = torch.zeros(shape[0] * shape[1], dtype=torch.int64, device=self.device)
        self.shape = shape

    def solve(self) -> tuple[Tensor, Tensor, Tensor]:
        """Centroids [G, K, D], their rows [G, K] and the inertia [G] of the best restart."""
        sample = _gather(
            self.team("sample", self.config.seed_rows * self.config.branching, self.config.seed, self.level)
        )
        best: tuple[Tensor, Tensor, Tensor, Tensor] | None = None
        for restart in range(self.config.restarts):
            if restart:
                self.team("reset")
                self.clear()
            centroids, present, settled = self._lloyd(*self._starts(sample, restart))
            inertia = self._inertia(centroids)
            if best is None:
                best = centroids, present, settled, inertia
                continue
            better = inertia < best[3]
            best = (
                torch.where(better[:, None, None], centroids, best[0]),
                torch.where(better[:, None], present, best[1]),
                torch.zeros_like(settled),
                torch.minimum(inertia, best[3]),
            )
        assert best is not None
        centroids, present, settled, _ = best
        if not bool(settled.all()):
            self._pass(centroids, present, ~settled)
        counts = self.counts.view(self.shape)
        return torch.where((counts > 0).unsqueeze(-1), centroids, 0.0), counts, self._inertia(centroids)

    def _lloyd(self, centroids: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Iterate to the end; returns the centroids, which exist, and nodes whose assignment already is theirs."""
        active = torch.ones(self.shape[0], dtype=torch.bool, device=self.device)
        settled = torch.zeros_like(active)
        before = torch.full(self.shape[:1], float("inf"), dtype=torch.float64, device=self.device)
        for iteration in range(self.config.iterations):
            changed = self._pass(centroids, present, active)
            averages = means(self.sums.view(*self.shape, -1), self.counts.view(self.shape), centroids)
            inertia = self._inertia(averages)
            refilled = torch.zeros_like(active)
            updated = torch.where(active[:, None, None], averages, centroids)
            if iteration + 1 < self.config.iterations:
                refilled = self._refill(centroids, updated, present, active)
            settled |= active & (changed == 0) & ~refilled
            centroids = updated
            gained = before - inertia > self.config.tolerance * inertia
            active = active & ~settled & (gained | refilled)
            before = inertia
            if not bool(active.any()):
                break
        return centroids, present, settled

    def _pass(self, centroids: Tensor, present: Tensor, active: Tensor) -> Tensor:
        """Assign the rows of the active nodes, update sums and counts; returns the rows that changed [G]."""
        changed = torch.zeros(self.shape[0], dtype=torch.int64, device=self.device)
        partials: list[Partial] = self.team("step", centroids, present, active)
        for partial in partials:
            if len(partial.children):
                children = partial.children.to(self.device)
                self.sums.index_add_(0, children, partial.sums.to(self.device))
                self.counts.index_add_(0, children, partial.counts.to(self.device))
            changed += partial.changed_G.to(self.device)
        return changed

    def _inertia(self, centroids: Tensor) -> Tensor:
        """Summed squared distance [G] of the rows to the centroids of their children, from the sums alone."""
        points = centroids.double().view(-1, self.dimension)
        spread = tree_sum(points * (self.counts.unsqueeze(-1) * points - 2.0 * self.sums))
        return (self.squares + tree_sum(spread.view(self.shape))).clamp_min(0.0)

    def _starts(self, sample: Rows, restart: int) -> tuple[Tensor, Tensor]:
        """k-means++ on the sampled rows of every node: centroids [G, K, D] and which exist [G, K]."""
        config = self.config
        limit = config.seed_rows * config.branching
        order = np.lexsort((sample.row, sample.key, sample.position))
        lengths = np.bincount(sample.position, minlength=len(self.nodes))
        lows = np.cumsum(lengths) - lengths
        lengths = np.minimum(lengths, limit)
        centroids = torch.zeros(*self.shape, self.dimension, device=self.device)
        present = torch.zeros(self.shape, dtype=torch.bool, device=self.device)
        at = 0
        while at < len(self.nodes):
            step = max(1, _START_ELEMENTS // max(1, int(lengths[at]) * self.dimension))
            longest = int(lengths[at : at + step].max())
            offsets = np.minimum(np.arange(longest), lengths[at : at + step, None] - 1)
            slots = order[lows[at : at + step, None] + offsets]
            valid = torch.from_numpy(np.arange(longest) < lengths[at : at + step, None])
            rows = sample.row[slots].astype(np.uint64)
            races = np.stack([uniforms(rows, config.seed, self.level, restart, k) for k in range(config.branching)])
            vectors = sample.vectors[torch.from_numpy(slots).to(sample.vectors.device)].to(self.device)
            centroids[at : at + step], present[at : at + step] = starts(
                vectors, valid.to(self.device), torch.from_numpy(-np.log(races)).to(self.device)
            )
            at += step
        return centroids, present

    def _refill(self, used: Tensor, updated: Tensor, present: Tensor, active: Tensor) -> Tensor:
        """Put children without rows on the rows farthest from their centroids; returns the nodes that were [G].

        Changes `updated` and `present`. A node whose rows all lie on their centroids keeps fewer children.
        """
        empty = (self.counts.view(self.shape) == 0) & active.unsqueeze(1)
        room = torch.from_numpy(np.minimum(self.sizes, self.config.branching)).to(self.device)
        filled = self.config.branching - empty.sum(1)
        wanted = torch.where(active, room - filled, 0).clamp_min(0)
        present &= ~empty
        refilled = torch.zeros_like(active)
        if not bool((wanted > 0).any()):
            return refilled
        found = _gather(self.team("farthest", used, wanted.cpu().numpy()))
        order = np.lexsort((found.row, -found.key, found.position))
        for position in np.unique(found.position).tolist():
            mine = order[found.position[order] == position][: int(wanted[position])]
            mine = mine[found.key[mine] > 0]
            slots = empty[position].nonzero()[: len(mine), 0]
            updated[position, slots] = found.vectors[torch.from_numpy(mine)].to(self.device)
            present[position, slots] = True
            refilled[position] = len(mine) > 0
        return refilled


def _gather(parts: list[Rows]) -> Rows:
    """Rows of all workers as one."""
    kept = [part for part in parts if len(part.row)] or parts[:1]
    return Rows(
        np.concatenate([part.position for part in kept]),
        np.concatenate([part.row for part in kept]),
        np.concatenate([part.key for part in kept]),
        torch.cat([part.vectors for part in kept]),
    )
