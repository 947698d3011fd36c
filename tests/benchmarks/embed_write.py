"""Writing embeddings against writing as many plain bytes: `python -m tests.benchmarks.embed_write [--rows 10000]`.

One shard as the stage `embed` writes it (table, Parquet, sha256, whole object on disk, receipt), in alternation with
one plain write of the same bytes that waits for the disk too; medians, and the median of the ratios within the repeats.
The share of each step stands below. With `--s3` the same against a packaged S3 server on loopback, beside a plain PUT.

What would help and is not done: the second column of vectors uncompressed too (a fifth of the time of `parquet`, 11 %
more bytes: written once, paid for every month). Larger pages: no faster.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from infra.local.ray_head import inherited_env
from infra.local.s3 import S3Server
from pipeline.embed.core import embedding_table
from pipeline.runtime.parquet import table_bytes
from pipeline.runtime.shards import ShardTask, finish
from pipeline.runtime.storage import Store, sha256
from tests.benchmarks.search import rows_of_file, vectors_of_file

LINEAGE = {
    "batch_key": "2026-01-01", "shard": 0, "encoder_spec": "s3d-1", "codebook_spec": "codebook-1",
    "model_spec": "pretrain-1",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--s3", action="store_true")
    options = parser.parse_args()
    rows, vectors = rows_of_file(0, options.rows), vectors_of_file(0, options.rows, options.dim)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="embed-", dir=os.environ.get("TMPDIR"))))
        root = str(folder / "root")
        if options.s3:
            server = S3Server(folder=folder / "s3", env=inherited_env(), log=folder / "s3.log")
            stack.callback(server.stop)
            server.wait("embed")
            os.environ.update(server.client_env)
            root = "s3://embed/root"
        store = Store(root)
        data = table_bytes(embedding_table(rows, vectors, vectors, lineage=LINEAGE))

        def stage(number: int) -> None:
            task = ShardTask(shard=number, input_digest="0", payload="", path=f"e/{number}", receipt=f"r/{number}")
            table = embedding_table(rows, vectors, vectors, lineage=LINEAGE)
            finish(store, task, data=table_bytes(table), counts={"rows": len(rows)}, rejects=())

        def plain(number: int) -> None:
            if options.s3:
                store._fs.pipe_file(f"embed/plain/{number}", data)
                return
            with (folder / f"plain-{number}").open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())

        numbers = range(options.repeats + 1)
        taken = [(_seconds(partial(stage, n)), _seconds(partial(plain, n))) for n in numbers][1:]  # the first warms up
        ours, theirs = (statistics.median(column) for column in zip(*taken, strict=True))
        ratio = statistics.median(a / b for a, b in taken)
        print(
            f"{options.rows:,} rows of 2 x {options.dim}, {len(data) / 1e6:.0f} MB, {'S3' if options.s3 else 'files'}"
        )
        print(
            f"stage {ours:.3f} s, plain write {theirs:.3f} s ({len(data) / theirs / 1e6:.0f} MB/s), ratio {ratio:.2f}"
        )
        table = embedding_table(rows, vectors, vectors, lineage=LINEAGE)
        steps: dict[str, Callable[[], object]] = {
            "table": partial(embedding_table, rows, vectors, vectors, lineage=LINEAGE),
            "parquet": partial(table_bytes, table),
            "sha256": partial(sha256, data),
        }
        print(", ".join(f"{name} {min(_seconds(step) for _ in range(3)):.3f} s" for name, step in steps.items()))


def _seconds(what: Callable[[], object]) -> float:
    started = time.perf_counter()
    what()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
