"""Fit and encode against faiss (one `Kmeans` a node), and encode against the matrix products alone.

    python -m tests.benchmarks.codebook [--rows 200000] [--dimension 256] [--depth 4] [--repeats 3] [--threads 1]
        [--faiss 25 3x3] [--disk]

Every repeat runs all contenders one after the other on the same data, encoding seven times; a ratio is the median of
the ratios within the repeats. faiss fits with its default of 25 iterations, and with the three iterations of three
tries by which it comes to the inertia of our leaves in the least time (of 2, 3, 4 and 10 iterations of 1 to 4 tries:
more iterations of the inner levels make worse leaves). Seconds are CPU time with one thread and wall time otherwise.
Needs faiss-cpu.

What helped: loops compiled by Numba (`videobert.codebook.compiled`) in place of torch's batched products. Encoding was
at 0.36 of the products' speed on this machine with the rows gathered by node for one product a node, a third of its
time gathering and another third the minima; now four rows at a time stay in registers with three edges, two levels a
visit to the cache. Rows of one video, 20 at a time, take 0.012 ms each in place of 0.1. Greedy k-means++ (leaf inertia
a tenth below plain k-means++ at 20 k x 128); nodes at rest left out of an iteration; tiles and groups of 16 MiB in
place of 4,096 rows; one pool of threads for good (a pool a call: 1.5 times the fit's time with two threads).
What did not: 512-bit vectors (Numba takes 256 unless told; no faster at 256 columns, which wait for memory); blocks of
4 x 4 for 4 x 3; more parts than threads, and sums a part of the columns at a time; improving the start of a large node
on 1,024 of its rows first (no faster, inner levels 1 % worse); tolerance 0.002 for 0.05 (1.5 x the time, leaves no
better); 2, 3 or 4 iterations at most (a tenth faster or not at all, leaves up to 2 % worse).
With two threads the fit gains little: torch's threads spin for milliseconds after each of their own loops, on the core
that ours want (with OMP_WAIT_POLICY=passive a fifth less).
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from videobert.codebook.config import CodebookConfig
from videobert.codebook.core import Codebook
from videobert.codebook.hierarchy import fit

BRANCHING = 12
BLOCK_ROWS = 65_536
ENCODED_TIMES = 7
"""Encoding takes less than a second, in which a shared machine may do anything."""


def kitchen(rows: int, dimension: int) -> Iterator[NDArray[np.float32]]:
    """Mixture of 600 clusters of uneven size on a shared offset, as pooled network features are; block by block."""
    rng = np.random.default_rng(0)
    means = np.abs(rng.normal(size=(600, dimension))).astype(np.float32)
    weights = rng.dirichlet(np.full(600, 0.7))
    for start in range(0, rows, BLOCK_ROWS):
        count = min(BLOCK_ROWS, rows - start)
        noise = rng.standard_normal((count, dimension), np.float32) * np.float32(0.7)
        yield means[rng.choice(600, count, p=weights)] + noise


class Blocks:
    """The rows of a mapped file, block by block, anew on every pass."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        self._vectors = vectors

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        for start in range(0, len(self._vectors), BLOCK_ROWS):
            yield self._vectors[start : start + BLOCK_ROWS]


