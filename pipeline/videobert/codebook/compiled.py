"""The inner loops on a CPU, compiled by Numba: nearest child of every row, and exact sums.

The same bits as `kmeans`, which serves a GPU: there many rows share one large product, here a row is read once while
the edges of its node are in cache.

N rows, M or R of them taken, G nodes, K children of a node, D dimension, S sums; B nodes of a tile.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor

from videobert.codebook.kmeans import Scorer
from videobert.codebook.values import LARGEST_VALUE, UNDERFLOW, check_values

__all__ = ["accumulate", "assign", "descend", "squared_norms"]

_PIECE_ELEMENTS = 1 << 17
"""Rows x columns that descend two levels while they are in cache: 512 KiB."""
_THREAD_ELEMENTS = 1 << 18
"""Rows x columns that are worth a thread."""

_Floats = NDArray[np.float32]
_Index = NDArray[np.int64]
_Loop = TypeVar("_Loop", bound=Callable[..., Any])


class _Table(NamedTuple):
    """`Scorer` as arrays."""

    centroids_GKD: _Floats
    edges_GKD: _Floats
    bias_GK: _Floats
    slack_G: _Floats
    reach_G: _Floats

    @classmethod
    def of(cls, scorer: Scorer) -> _Table:
        return cls(*(getattr(scorer, name).numpy() for name in cls._fields))


def assign(vectors_BMD: Tensor, norms_BM: Tensor, table: Scorer, nodes_B: Tensor) -> Tensor:
    """As `kmeans.assign`."""
    rows, lengths = vectors_BMD.flatten(0, 1).numpy(), norms_BM.flatten().numpy()
    node = nodes_B.repeat_interleave(vectors_BMD.shape[1]).numpy()
    child, order, arrays = np.empty_like(node), np.arange(len(node)), _Table.of(table)

    def of_part(part: slice) -> None:
        _nearest(rows, order[part], node[part], lengths[part], arrays, child[part])

    _spread(of_part, rows.size, len(order))
    return torch.from_numpy(child).view(norms_BM.shape)


def squared_norms(vectors: Tensor, *, step: float) -> Tensor:
    """As `exact.squared_norms`."""
    rows, squares = vectors.numpy(), np.empty(len(vectors), dtype=np.float64)
    _spread(lambda part: _squared_norms(rows[part], step, squares[part]), rows.size, len(rows))
    return torch.from_numpy(squares)


def accumulate(
    rows_ND: Tensor, taken_R: Tensor, into_R: Tensor, sums_SD: Tensor, *, step: float, out_of_R: Tensor | None = None
) -> None:
    """As `kmeans.accumulate`."""
    rows, taken, into, sums = (part.numpy() for part in (rows_ND, taken_R, into_R, sums_SD))
    out_of = into[:0] if out_of_R is None else out_of_R.numpy()

    # Threads share columns, not rows: no two of them touch one sum.
    def of_part(part: slice) -> None:
        _accumulate(rows, taken, into, out_of, sums, step, part.start, part.stop)

    _spread(of_part, len(taken) * rows.shape[1], rows.shape[1])


def descend(rows_ND: Tensor, levels: Sequence[Scorer]) -> Tensor:
    """As `kmeans.descend`.

    Rows are taken in the order of their nodes, two levels at a time: sorted anew within a piece, they need not leave
    the cache in between.
    """
    rows = rows_ND.numpy()
    node, lengths = np.zeros(len(rows), dtype=np.int64), np.empty(len(rows), dtype=np.float32)
    size, tables = max(1, _PIECE_ELEMENTS // rows.shape[1]), [_Table.of(level) for level in levels]

    def two_levels(first: int, order: _Index, part: slice) -> None:
        for low in range(part.start, part.stop, size):
            piece = order[low : min(low + size, part.stop)]
            if first == 0 and not _measure(rows, piece, lengths):
                check_values(rows)
            for level, table in enumerate(tables[first : first + 2], first):
                nodes, branching = table.bias_GK.shape
                if level > first:
                    piece = piece[_sorted(node[piece], nodes)]
                parent, child = node[piece], np.empty_like(piece)
                _nearest(rows, piece, parent, lengths[piece], table, child)
                node[piece] = parent * branching + child

    for first in range(0, len(levels), 2):
        order = _sorted(node, len(levels[first].bias_GK))
        _spread(partial(two_levels, first, order), rows.size, len(order))
    return torch.from_numpy(node)


def _sorted(node_M: _Index, nodes: int) -> _Index:
    """Order of the rows by node; small integers are sorted by their digits, ten times as fast."""
    return np.argsort(node_M.astype(np.min_scalar_type(nodes)), kind="stable")


def _spread(call: Callable[[slice], None], elements: int, length: int) -> None:
    """Call with the parts of `range(length)`, one a thread, on as many as torch would take."""
    threads = min(torch.get_num_threads(), 1 + elements // _THREAD_ELEMENTS, max(1, length))
    bounds = [length * part // threads for part in range(threads + 1)]
    first, *others = (slice(low, high) for low, high in pairwise(bounds))
    waiting = [_pool(threads - 1).submit(call, part) for part in others]
    call(first)
    for other in waiting:
        other.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="codebook")


os.register_at_fork(after_in_child=_pool.cache_clear)


def _compile(*fastmath: str) -> Callable[[_Loop], _Loop]:
    """Numba's compiler, its work kept between processes where there is a place; `fastmath`: liberties it may take."""

    def decorate(loop: _Loop) -> _Loop:
        options: dict[str, Any] = {"nogil": True, "fastmath": set(fastmath)}
        try:
            compiled: _Loop = njit(cache=True, **options)(loop)
        except RuntimeError:  # neither the package's folder nor the home can be written
            compiled = njit(**options)(loop)
        return compiled

    return decorate


