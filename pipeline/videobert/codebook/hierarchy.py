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

from videobert.codebook.config import CodebookConfig
from videobert.codebook.core import Codebook
from videobert.codebook.exact import grid_step, tree_sum, uniforms
from videobert.codebook.kmeans import means, starts
from videobert.codebook.rows import Extent, FitWorker, Partial, Rows
from videobert.errors import InputError
from videobert.runtime.device import pick_device

__all__ = ["GROUP_ELEMENTS", "WorkerGroup", "fit", "fit_with_group", "local_group"]

WorkerGroup = Callable[..., list[Any]]
"""`workers(method, *arguments)` calls that method of every `FitWorker` and returns the answers, in any order."""

GROUP_ELEMENTS = 1 << 22
"""Rows x columns of nodes that are carried to the end together before the next, so that they stay near; only where
asking a worker costs nothing, and reading its rows again neither."""
_SUMS_ELEMENTS = 1 << 28
_START_ELEMENTS = 1 << 20


def local_group(workers: Sequence[FitWorker]) -> WorkerGroup:
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
    device = str(pick_device(config.device))
    elements = GROUP_ELEMENTS if isinstance(vectors, np.ndarray) and device == "cpu" else None
    workers = local_group([FitWorker(vectors, device=device)])
    return fit_with_group(workers, config, feature_spec=feature_spec, device=device, group_elements=elements)


def fit_with_group(
    workers: WorkerGroup,
    config: CodebookConfig,
    *,
    feature_spec: str = "",
    device: str = "cpu",
    group_elements: int | None = None,
) -> Codebook:
    """Fit over a group of workers, as `fit`. `group_elements` bounds what is in hand at a time, not the result."""
    return _Fit(workers, config, device=device, group_elements=group_elements).run(feature_spec)


