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

from pipeline.codebook.exact import mix, snap, squared_norms
from pipeline.codebook.kmeans import Scorer, accumulate, assign, scorer, squared_distances
from pipeline.errors import InputError

__all__ = ["Extent", "FitWorker", "Partial", "Rows"]

_TILE_ROWS = 4096
"""Rows of a tile: with 256 columns 4 MiB, which stay in cache over the operations on them."""


@dataclass(frozen=True, slots=True)
class Extent:
    """Size of a worker's share, and its largest magnitude."""

    rows: int
    dimension: int
    largest: float


@dataclass(frozen=True, slots=True)
class Partial:
    """What changed in one pass: children, by `node position * K + child`, and what to add to them."""

    children: Tensor
    sums: Tensor
    counts: Tensor
    changed_G: Tensor
    """Rows of each node of the group whose child changed."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows picked from a group: node position, global row number, a key to merge by, and the vectors."""

    position: NDArray[np.int64]
    row: NDArray[np.int64]
    key: NDArray[np.float64] | NDArray[np.uint64]
    vectors: Tensor


@dataclass(slots=True)
class _Tile:
    """Up to `_TILE_ROWS` rows of some nodes, padded to the same length."""

    position_B: Tensor
    rows_BM: Tensor
    valid_BM: Tensor
    norms_BM: Tensor
    vectors_BMD: Tensor | None = None


@dataclass(slots=True)
class _Block:
    """State of one block of the source."""

    first_row: int
    squares: Tensor
    """|x|**2 as float64, then as int64 on the grid of the fit."""
    norms: Tensor
    node: Tensor
    child: Tensor
    order: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    nodes: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    bounds: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    tiles: list[_Tile] = field(default_factory=list)