def nodes_of(leaf: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    order = np.argsort(leaf, kind="stable")
    names, lows = np.unique(leaf[order], return_index=True)
    yield from zip(names.tolist(), np.split(order, lows[1:]), strict=True)


class FaissTree:
    """Hierarchical k-means from `faiss.Kmeans`, all rows of a node used."""

    def __init__(self, vectors: NDArray[np.float32], depth: int, iterations: int, redos: int) -> None:
        self.levels: list[dict[int, faiss.Index]] = []
        self.inertia: list[float] = []
        node = np.zeros(len(vectors), dtype=np.int64)
        for _ in range(depth):
            level: dict[int, faiss.Index] = {}
            total, child = 0.0, np.zeros_like(node)
            for name, rows in nodes_of(node):
                mine = vectors[rows]
                if len(rows) > BRANCHING:
                    kmeans = faiss.Kmeans(
                        vectors.shape[1],
                        BRANCHING,
                        niter=iterations,
                        nredo=redos,
                        min_points_per_centroid=1,
                        max_points_per_centroid=1 << 30,
                        seed=1,
                    )
                    kmeans.train(mine)
                    level[name] = kmeans.index
                else:
                    level[name] = faiss.IndexFlatL2(vectors.shape[1])
                    level[name].add(mine)
                distances, nearest = level[name].search(mine, 1)
                total += float(distances.sum())
                child[rows] = nearest[:, 0]
            node = node * BRANCHING + child
            self.levels.append(level)
            self.inertia.append(total)

    def encode(self, vectors: NDArray[np.float32]) -> NDArray[np.int64]:
        node = np.zeros(len(vectors), dtype=np.int64)
        for level in self.levels:
            child = np.zeros_like(node)
            for name, rows in nodes_of(node):
                child[rows] = level[name].search(vectors[rows], 1)[1][:, 0]
            node = node * BRANCHING + child
        return node


def plant(trees: dict[str, FaissTree], vectors: NDArray[np.float32], depth: int, effort: str) -> None:
    iterations, _, redos = effort.partition("x")
    trees[f"faiss {effort}"] = FaissTree(vectors, depth, int(iterations), int(redos or 1))


def products(vectors: torch.Tensor, centroids: torch.Tensor, depth: int) -> None:
    """The bound: `depth` products with k centroids each, nothing else."""
    for level in range(depth):
        torch.mm(vectors, centroids[level * BRANCHING : (level + 1) * BRANCHING].T)


def products_in_cache(vectors: torch.Tensor, centroids: torch.Tensor, depth: int) -> None:
    """The same in the quickest way that we know: centroids on the left, 2 MiB of rows at a time."""
    scores = torch.empty(BRANCHING, len(vectors))
    for level in range(depth):
        left = centroids[level * BRANCHING : (level + 1) * BRANCHING]
        width = (1 << 19) // vectors.shape[1]
        for rows, out in zip(torch.split(vectors.T, width, 1), torch.split(scores, width, 1), strict=True):
            torch.mm(left, rows, out=out)


def seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    call()
    return clock() - start


def paired(theirs: list[float], ours: list[float]) -> float:
    return statistics.median(their / our for their, our in zip(theirs, ours, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description="codebook against faiss and the matrix products")
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--depth", type=int, default=4, help="levels of 12 children each")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--faiss", nargs="+", default=["25", "3x3"], metavar="ITERATIONS[xREDOS]", help="its fits to compare with"
    )
    parser.add_argument("--encoded", type=int, default=200_000, help="rows to encode, at most")
    parser.add_argument("--disk", action="store_true", help="rows in a file: mapped, and streamed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="codebook-", dir=os.environ.get("TMPDIR")) as folder:
        compare(options, Path(folder) / "vectors")


def compare(options: argparse.Namespace, path: Path) -> None:
    """Run the contenders in alternation and print the table."""
    torch.set_num_threads(options.threads)
    faiss.omp_set_num_threads(options.threads)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    vectors: NDArray[np.float32]
    if options.disk:
        with path.open("wb") as file:
            for block in kitchen(options.rows, options.dimension):
                block.tofile(file)
        # Copied on write, of which there is none: torch takes no array that cannot be written, and would copy it.
        vectors = np.memmap(path, np.float32, "c", shape=(options.rows, options.dimension))
    else:
        vectors = np.concatenate(list(kitchen(options.rows, options.dimension)))
    sample = np.array(vectors[: options.encoded])
    tensor = torch.from_numpy(sample)
    config = CodebookConfig(branching=BRANCHING, depth=options.depth, device="cpu")
    fit(sample[:1000], config)  # compiles the loops: seconds, once a machine
    fitted: dict[str, Codebook] = {}
    trees: dict[str, FaissTree] = {}
    contenders: dict[str, Callable[[], object]] = {"fit": lambda: fitted.update(ours=fit(vectors, config))}
    if options.disk:
        contenders["fit, streamed"] = lambda: fitted.update(streamed=fit(Blocks(vectors), config))
    for effort in options.faiss:
        contenders[f"fit, faiss {effort}"] = partial(plant, trees, vectors, options.depth, effort)
    encoders: dict[str, Callable[[], object]] = {
        "encode": lambda: fitted["ours"].encode(sample),
        "encode, faiss": lambda: next(iter(trees.values())).encode(sample),
        "products": lambda: products(tensor, torch.from_numpy(fitted["ours"].centroids), options.depth),
        "products, best": lambda: products_in_cache(tensor, torch.from_numpy(fitted["ours"].centroids), options.depth),
    }
    times: dict[str, list[float]] = {name: [] for name in (*contenders, *encoders)}
    for calls, repeats in ((contenders, options.repeats), (encoders, ENCODED_TIMES)):
        for _ in range(repeats):
            for name, call in calls.items():
                times[name].append(seconds(call, clock))
    print(
        f"{options.rows} x {options.dimension}, k={BRANCHING}, d={options.depth}, {options.threads} threads, "
        f"{clock.__name__}"
    )
    for name, values in times.items():
        print(f"  {name:<16} {statistics.median(values):8.3f} s, of {', '.join(f'{value:.3f}' for value in values)}")
    for name, tree in trees.items():
        print(f"  fit: {name} / ours = {paired(times[f'fit, {name}'], times['fit']):.2f}")
        shares = [ours / theirs for ours, theirs in zip(fitted["ours"].level_inertia, tree.inertia, strict=True)]
        print(f"  inertia a level: ours / {name} = {', '.join(f'{share:.4f}' for share in shares)}")
    print(f"  encode: faiss / ours = {paired(times['encode, faiss'], times['encode']):.2f}")
    for bound in ("products", "products, best"):
        print(f"  encode: {bound} / ours = {paired(times[bound], times['encode']):.2f}")
    if options.disk:
        assert fitted["streamed"].to_bytes() == fitted["ours"].to_bytes()
        theirs = times[f"fit, faiss {options.faiss[0]}"]
        print(f"  fit: faiss / ours streamed, same bytes = {paired(theirs, times['fit, streamed']):.2f}")
    print(
        f"  memory of ours and faiss together at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB"
    )


if __name__ == "__main__":
    main()
