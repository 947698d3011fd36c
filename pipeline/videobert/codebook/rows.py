"""The rows one worker holds during a fit: which node each is in, and the passes over them.

A plain class: in one process it is called directly, on a cluster it becomes an actor. Every answer is either exact or
decided by (value, row number), so replies of any number of workers merge to the same bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videobert.codebook.exact import at_a_time, mix
from videobert.codebook.kernels import Kernels, kernels
from videobert.codebook.kmeans import TILE_ELEMENTS, norms, scorer, squared_distances, tensor
from videobert.codebook.tiles import sorted_by_node, tiles
from videobert.codebook.values import check_values
from videobert.errors import InputError

__all__ = ["Extent", "FitWorker", "Partial", "Rows"]


@dataclass(frozen=True, slots=True)
class Extent:
    """Size of a worker's share, and its largest magnitude."""

    rows: int
    dimension: int
    largest: float


@dataclass(frozen=True, slots=True)
class Partial:
    """What changed in one pass: children, by `index in active * K + child`, and what to add to them."""

    children: Tensor
    sums: Tensor
    counts: Tensor
    changed_A: Tensor
    """Rows of each active node whose child changed."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows picked from a group: node position, global row number, a key to merge by, and the vectors."""

    position: NDArray[np.int64]
    row: NDArray[np.int64]
    key: NDArray[np.float64] | NDArray[np.uint64]
    vectors: Tensor


@dataclass(slots=True)
class _Tile:
    """State of a `Tile`."""

    position_B: Tensor
    rows_BM: Tensor
    valid_BM: Tensor
    norms_BM: Tensor
    child_BM: Tensor | None = None
    """Children of the rows; None before the first pass."""
    vectors_BMD: Tensor | None = None


@dataclass(slots=True)
class _Block:
    """State of one block of the source."""

    numbers: NDArray[np.int64]
    """Of its rows in the whole sample."""
    squares: Tensor
    """|x|**2 as float64, then as int64 on the grid of the fit."""
    norms: Tensor
    node: Tensor
    child: Tensor
    """Child of every row whose node is solved."""
    order: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    nodes: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    bounds: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    tiles: list[_Tile] = field(default_factory=list)


