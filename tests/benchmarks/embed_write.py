"""Writing embeddings against writing as many plain bytes: `python -m tests.benchmarks.embed_write [--workers 1 2 4]`.

Every worker writes a shard as the stage `embed` does (table, Parquet, sha256, whole object on disk, receipt), all
workers at once, in alternation with as many plain writes of the same bytes that wait for the disk too; medians, and the
median of the ratios within the repeats. The share of each step stands below. With `--s3` the same against a packaged S3
server on loopback, versus plain PUTs.

One worker computes, then waits for the disk; several do both at once. What would help and is not done: the second
column of vectors uncompressed too (a quarter of the time of `parquet`, 8 % more bytes: written once, paid for every
month). Larger pages: no faster.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
from fsspec.core import url_to_fs

from infra.local.ray_head import inherited_env
from infra.local.s3 import S3Server
from tests.benchmarks.search import rows_of_file, vectors_of_file
from videobert.embed.core import embedding_table
from videobert.runtime.parquet import table_bytes
from videobert.runtime.shards import ShardTask, finish
from videobert.runtime.storage import Store, sha256

LINEAGE = {
    "batch_key": "2026-01-01", "shard": 0, "encoder_spec": "s3d-1", "codebook_spec": "codebook-1",
    "model_spec": "pretrain-1",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--s3", action="store_true")
    options = parser.parse_args()
    size = options.rows, options.dim
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="embed-", dir=os.environ.get("TMPDIR"))))
        root = str(folder / "root")
        if options.s3:
            server = S3Server(folder=folder / "s3", env=inherited_env(), log=folder / "s3.log")
            stack.callback(server.stop)
            server.wait("embed")
            os.environ.update(server.client_env)
            root = "s3://embed/root"
        megabytes = len(plain_bytes(*size)) / 1e6
        print(f"{options.rows:,} rows of 2 x {options.dim}, {megabytes:.0f} MB, {'S3' if options.s3 else 'files'}")
        for workers in options.workers:
            context = multiprocessing.get_context("spawn")
            pool = stack.enter_context(ProcessPoolExecutor(workers, context))
            taken = [
                [_at_once(pool, workers, partial(what, root, *size), first=n) for what in (write_shard, write_plain)]
                for n in range(0, (options.repeats + 1) * workers, workers)
            ][1:]  # the first warms up
            ours, theirs = (statistics.median(column) for column in zip(*taken, strict=True))
            print(
                f"{workers} workers: stage {ours:.3f} s, plain writes {theirs:.3f} s "
                f"({workers * megabytes / theirs:.0f} MB/s), ratio {statistics.median(a / b for a, b in taken):.2f}"
            )
        table = shard_table(*size)
        steps: dict[str, Callable[[], object]] = {
            "table": partial(embedding_table, *_rows(*size), lineage=LINEAGE),
            "parquet": partial(table_bytes, table),
            "sha256": partial(sha256, plain_bytes(*size)),
        }
        print(", ".join(f"{name} {min(_seconds(step) for _ in range(3)):.3f} s" for name, step in steps.items()))


def write_shard(root: str, rows: int, dim: int, number: int) -> None:
    """What the stage does with the vectors of a shard."""
    task = ShardTask(shard=number, input_digest="0", payload="", path=f"e/{number}", receipt=f"r/{number}")
    finish(Store(root), task, data=table_bytes(shard_table(rows, dim)), counts={"rows": rows}, rejects=())


def write_plain(root: str, rows: int, dim: int, number: int) -> None:
    """The same bytes, on disk when this returns."""
    data = plain_bytes(rows, dim)
    if "://" in root:
        store, base = url_to_fs(root)
        store.pipe_file(f"{base}/plain/{number}", data)
        return
    with Path(f"{root}-plain-{number}").open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def shard_table(rows: int, dim: int) -> pa.Table:
    """Built anew on every call, as the stage does."""
    return embedding_table(*_rows(rows, dim), lineage=LINEAGE)


@cache
def plain_bytes(rows: int, dim: int) -> bytes:
    """The shard's bytes."""
    return table_bytes(shard_table(rows, dim))


@cache
def _rows(rows: int, dim: int) -> tuple[Any, Any, Any]:
    vectors = vectors_of_file(0, rows, dim)
    return rows_of_file(0, rows), vectors, vectors


def _at_once(pool: ProcessPoolExecutor, workers: int, what: Callable[[int], None], *, first: int) -> float:
    return _seconds(lambda: list(pool.map(what, range(first, first + workers))))


def _seconds(what: Callable[[], object]) -> float:
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