@_compile()
def _fold(values_D: NDArray[np.float64]) -> float:
    """The sum, as `exact.tree_sum` takes it; overwrites the values."""
    width = len(values_D)
    while width > 1:
        half = width // 2
        for d in range(half):
            values_D[d] += values_D[half + d]
        if width % 2:
            values_D[half] = values_D[width - 1]
        width -= half
    return float(values_D[0])


@_compile()
def _squared_distance(row_D: _Floats, centroid_D: _Floats, room_D: NDArray[np.float64]) -> float:
    """|row - centroid|**2 in float64, rounded as `kmeans.squared_distances`."""
    for d in range(len(row_D)):
        apart = np.float64(row_D[d]) - np.float64(centroid_D[d])
        room_D[d] = apart * apart
    return _fold(room_D)


@_compile()
def _squared_norms(rows_ND: _Floats, step: float, squares_N: NDArray[np.float64]) -> None:
    scale, unit = np.float32(1.0 / step), np.float32(step)
    room = np.empty(rows_ND.shape[1], np.float64)
    for r in range(len(rows_ND)):
        row = rows_ND[r]
        for d in range(len(row)):
            on_grid = np.float64(np.rint(row[d] * scale) * unit)
            room[d] = on_grid * on_grid
        squares_N[r] = _fold(room)


@_compile("reassoc", "contract", "nsz")
def _products(x0: _Floats, x1: _Floats, x2: _Floats, x3: _Floats, edges_KD: _Floats, products_4K: _Floats) -> None:
    """Four rows with every edge. Twelve sums fit the registers, and seven loads feed twelve products."""
    last = len(edges_KD) - 1
    for k in range(0, last + 1, 3):
        k1, k2 = min(k + 1, last), min(k + 2, last)
        a, b, c = edges_KD[k], edges_KD[k1], edges_KD[k2]
        s0a = s0b = s0c = s1a = s1b = s1c = s2a = s2b = s2c = s3a = s3b = s3c = np.float32(0)
        for d in range(len(a)):
            s0a += x0[d] * a[d]
            s0b += x0[d] * b[d]
            s0c += x0[d] * c[d]
            s1a += x1[d] * a[d]
            s1b += x1[d] * b[d]
            s1c += x1[d] * c[d]
            s2a += x2[d] * a[d]
            s2b += x2[d] * b[d]
            s2c += x2[d] * c[d]
            s3a += x3[d] * a[d]
            s3b += x3[d] * b[d]
            s3c += x3[d] * c[d]
        products_4K[0, k], products_4K[0, k1], products_4K[0, k2] = s0a, s0b, s0c
        products_4K[1, k], products_4K[1, k1], products_4K[1, k2] = s1a, s1b, s1c
        products_4K[2, k], products_4K[2, k1], products_4K[2, k2] = s2a, s2b, s2c
        products_4K[3, k], products_4K[3, k1], products_4K[3, k2] = s3a, s3b, s3c


