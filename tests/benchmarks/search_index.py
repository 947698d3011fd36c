"""Search over many rows: exact, exact with filters, and in the lists of an index; seconds, bytes read, memory, recall.

    python -m tests.benchmarks.search_index [--rows 1000000] [--dim 256] [--noise 1.0] [--queries 20] [--folder DIR]

Writes embeddings as the stage `embed` does into a temporary folder, indexes them as `videobert index` does (as much
disk again), and asks for the ten nearest segments. Rows are directions around topics, one topic to 200 rows; `noise` is
the length of what is added to a topic's unit vector, so that two rows of a topic have a cosine of 1 / (1 + noise ** 2).
Queries are drawn like rows and are none of them; `far` queries are directions that know nothing of the topics, as
sentences of another kind do. An exact search reads every vector; what the index reads is what the kernel counted.
Recall is the share of the exact ten that are found. One thread; CPU seconds and wall seconds.

What helped, at 200 k x 256, noise 1, recall of 16 lists: rows under the nearest of all 256 leaves in place of the one
that the greedy descent ends in (.96 for .82, the build 3 x the CPU), 1,024 leaves for 256 (1.00, 1 % of the rows).
What helped later, at 100 k x 128, noise 1, recall of 8 lists for far queries: lists in the order of their expected best
row (.69) in place of the distance (.18), the cosine (.66) or the scalar product (.68) of their centroids; queries drawn
like rows lose nothing (.997 all).
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from tests.benchmarks.search import FILTERS, SPEC, TOP, memory, write
from videobert.query.build import build_index
from videobert.query.embeddings import open_embeddings
from videobert.query.filters import RowFilter
from videobert.query.index import nearest_in_lists
from videobert.query.search import Hit, nearest
from videobert.runtime.storage import Store

PROBES = (4, 16, 64, 256)
ROWS_A_TOPIC = 200


@cache
def middles_of(topics: int, dim: int) -> NDArray[np.float32]:
    middles = np.random.default_rng(11).standard_normal((topics, dim), np.float32)
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    return middles


def around_topics(number: int, rows: int, dim: int, *, topics: int, noise: float) -> NDArray[np.float32]:
    """Unit vectors float32 [rows, dim] of one file."""
    rng = np.random.default_rng([11, number])
    vectors = rng.standard_normal((rows, dim), np.float32) * np.float32(noise / dim**0.5)
    vectors += middles_of(topics, dim)[rng.integers(topics, size=rows)]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def bytes_read() -> int:
    """What this process has read by calls of the kernel; mapped files are not counted."""
    return int(Path("/proc/self/io").read_text().split("rchar: ")[1].split()[0])


def ask(
    search: Callable[[NDArray[np.float32]], list[Hit]], queries: NDArray[np.float32]
) -> tuple[list[set[str]], float, float, float]:
    """Row ids found for every query; median wall seconds, CPU seconds and MB read of a query."""
    found, cost = [], []
    for query in queries:
        wall, cpu, read = time.perf_counter(), time.process_time(), bytes_read()
        found.append({hit.row_id for hit in search(query)})
        cost.append((time.perf_counter() - wall, time.process_time() - cpu, (bytes_read() - read) / 1e6))
    wall, cpu, megabytes = (statistics.median(column) for column in zip(*cost, strict=True))
    return found, wall, cpu, megabytes


def recall(found: list[set[str]], wanted: list[set[str]]) -> float:
    return statistics.mean(len(some & all_of) / len(all_of) for some, all_of in zip(found, wanted, strict=True))


def report(store: Store, queries: NDArray[np.float32], far: NDArray[np.float32], stored: float) -> None:
    """`stored`: MB of all vectors, which an exact search reads."""
    rows = open_embeddings(store, SPEC)
    print(f"{'a search':<26}{'wall s':>9}{'CPU s':>9}{'exact / it':>12}{'MB read':>10}{'recall':>8}{'far':>8}")
    wanted, wall, exact_cpu, _ = ask(partial(nearest, rows, top=TOP), queries)
    print(f"{'exact':<26}{wall:>9.3f}{exact_cpu:>9.3f}{1:>12.1f}{stored:>10.0f}{1:>8.3f}{1:>8.3f}", flush=True)
    wanted_far, *_ = ask(partial(nearest, rows, top=TOP), far)
    for probes in PROBES:
        search = partial(nearest_in_lists, store, SPEC, top=TOP, probes=probes)
        found, wall, cpu, megabytes = ask(search, queries)
        found_far, *_ = ask(search, far)
        print(
            f"{f'{probes} lists':<26}{wall:>9.3f}{cpu:>9.3f}{exact_cpu / cpu:>12.1f}{megabytes:>10.1f}"
            f"{recall(found, wanted):>8.3f}{recall(found_far, wanted_far):>8.3f}",
            flush=True,
        )
    for title, where, sql in FILTERS:
        some = open_embeddings(store, SPEC, ["2026-01-01"]) if "batch" in sql else rows
        _, wall, cpu, _ = ask(partial(nearest, some, top=TOP, where=where), queries[:3])
        print(f"{'exact, ' + title:<26}{wall:>9.3f}{cpu:>9.3f}{exact_cpu / cpu:>12.1f}", flush=True)
    searches: dict[str, Callable[[], list[Hit]]] = {
        "exact": lambda: nearest(rows, queries[0], top=TOP, where=RowFilter()),
        "64 lists": lambda: nearest_in_lists(store, SPEC, queries[0], top=TOP, probes=64),
    }
    for name, call in searches.items():
        with memory() as peak:
            call()
        print(f"memory of a search above what the process had, {name}: {peak[0] / 1e6:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--noise", type=float, default=1.0)
    parser.add_argument("--queries", type=int, default=20)
    parser.add_argument("--folder", default=None, help="where the temporary folder is made")
    options = parser.parse_args()
    pa.set_cpu_count(1)
    torch.set_num_threads(1)
    vectors = partial(around_topics, topics=max(1, options.rows // ROWS_A_TOPIC), noise=options.noise)
    queries = vectors((1 << 32) - 1, options.queries, options.dim)
    with tempfile.TemporaryDirectory(prefix="search-", dir=options.folder) as name:
        needed, free = 9 * options.rows * options.dim, shutil.disk_usage(name).free
        if free < needed:
            sys.exit(f"{name} has {free / 1e9:.0f} GB free, {needed / 1e9:.0f} are needed; give fewer --rows")
        store = Store(name)
        write(store, options.rows, options.dim, vectors=vectors)
        with memory() as peak:
            wall, cpu = time.perf_counter(), time.process_time()
            index = build_index(store, SPEC)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        size = sum(output.size_bytes for output in index.outputs)
        print(
            f"{options.rows:,} rows x {options.dim}, noise {options.noise}, {os.cpu_count()} cores; "
            f"index: {index.config['lists']:,} lists, {len(index.outputs) - 1} parts, {size / 1e6:,.0f} MB, "
            f"built in {cpu:.0f} s of CPU ({wall:.0f} s), {peak[0] / 1e6:,.0f} MB of memory"
        )
        far = around_topics(0, options.queries, options.dim, topics=1, noise=1e6)
        report(store, queries, far, 4 * options.rows * options.dim / 1e6)


if __name__ == "__main__":
    main()