class _Fit:
    """One fit: what its steps share."""

    def __init__(
        self, workers: WorkerGroup, config: CodebookConfig, *, device: str, group_elements: int | None
    ) -> None:
        self.workers, self.config, self.group_elements = workers, config, group_elements
        self.device = torch.device(device)
        extents: list[Extent] = workers("measure")
        self.rows = sum(extent.rows for extent in extents)
        dimensions = {extent.dimension for extent in extents if extent.dimension}
        if self.rows == 0:
            raise InputError("no vectors to fit a codebook on; run the features stage first, or widen the batches")
        if len(dimensions) > 1:
            raise InputError(f"workers hold vectors of dimensions {sorted(dimensions)}; fit one feature spec at a time")
        self.dimension = dimensions.pop()
        largest = max(workers("start", grid_step(max(extent.largest for extent in extents))))
        self.unit = math.ldexp(1.0, math.frexp(largest)[1] - 61 + self.rows.bit_length())
        workers("grid_squares", self.unit)

    def run(self, feature_spec: str) -> Codebook:
        """All levels, each from the rows of the one above."""
        branching, depth = self.config.branching, self.config.depth
        centroids, counts = [], []
        inertia = np.zeros(depth)
        for level in range(depth):
            sizes: NDArray[np.int64] = np.sum(np.stack(self.workers("level", branching**level)), axis=0)
            points = np.zeros((len(sizes), branching, self.dimension), dtype=np.float32)
            members = np.zeros((len(sizes), branching), dtype=np.int64)
            node_inertia = np.zeros(len(sizes))
            for nodes in self._groups(sizes):
                found = _Group(self, nodes, sizes[nodes], level).solve()
                points[nodes], members[nodes], node_inertia[nodes] = (part.cpu().numpy() for part in found)
            self.workers("close", branching)
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
        limit = max(1, _SUMS_ELEMENTS // (self.config.branching * self.dimension))
        at = 0
        while at < len(order):
            count = limit
            if self.group_elements is not None:
                count = min(limit, max(1, self.group_elements // (int(sizes[order[at]]) * self.dimension)))
            yield order[at : at + count]
            at += count


class _Group:
    """Lloyd's algorithm on the nodes of one group."""

    def __init__(self, owner: _Fit, nodes: NDArray[np.int64], sizes: NDArray[np.int64], level: int) -> None:
        self.workers, self.config, self.device, self.level = owner.workers, owner.config, owner.device, level
        self.sizes = sizes
        self.shape = (len(nodes), owner.config.branching, owner.dimension)
        squares = np.sum(np.stack(self.workers("open", nodes)), axis=0)
        self.squares = torch.from_numpy(squares * owner.unit).to(self.device)
        self.clear()

    def clear(self) -> None:
        """Empty sums, as before the first pass."""
        self.sums = torch.zeros(self.shape, dtype=torch.float64, device=self.device)
        self.counts = torch.zeros(self.shape[:2], dtype=torch.int64, device=self.device)

    def solve(self) -> tuple[Tensor, Tensor, Tensor]:
        """Centroids [G, K, D], their rows [G, K] and the inertia [G] of the best restart."""
        config = self.config
        crowded = self.sizes > config.seed_rows
        sample = _gather(self.workers("sample", config.seed_rows, crowded, config.seed, self.level))
        centroids, present, moving = self._lloyd(*self._starts(sample, 0))
        inertia = self._inertia(centroids) if config.restarts > 1 else None
        for restart in range(1, config.restarts):
            self.workers("reset")
            self.clear()
            others, theirs, _ = self._lloyd(*self._starts(sample, restart))
            assert inertia is not None
            reached = self._inertia(others)
            better = reached < inertia
            inertia = torch.minimum(reached, inertia)
            centroids = torch.where(better[:, None, None], others, centroids)
            present = torch.where(better[:, None], theirs, present)
            moving = torch.ones_like(moving)
        if bool(moving.any()):
            self._pass(moving.nonzero()[:, 0], centroids, present)
        self.workers("settle")
        return torch.where((self.counts > 0).unsqueeze(-1), centroids, 0.0), self.counts, self._inertia(centroids)

    def _lloyd(self, centroids: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Iterate; returns centroids, which of them exist, and nodes [G] whose rows may still move under them."""
        active = torch.arange(self.shape[0], device=self.device)
        moving = torch.ones(self.shape[0], dtype=torch.bool, device=self.device)
        allowed = torch.from_numpy((self.sizes * self.config.tolerance).astype(np.int64)).to(self.device)
        for iteration in range(self.config.iterations):
            changed = self._pass(active, centroids, present)
            whole = len(active) == self.shape[0]
            sums, counts, used = (
                part if whole else part.index_select(0, active) for part in (self.sums, self.counts, centroids)
            )
            updated = means(sums, counts, used)
            again = changed > allowed[active]
            still = changed > 0
            if iteration + 1 < self.config.iterations and bool((counts == 0).any()):
                refilled = self._refill(active, counts == 0, used, updated, present)
                again, still = again | refilled, still | refilled
            centroids = updated if whole else centroids.index_copy(0, active, updated)
            moving[active] = still
            active = active[again]
            if len(active) == 0:
                break
        return centroids, present, moving

    def _pass(self, active: Tensor, centroids: Tensor, present: Tensor) -> Tensor:
        """Assign the rows of the active nodes, update sums and counts; returns how many rows changed [A]."""
        whole = len(active) == self.shape[0]
        tables = (centroids, present) if whole else (centroids.index_select(0, active), present[active])
        partials: list[Partial] = self.workers("step", active, *tables)
        changed = torch.zeros(len(active), dtype=torch.int64, device=self.device)
        branching = self.shape[1]
        for partial in partials:
            children = partial.children.to(self.device)
            slots = active[children // branching] * branching + children % branching
            self.sums.flatten(0, 1).index_add_(0, slots, partial.sums.to(self.device))
            self.counts.flatten().index_add_(0, slots, partial.counts.to(self.device))
            changed += partial.changed_A.to(self.device)
        return changed

    def _inertia(self, centroids: Tensor) -> Tensor:
        """Summed squared distance [G] of the rows to the centroids of their children, from the sums alone."""
        points = centroids.double()
        spread = (points * self.counts.unsqueeze(-1)).sub_(self.sums, alpha=2.0).mul_(points)
        return (self.squares + tree_sum(tree_sum(spread))).clamp_min(0.0)

    def _starts(self, sample: Rows, restart: int) -> tuple[Tensor, Tensor]:
        """k-means++ on the sampled rows of every node: centroids [G, K, D] and which exist [G, K]."""
        config = self.config
        order = np.lexsort((sample.row, sample.key, sample.position))
        found = np.bincount(sample.position, minlength=len(self.sizes))
        lows, lengths = np.cumsum(found) - found, np.minimum(found, config.seed_rows)
        centroids = torch.zeros(self.shape, device=self.device)
        present = torch.zeros(self.shape[:2], dtype=torch.bool, device=self.device)
        at = 0
        while at < len(found):
            part = slice(at, at + max(1, _START_ELEMENTS // max(1, int(lengths[at]) * self.shape[2])))
            offsets = np.arange(int(lengths[part].max()))
            slots = order[lows[part, None] + np.minimum(offsets, lengths[part, None] - 1)]
            index = torch.from_numpy(slots.ravel()).to(sample.vectors.device)
            vectors = sample.vectors.index_select(0, index).to(self.device).view(*slots.shape, -1)
            valid = torch.from_numpy(offsets < lengths[part, None]).to(self.device)
            rows = sample.row[slots].astype(np.uint64)
            races = np.stack([uniforms(rows, config.seed, self.level, restart, k) for k in range(config.branching)])
            centroids[part], present[part] = starts(vectors, valid, torch.from_numpy(-np.log(races)).to(self.device))
            at = part.stop
        return centroids, present

    def _refill(self, active: Tensor, empty_AK: Tensor, used: Tensor, updated: Tensor, present: Tensor) -> Tensor:
        """Put children without rows on the rows farthest from their centroids; returns the nodes it moved [A].

        Changes `updated` and `present`. A node whose rows all lie on their centroids keeps fewer children.
        """
        branching = self.shape[1]
        room = torch.from_numpy(np.minimum(self.sizes, branching)).to(self.device)[active]
        wanted = (room - branching + empty_AK.sum(1)).clamp_min(0)
        present[active] &= ~empty_AK
        refilled = torch.zeros_like(active, dtype=torch.bool)
        if not bool((wanted > 0).any()):
            return refilled
        found = _gather(self.workers("farthest", active, used, wanted))
        order = np.lexsort((found.row, -found.key, found.position))
        for lane in np.unique(found.position).tolist():
            mine = order[found.position[order] == lane][: int(wanted[lane])]
            mine = mine[found.key[mine] > 0]
            slots = empty_AK[lane].nonzero()[: len(mine), 0]
            updated[lane, slots] = found.vectors[torch.from_numpy(mine).to(found.vectors.device)].to(self.device)
            present[active[lane], slots] = True
            refilled[lane] = len(mine) > 0
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