class FitWorker:
    """Rows of one worker. `source` is float32 [N, D], kept in memory, or a re-iterable of such blocks, read each pass.

    `first_row` is the number of its first row in the whole sample; the shares of all workers must not overlap.
    """

    def __init__(
        self, source: NDArray[np.float32] | Iterable[NDArray[np.float32]], *, first_row: int = 0, device: str = "cpu"
    ) -> None:
        self._resident: Tensor | None = None
        self._source: Iterable[NDArray[np.float32]] = [source] if isinstance(source, np.ndarray) else source
        self._in_memory = isinstance(source, np.ndarray)
        self._first_row = first_row
        self._device = torch.device(device)
        self._step = 1.0
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
            dimension = block.shape[1]
            peak = max(float(block.max()), -float(block.min())) if len(block) else 0.0
            if not np.isfinite(peak):
                raise InputError("the vectors hold NaN or infinity; reject those clips in the feature stage")
            rows, largest = rows + len(block), max(largest, peak)
        return Extent(rows, dimension, largest)

    def start(self, step: float) -> float:
        """Snap to the grid and put every row into the root; returns the largest |x|**2."""
        self._step, self._blocks, row, largest = step, [], self._first_row, 0.0
        for vectors in self._vectors():
            squares = squared_norms(vectors)
            zeros = torch.zeros(len(vectors), dtype=torch.int64, device=self._device)
            norms = squares.sqrt().float().mul_(1.0 + 2.0**-20)
            self._blocks.append(_Block(row, squares, norms, zeros, torch.full_like(zeros, -1)))
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
            block.order = torch.argsort(block.node, stable=True)
            counts = torch.bincount(block.node, minlength=nodes)
            block.bounds = torch.cat((counts.new_zeros(1), counts.cumsum(0))).cpu()
            total += counts.cpu().numpy()
        return total

    def open(self, nodes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Turn to a group of nodes; returns the summed |x|**2 of each, in grid units."""
        self._group = torch.from_numpy(nodes)
        squares = torch.zeros(len(nodes), dtype=torch.int64, device=self._device)
        for block in self._blocks:
            block.tiles = list(_tiles(block, self._group))
            for tile in block.tiles:
                squares.index_add_(0, tile.position_B, (block.squares[tile.rows_BM] * tile.valid_BM).sum(1))
        return squares.cpu().numpy()

    def reset(self) -> None:
        """Forget the children of the group's rows, for another restart."""
        for block in self._blocks:
            for tile in block.tiles:
                block.child[tile.rows_BM[tile.valid_BM]] = -1

    def close(self, branching: int) -> None:
        """Move every row to its child: the level is done."""
        for block in self._blocks:
            block.node = block.node * branching + block.child
            block.child = torch.full_like(block.child, -1)
            block.tiles = []

    def leaves(self) -> NDArray[np.int64]:
        """The node of every row, int64 [N]: after the last level its leaf."""
        parts = [block.node.cpu().numpy() for block in self._blocks]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def sample(self, limit: int, seed: int, level: int) -> Rows:
        """Up to `limit` rows of every node of the group: those of the least hash of (seed, level, row)."""
        picked = []
        for block, tile, vectors in self._passes():
            rows = tile.rows_BM.cpu().numpy() + block.first_row
            keys = mix(rows.astype(np.uint64), seed, level)
            keys[~tile.valid_BM.cpu().numpy()] = np.iinfo(np.uint64).max
            keep = min(limit, rows.shape[1])
            slots = np.argpartition(keys, keep - 1, axis=1)[:, :keep] if keep < rows.shape[1] else np.argsort(keys, 1)
            valid = np.take_along_axis(tile.valid_BM.cpu().numpy(), slots, 1)
            b, m = np.arange(len(rows))[:, None].repeat(keep, 1)[valid], slots[valid]
            picked.append(Rows(tile.position_B.cpu().numpy()[b], rows[b, m], keys[b, m], vectors[b, m]))
        return self._merge(picked)

    def farthest(self, centroids_GKD: Tensor, wanted_G: NDArray[np.int64]) -> Rows:
        """The `wanted` rows of every node that lie farthest from their own centroid; key = squared distance."""
        picked = []
        centroids = centroids_GKD.to(self._device)
        wanted = torch.from_numpy(wanted_G).to(self._device)
        for block, tile, vectors in self._passes():
            for b in (wanted[tile.position_B] > 0).nonzero()[:, 0].tolist():
                position, valid = int(tile.position_B[b]), tile.valid_BM[b]
                rows = tile.rows_BM[b][valid]
                distances = squared_distances(vectors[b][valid], centroids[position, block.child[rows]])
                ranks = np.lexsort((rows.cpu().numpy(), -distances.cpu().numpy()))[: int(wanted[position])]
                best = torch.from_numpy(ranks).to(self._device)
                picked.append(
                    Rows(
                        np.full(len(ranks), position),
                        rows[best].cpu().numpy() + block.first_row,
                        distances[best].cpu().numpy(),
                        vectors[b][valid][best],
                    )
                )
        return self._merge(picked)

    def step(self, centroids_GKD: Tensor, present_GK: Tensor, active_G: Tensor) -> Partial:
        """Assign the rows of the active nodes to their nearest children and report what that changes."""
        table = scorer(centroids_GKD.to(self._device), present_GK.to(self._device))
        active = active_G.to(self._device)
        branching = centroids_GKD.shape[1]
        changed = torch.zeros(len(active), dtype=torch.int64, device=self._device)
        moves: list[tuple[Tensor, Tensor, Tensor]] = []
        for block, tile, vectors in self._passes(active):
            child = assign(vectors, tile.norms_BM, _table(table, tile))
            old = block.child[tile.rows_BM]
            moved = (child != old) & tile.valid_BM & active[tile.position_B].unsqueeze(1)
            b, m = moved.nonzero(as_tuple=True)
            changed.index_add_(0, tile.position_B, moved.sum(1))
            block.child[tile.rows_BM[b, m]] = child[b, m]
            base = tile.position_B[b] * branching
            was = old[b, m]
            moves.append((base + child[b, m], torch.where(was < 0, -1, base + was), vectors[b, m]))
        return self._partial(moves, changed)

    def _partial(self, moves: list[tuple[Tensor, Tensor, Tensor]], changed: Tensor) -> Partial:
        into = torch.cat([move[0] for move in moves]) if moves else changed[:0]
        out = torch.cat([move[1] for move in moves]) if moves else changed[:0]
        children, slots = torch.unique(torch.cat((into, out[out >= 0])), return_inverse=True)
        dimension = moves[0][2].shape[1] if moves else 1
        sums = torch.zeros(len(children), dimension, dtype=torch.float64, device=self._device)
        ones = torch.ones_like(slots)
        ones[len(into) :] = -1
        counts = torch.zeros(len(children), dtype=torch.int64, device=self._device).index_add_(0, slots, ones)
        left = len(into)
        at = 0
        for entered, origin, vectors in moves:
            accumulate(vectors, slots[at : at + len(entered)], sums)
            at += len(entered)
            leavers = origin >= 0
            count = int(leavers.sum())
            accumulate(vectors[leavers], slots[left : left + count], sums, sign=-1)
            left += count
        return Partial(children, sums, counts, changed)

    def _vectors(self) -> Iterator[Tensor]:
        """The blocks of the source on the grid and the device; one array is kept after the first pass."""
        if self._resident is not None:
            yield self._resident
            return
        for block in self._source:
            vectors = snap(torch.from_numpy(np.ascontiguousarray(block)).to(self._device), step=self._step)
            if self._in_memory:
                self._resident = vectors
            yield vectors

    def _passes(self, active_G: Tensor | None = None) -> Iterator[tuple[_Block, _Tile, Tensor]]:
        """Every tile of the group with its vectors, less those without an active node."""
        for block, vectors in zip(self._blocks, self._vectors(), strict=True):
            for tile in block.tiles:
                if active_G is not None and not bool(active_G[tile.position_B].any()):
                    continue
                if tile.vectors_BMD is not None:
                    yield block, tile, tile.vectors_BMD
                    continue
                gathered = vectors[tile.rows_BM]
                if self._in_memory:
                    tile.vectors_BMD = gathered
                yield block, tile, gathered

    def _merge(self, picked: list[Rows]) -> Rows:
        if not picked:
            empty = np.zeros(0, dtype=np.int64)
            return Rows(empty, empty, np.zeros(0), torch.zeros(0, 1, device=self._device))
        return Rows(
            np.concatenate([rows.position for rows in picked]),
            np.concatenate([rows.row for rows in picked]),
            np.concatenate([rows.key for rows in picked]),
            torch.cat([rows.vectors for rows in picked]),
        )


def _table(table: Scorer, tile: _Tile) -> Scorer:
    return table.take(tile.position_B)


def _tiles(block: _Block, nodes: Tensor) -> Iterator[_Tile]:
    """Tiles over the rows of the nodes: a large node is cut, small ones of similar size are padded together."""
    lows, counts = block.bounds[nodes], block.bounds[nodes + 1] - block.bounds[nodes]
    order = torch.argsort(counts, descending=True, stable=True).tolist()
    sizes = counts.tolist()
    at = 0
    while at < len(order) and sizes[order[at]] > 0:
        longest = sizes[order[at]]
        if longest >= _TILE_ROWS // 2:
            low = int(lows[order[at]])
            for rows in torch.split(block.order[low : low + longest], _TILE_ROWS):
                yield _tile(
                    block, torch.tensor([order[at]]), rows.unsqueeze(0), torch.ones(1, len(rows), dtype=torch.bool)
                )
            at += 1
            continue
        batch = torch.tensor([p for p in order[at : at + _TILE_ROWS // longest] if sizes[p] > 0])
        offsets = torch.arange(longest)
        valid = offsets < counts[batch].unsqueeze(1)
        slots = torch.where(valid, lows[batch].unsqueeze(1) + offsets, lows[batch].unsqueeze(1))
        yield _tile(block, batch, block.order[slots.to(block.order.device)], valid)
        at += len(batch)


def _tile(block: _Block, position_B: Tensor, rows_BM: Tensor, valid_BM: Tensor) -> _Tile:
    device = block.order.device
    return _Tile(position_B.to(device), rows_BM, valid_BM.to(device), block.norms[rows_BM])