class FitWorker:
    """Rows of one worker. `source` is float32 [N, D], kept in memory, or a re-iterable of such blocks, read each pass.

    `numbers` int64 [N] are those of its rows in the whole sample, 0 to N - 1 when it holds all of them; those of all
    workers must not overlap. Tensors of its answers lie on `answers_on`, else on `device`.
    """

    def __init__(
        self,
        source: NDArray[np.float32] | Iterable[NDArray[np.float32]],
        *,
        numbers: NDArray[np.int64] | None = None,
        device: str = "cpu",
        answers_on: str = "",
    ) -> None:
        self._resident: Tensor | None = None
        self._source: Iterable[NDArray[np.float32]] = [source] if isinstance(source, np.ndarray) else source
        self._in_memory = isinstance(source, np.ndarray)
        self._numbers = numbers
        self._device = torch.device(device)
        self._kernels = kernels(self._device)
        self._answers_on = torch.device(answers_on or device)
        self._step, self._dimension = 1.0, 1
        self._blocks: list[_Block] = []
        self._group: Tensor = torch.zeros(0, dtype=torch.int64)

    def measure(self) -> Extent:
        """Read everything once; InputError on other shapes than [N, D], or on NaN and infinity."""
        rows, dimension, largest = 0, 0, 0.0
        for block in self._source:
            if block.ndim != 2 or block.dtype != np.float32 or block.shape[1] == 0:
                raise InputError(f"vectors are {block.dtype} {block.shape}; a fit takes float32 [clips, dimension]")
            if dimension not in (0, block.shape[1]):
                raise InputError(
                    f"blocks of {dimension} and {block.shape[1]} dimensions; fit one feature spec at a time"
                )
            self._dimension = dimension = block.shape[1]
            rows, largest = rows + len(block), max(largest, check_values(block))
        return Extent(rows, dimension, largest)

    def start(self, step: float) -> float:
        """Put every row into the root and fix the grid of the sums; returns the largest |x|**2."""
        self._step, self._blocks, row, largest = step, [], 0, 0.0
        for vectors in self._vectors():
            squares = self._kernels.squared_norms(vectors, step=step)
            zeros = torch.zeros(len(vectors), dtype=torch.int64, device=self._device)
            of_all = np.arange(row, row + len(vectors))
            numbers = of_all if self._numbers is None else self._numbers[of_all]
            self._blocks.append(_Block(numbers, squares, norms(vectors), zeros, torch.full_like(zeros, -1)))
            row += len(vectors)
            largest = max(largest, float(squares.max())) if len(squares) else largest
        return largest

    def grid_squares(self, unit: float) -> None:
        """Turn |x|**2 into whole multiples of `unit`, whose int64 sums are exact."""
        for block in self._blocks:
            block.squares = torch.round(block.squares / unit).long()

    def level(self, nodes: int) -> NDArray[np.int64]:
        """Sort the rows by node; returns how many rows each of the nodes holds here."""
        total = np.zeros(nodes, dtype=np.int64)
        for block in self._blocks:
            block.order, block.bounds = sorted_by_node(block.node, nodes)
            total += block.bounds.diff().numpy()
        return total

    def open(self, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Turn to a group of nodes; returns the summed |x|**2 of each, in grid units."""
        self._group = torch.from_numpy(nodes)
        squares = torch.zeros(len(nodes), dtype=torch.int64, device=self._device)
        room = max(1, at_a_time(TILE_ELEMENTS, self._device) // self._dimension)
        for block in self._blocks:
            found = tiles(block.order, block.bounds, self._group, room=room)
            block.tiles = [_Tile(*tile, block.norms[tile.rows_BM]) for tile in found]
            for tile in block.tiles:
                squares.index_add_(0, tile.position_B, (block.squares[tile.rows_BM] * tile.valid_BM).sum(1))
        return squares.cpu().numpy()

    def reset(self) -> None:
        """Forget the children of the group's rows, for another restart."""
        for block in self._blocks:
            for tile in block.tiles:
                tile.child_BM = None

    def settle(self) -> None:
        """The group is solved: its rows keep their children."""
        for block in self._blocks:
            for tile in block.tiles:
                assert tile.child_BM is not None, "a group is settled after its first pass"
                block.child[tile.rows_BM[tile.valid_BM]] = tile.child_BM[tile.valid_BM]
            block.tiles = []

    def close(self, branching: int) -> None:
        """Move every row to its child: the level is done."""
        for block in self._blocks:
            block.node = block.node * branching + block.child

    def leaves(self) -> NDArray[np.int64]:
        """The node of every row, int64 [N]: after the last level its leaf."""
        parts = [block.node.cpu().numpy() for block in self._blocks]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def sample(self, limit: int, crowded_G: NDArray[np.bool_], seed: int, level: int) -> Rows:
        """Rows to draw starts from: of a crowded node the `limit` of least hash of (seed, level, row), else all."""
        picked = []
        for block, tile, vectors in self._passes():
            rows = block.numbers[tile.rows_BM.cpu().numpy()]
            position = tile.position_B.cpu().numpy()
            keep = tile.valid_BM.cpu().numpy().copy()
            keys = np.zeros(rows.shape, dtype=np.uint64)
            if crowded_G[position].any():
                keys = np.where(crowded_G[position, None], mix(rows.astype(np.uint64), seed, level), keys)
                if limit < rows.shape[1]:
                    bar = np.partition(np.where(keep, keys, np.iinfo(np.uint64).max), limit - 1, axis=1)[:, limit - 1]
                    keep &= (keys <= bar[:, None]) | ~crowded_G[position, None]
            b, m = keep.nonzero()
            slots = torch.from_numpy(b * rows.shape[1] + m).to(self._device)
            picked.append(Rows(position[b], rows[b, m], keys[b, m], vectors.flatten(0, 1).index_select(0, slots)))
        return _merge(picked, self._answers_on)

    def farthest(self, active_A: Tensor, centroids_AKD: Tensor, wanted_A: Tensor) -> Rows:
        """The `wanted` rows of every active node that lie farthest from their centroid; key = squared distance."""
        picked = []
        lane = self._lanes(active_A)
        centroids, wanted = centroids_AKD.to(self._device), wanted_A.tolist()
        for block, tile, vectors in self._passes():
            assert tile.child_BM is not None, "distances are asked for after a pass"
            for b, a in enumerate(lane[tile.position_B].tolist()):
                if a < 0 or wanted[a] == 0:
                    continue
                valid = tile.valid_BM[b]
                rows, mine = block.numbers[tile.rows_BM[b][valid].cpu().numpy()], vectors[b][valid]
                distances = squared_distances(mine, centroids[a, tile.child_BM[b][valid]]).cpu().numpy()
                best = np.lexsort((rows, -distances))[: wanted[a]]
                found = mine[torch.from_numpy(best).to(self._device)]
                picked.append(Rows(np.full(len(best), a), rows[best], distances[best], found))
        return _merge(picked, self._answers_on)

    def step(self, active_A: Tensor, centroids_AKD: Tensor, present_AK: Tensor) -> Partial:
        """Assign the rows of the active nodes (positions in the group) and report what that changes."""
        table = scorer(centroids_AKD.to(self._device), present_AK.to(self._device))
        lane = self._lanes(active_A)
        branching = centroids_AKD.shape[1]
        delta = _Delta(self._kernels, len(active_A) * branching, centroids_AKD.shape[2], self._step, self._device)
        changed = torch.zeros(len(active_A), dtype=torch.int64, device=self._device)
        for _, tile, vectors in self._passes():
            lanes = lane[tile.position_B]
            picked = (lanes >= 0).nonzero()[:, 0]
            if len(picked) == 0:
                continue
            whole = len(picked) == len(lanes)
            lengths, valid, old = tile.norms_BM, tile.valid_BM, tile.child_BM
            if not whole:
                lanes, lengths, valid = lanes[picked], lengths[picked], valid[picked]
                vectors = vectors.index_select(0, picked)
                old = old[picked] if old is not None else None
            child = self._kernels.assign(vectors, lengths, table, lanes)
            moved = valid if old is None else (child != old) & valid
            changed.index_add_(0, lanes, moved.sum(1))
            slots = moved.flatten().nonzero()[:, 0]
            base = lanes.mul(branching).unsqueeze(1)
            into = (base + child).flatten()[slots]
            delta.add(vectors.flatten(0, 1), slots, into, (base + old).flatten()[slots] if old is not None else None)
            if whole or tile.child_BM is None:
                tile.child_BM = child
            else:
                tile.child_BM[picked] = child
        return delta.partial(changed, self._answers_on)

    def _lanes(self, active_A: Tensor) -> Tensor:
        """Index in `active` of every node of the group, -1 for the others."""
        lanes = torch.full(self._group.shape, -1, dtype=torch.int64, device=self._device)
        lanes[active_A.to(self._device)] = torch.arange(len(active_A), device=self._device)
        return lanes

    def _vectors(self) -> Iterator[Tensor]:
        """The blocks of the source on the device; one array stays there after the first pass."""
        if self._resident is not None:
            yield self._resident
            return
        for block in self._source:
            vectors = tensor(block, device=self._device)
            if self._in_memory:
                self._resident = vectors
            yield vectors

    def _passes(self) -> Iterator[tuple[_Block, _Tile, Tensor]]:
        """Every tile of the group with its vectors; an array's tiles are kept until the group is settled."""
        for block, vectors in zip(self._blocks, self._vectors(), strict=True):
            for tile in block.tiles:
                if tile.vectors_BMD is not None:
                    yield block, tile, tile.vectors_BMD
                    continue
                gathered = _gathered(vectors, tile.rows_BM)
                if self._in_memory:
                    tile.vectors_BMD = gathered
                yield block, tile, gathered


class _Delta:
    """Sums and counts that change in one pass."""

    def __init__(self, kernels: Kernels, children: int, dimension: int, step: float, device: torch.device) -> None:
        self._kernels, self._step = kernels, step
        self._counts = torch.zeros(children, dtype=torch.int64, device=device)
        self._touched = torch.zeros(children, dtype=torch.bool, device=device)
        self._sums = torch.zeros(children, dimension, dtype=torch.float64, device=device)

    def add(self, rows: Tensor, taken: Tensor, into: Tensor, out: Tensor | None) -> None:
        """Rows taken enter the children `into` and leave `out`."""
        ones = torch.ones_like(into)
        self._touched[into] = True
        self._counts.index_add_(0, into, ones)
        self._kernels.accumulate(rows, taken, into, self._sums, step=self._step, out_of_R=out)
        if out is not None:
            self._touched[out] = True
            self._counts.index_add_(0, out, ones, alpha=-1)

    def partial(self, changed: Tensor, device: torch.device) -> Partial:
        """What to send: the touched children only."""
        children = self._touched.nonzero()[:, 0]
        sums = self._sums if len(children) == len(self._sums) else self._sums.index_select(0, children)
        return Partial(*(part.to(device) for part in (children, sums, self._counts[children], changed)))


def _gathered(vectors: Tensor, rows_BM: Tensor) -> Tensor:
    """Rows [B, M, D]; a view where they lie side by side."""
    flat = rows_BM.flatten()
    if len(rows_BM) == 1 and int(flat[-1]) - int(flat[0]) == len(flat) - 1:
        return vectors[int(flat[0]) : int(flat[-1]) + 1].unsqueeze(0)
    return vectors.index_select(0, flat).view(*rows_BM.shape, -1)


def _merge(picked: list[Rows], device: torch.device) -> Rows:
    if not picked:
        empty = np.zeros(0, dtype=np.int64)
        return Rows(empty, empty, np.zeros(0), torch.zeros(0, 1, device=device))
    return Rows(
        np.concatenate([rows.position for rows in picked]),
        np.concatenate([rows.row for rows in picked]),
        np.concatenate([rows.key for rows in picked]),
        (torch.cat([rows.vectors for rows in picked]) if len(picked) > 1 else picked[0].vectors).to(device),
    )