@_compile("nnan", "nsz")
def _two_best(products_K: _Floats, bias_K: _Floats) -> tuple[int, np.float32, np.float32]:
    """Child of least score, that score and the next; without a branch, which would be mispredicted."""
    child, best, second = 0, bias_K[0] - products_K[0], np.float32(np.inf)
    for k in range(1, len(bias_K)):
        score = bias_K[k] - products_K[k]
        child = k if score < best else child
        second = min(second, max(best, score))
        best = min(best, score)
    return child, best, second


@_compile()
def _nearest(
    rows_ND: _Floats,
    order_M: _Index,
    node_M: _Index,
    lengths_M: _Floats,
    table: _Table,
    child_M: _Index,
) -> None:
    """Write the nearest child of rows in the order of their nodes; float64 decides between those that lie too close."""
    branching, dimension = table.edges_GKD.shape[1:]
    products = np.empty((4, branching), np.float32)
    room = np.empty(dimension, np.float64)
    at = 0
    while at < len(order_M):
        node, end = node_M[at], at + 1
        while end < min(at + 4, len(order_M)) and node_M[end] == node:
            end += 1
        x0, x1 = rows_ND[order_M[at]], rows_ND[order_M[min(at + 1, end - 1)]]
        x2, x3 = rows_ND[order_M[min(at + 2, end - 1)]], rows_ND[order_M[end - 1]]
        _products(x0, x1, x2, x3, table.edges_GKD[node], products)
        bias, slack, reach = table.bias_GK[node], np.float32(2) * table.slack_G[node], table.reach_G[node]
        for m in range(at, end):
            scored = products[m - at]
            child, best, second = _two_best(scored, bias)
            limit = best + ((lengths_M[m] + reach) * slack + np.float32(UNDERFLOW))
            if second <= limit:
                least = np.inf
                for k in range(branching):
                    if bias[k] - scored[k] <= limit:
                        distance = _squared_distance(rows_ND[order_M[m]], table.centroids_GKD[node, k], room)
                        if distance < least:
                            least, child = distance, k
            child_M[m] = child
        at = end


@_compile("reassoc", "contract")
def _measure(rows_ND: _Floats, order_M: _Index, lengths_N: _Floats) -> bool:
    """Write |x| of the rows taken, rounded up as `kmeans.norms`; True if none is NaN or beyond `LARGEST_VALUE`."""
    fit = True
    for row in order_M:
        x, total = rows_ND[row], np.float32(0)
        for d in range(len(x)):
            total += x[d] * x[d]
        lengths_N[row] = np.sqrt(total) * np.float32(1.001)
        fit &= lengths_N[row] <= LARGEST_VALUE
    return fit


@_compile()
def _accumulate(
    rows_ND: _Floats,
    taken_R: _Index,
    into_R: _Index,
    out_of_R: _Index,
    sums_SD: NDArray[np.float64],
    step: float,
    first: int,
    end: int,
) -> None:
    """Columns `first` to `end` of the rows taken, into a slot each and, where `out_of` is not empty, out of another."""
    scale = np.float32(1.0 / step)
    for r in range(len(taken_R)):
        row, into = rows_ND[taken_R[r], first:end], sums_SD[into_R[r], first:end]
        if len(out_of_R):
            out_of = sums_SD[out_of_R[r], first:end]
            for d in range(len(row)):
                on_grid = np.float64(np.rint(row[d] * scale)) * step
                into[d] += on_grid
                out_of[d] -= on_grid
        else:
            for d in range(len(row)):
                into[d] += np.float64(np.rint(row[d] * scale)) * step
