"""Search against DuckDB and Lance (LanceDB's format and engine), all flat scans over the same rows.

    python -m tests.benchmarks.search [--rows 1000000] [--dim 768] [--threads 1] [--repeats 3]

Writes embeddings as the stage `embed` does into a temporary folder (twice `rows` x `dim` x 4 bytes with Lance's copy,
and a `feature` column of 2 values, which no search reads), lets all find the ten nearest segments in alternation, and
prints medians; a ratio is the median of the ratios within the repeats. CPU seconds come with wall seconds: on a
shared machine only they can be repeated. The result is compared with numpy in float64. Needs pylance.

What helped, CPU seconds a GB of vectors: scalar products on the mapped pages (0.3, the whole search) in place of
Arrow's decoding of list columns (about 3, and 6 from zstd, which saves 8 % of the bytes); the other columns read for
winners only.
What did not: BYTE_STREAM_SPLIT (read no faster than PLAIN, with zstd as slowly as zstd alone), lz4 (it finds nothing
to pack), non-null items, pages of 64 MB, data pages of version 2 (twice as slow). A column of fixed-size binary is
decoded three times as fast as a list, but no reader takes it for a vector.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from videobert.embed.core import embedding_table
from videobert.query.embeddings import open_embeddings
from videobert.query.filters import RowFilter
from videobert.query.search import nearest, row_groups
from videobert.runtime.manifest import Manifest, Output, folder_of, save_manifest
from videobert.runtime.parquet import table_bytes
from videobert.runtime.storage import Store, sha256
from videobert.stages import get_stage

SPEC, BATCHES, TOP = "pretrain-1.abcd", 10, 10
FILE_ROWS, VIDEO_ROWS = 10_000, 20
WORDS = ("stir", "chop", "fry", "peel", "the egg", "the onion", "the pan", "the dough")


def vectors_of_file(number: int, rows: int, dim: int) -> NDArray[np.float32]:
    """Unit vectors float32 [rows, dim]."""
    vectors = np.random.default_rng([7, number]).standard_normal((rows, dim), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def rows_of_file(number: int, rows: int) -> list[dict[str, Any]]:
    """Videos of 19 segments and the row of the whole video, in the order of their ids, as `shard` packs them."""
    found = []
    for row in range(rows):
        video, segment = divmod(row, VIDEO_ROWS)
        video_id, whole = f"{number:08x}{video:08x}" * 4, segment == VIDEO_ROWS - 1
        found.append(
            {
                "row_id": video_id if whole else f"{video_id}:{segment}", "level": "video" if whole else "segment",
                "video_id": video_id, "segment": -1 if whole else segment,
                "start_seconds": 0.0 if whole else 4.5 * segment, "end_seconds": 4.5 * (segment + 1),
                "text": f"{WORDS[row * 7 % 4]} {WORDS[4 + row * 3 % 4]} {row % 97}",
                "title": f"talk {video}", "source_uri": f"s3://in/{number}/{video}.mp4",
            }
        )  # fmt: skip
    return found


def write(
    store: Store, rows: int, dim: int, *, vectors: Callable[[int, int, int], NDArray[np.float32]] = vectors_of_file
) -> None:
    """Committed embeddings, `rows` in all, in batches of equal size; `vectors` of a file's number, rows and columns."""
    files = [min(FILE_ROWS, rows - start) for start in range(0, rows, FILE_ROWS)]
    outputs: dict[str, list[Output]] = {}
    for number, count in enumerate(files):
        batch = f"2026-01-{1 + number * BATCHES // len(files):02d}"
        lineage = {
            "batch_key": batch, "shard": number, "encoder_spec": "f", "codebook_spec": "c", "model_spec": "pretrain-1"
        }  # fmt: skip
        table = embedding_table(
            rows_of_file(number, count), vectors(number, count, dim), np.zeros((count, 2), np.float32),
            lineage=lineage,
        )  # fmt: skip
        data = table_bytes(table)
        path = f"{folder_of(get_stage('embed'), SPEC, batch)}/{number:05d}.parquet"
        store.write(path, data)
        outputs.setdefault(batch, []).append(
            Output(shard=number, input_digest="", path=path, sha256=sha256(data), size_bytes=len(data), counts={})
        )
    for batch, found in outputs.items():
        save_manifest(
            store, Manifest(stage="embed", spec=SPEC, batch=batch, config={}, sources=(), outputs=tuple(found))
        )


def exact(rows: int, dim: int, query: NDArray[np.float32]) -> list[str]:
    """Ids of the nearest segments by numpy in float64."""
    best: list[tuple[float, str]] = []
    for number, start in enumerate(range(0, rows, FILE_ROWS)):
        count = min(FILE_ROWS, rows - start)
        scores = vectors_of_file(number, count, dim).astype(np.float64) @ query.astype(np.float64)
        facts = rows_of_file(number, count)
        order = [int(row) for row in np.argsort(-scores) if facts[row]["level"] == "segment"][:TOP]
        best = sorted([*best, *((-float(scores[row]), facts[row]["row_id"]) for row in order)])[:TOP]
    return [row_id for _, row_id in best]


@contextmanager
def memory() -> Iterator[list[int]]:
    """Most anonymous memory of this process above what it had, in bytes; mapped files can be given back at any time."""
    peak, ended = [0], threading.Event()
    before = _anonymous()

    def watch() -> None:
        while not ended.wait(0.005):
            peak[0] = max(peak[0], _anonymous() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()


def _anonymous() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


class Contenders:
    """The same question to each: row ids of the nearest rows, best first."""

    def __init__(self, store: Store, folder: Path, query: NDArray[np.float32], *, threads: int) -> None:
        import lance

        self.query = query
        self.rows = open_embeddings(store, SPEC)
        self._duckdb = duckdb.connect(config={"threads": threads})
        self._duckdb.from_parquet([str(folder / path) for path in _paths(store)], hive_partitioning=True).create_view(
            "embeddings"
        )
        columns = ["row_id", "level", "video_id", "start_seconds", "end_seconds", "text", "title", "source_uri"]
        scanner = self.rows.scanner(columns=[*columns, "batch", "embedding"], batch_size=8192)
        self._lance = lance.write_dataset(scanner.to_reader(), str(folder / "rows.lance"))

    def ours(self, where: RowFilter) -> list[str]:
        return [hit.row_id for hit in nearest(self.rows, self.query, top=TOP, where=where)]

    def duckdb(self, where: str, *, kind: str = "list") -> list[str]:
        to = "float[]" if kind == "list" else f"float[{len(self.query)}]"
        found = self._duckdb.execute(
            "select row_id, title, start_seconds, end_seconds, text, source_uri, batch from embeddings "
            f"where {where} order by {kind}_cosine_similarity(embedding::{to}, $1::{to}) desc limit {TOP}",
            [self.query.tolist()],
        ).fetchall()
        return [row[0] for row in found]

    def lance(self, where: str) -> list[str]:
        table = self._lance.to_table(
            columns=["row_id", "title", "start_seconds", "end_seconds", "text", "source_uri", "batch"], filter=where,
            prefilter=True, nearest={"column": "embedding", "q": self.query, "k": TOP, "metric": "cosine"},
            disable_scoring_autoprojection=True,
        )  # fmt: skip
        return list(table["row_id"].to_pylist())


def _paths(store: Store) -> list[str]:
    return [path for path in store.list("embeddings") if path.endswith(".parquet")]


def measure(calls: dict[str, Callable[[], list[str]]], repeats: int) -> dict[str, list[tuple[float, float, list[str]]]]:
    """(wall seconds, CPU seconds, answer) of every call, in alternation; one round before that counts for nothing."""
    times: dict[str, list[tuple[float, float, list[str]]]] = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            answer = call()
            times[name].append((time.perf_counter() - wall, time.process_time() - cpu, answer))
    return {name: found[1:] for name, found in times.items()}


def report(title: str, times: dict[str, list[tuple[float, float, list[str]]]], expected: list[str]) -> None:
    ours = times["ours"]
    for name, found in times.items():
        walls, cpus = statistics.median(t[0] for t in found), statistics.median(t[1] for t in found)
        ratios = (
            statistics.median(t[0] / o[0] for t, o in zip(found, ours, strict=True)),
            statistics.median(t[1] / o[1] for t, o in zip(found, ours, strict=True)),
        )
        same = "yes" if all(t[2] == expected for t in found) else "no"
        print(f"{title:<26}{name:<13}{walls:>8.3f}{cpus:>8.3f}{ratios[0]:>8.2f}{ratios[1]:>8.2f}  {same}", flush=True)
        title = ""


FILTERS = (
    ("one batch", RowFilter(), "batch = '2026-01-01'"),
    ("one video", RowFilter(video="00000002"), "video_id >= '00000002' and video_id < '00000003'"),
    ("seconds 30 to 40", RowFilter(from_seconds=30, to_seconds=40), "end_seconds > 30 and start_seconds < 40"),
    ("text 'fry the pan'", RowFilter(text="fry the pan"), "text like '%fry the pan%'"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    pa.set_cpu_count(options.threads)
    os.environ["LANCE_CPU_THREADS"] = str(options.threads)
    query = vectors_of_file(-1 % (1 << 32), 1, options.dim)[0]
    with tempfile.TemporaryDirectory(prefix="search-") as name:
        needed, free = 9 * options.rows * options.dim, shutil.disk_usage(name).free
        if free < needed:
            sys.exit(f"{name} has {free / 1e9:.0f} GB free, {needed / 1e9:.0f} are needed; give fewer --rows")
        store = Store(name)
        write(store, options.rows, options.dim)
        both = Contenders(store, Path(name), query, threads=options.threads)
        print(
            f"{options.rows:,} rows x {options.dim}, {len(_paths(store))} files, {options.threads} threads, "
            f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"pyarrow {pa.__version__}, DuckDB {duckdb.__version__}, Lance {sys.modules['lance'].__version__}"
        )
        print(f"{'':<26}{'':<13}{'wall s':>8}{'CPU s':>8}{'/ ours':>8}{'/ ours':>8}  as numpy float64, or DuckDB")
        level = "level = 'segment'"
        calls: dict[str, Callable[[], list[str]]] = {
            "ours": lambda: both.ours(RowFilter()), "DuckDB list": lambda: both.duckdb(level),
            "DuckDB array": lambda: both.duckdb(level, kind="array"), "Lance": lambda: both.lance(level),
        }  # fmt: skip
        report("all segments", measure(calls, options.repeats), exact(options.rows, options.dim, query))
        for title, where, sql in FILTERS:
            filtered(title, both, where, f"{level} and {sql}", store, options.repeats)
        with memory() as peak:
            both.ours(RowFilter())
        print(f"memory of a search above what the process had: {peak[0] / 1e6:.0f} MB")


def filtered(title: str, both: Contenders, where: RowFilter, sql: str, store: Store, repeats: int) -> None:
    """One filter: times, and how much of the files it leaves unread."""
    rows = open_embeddings(store, SPEC, ["2026-01-01"] if "batch" in sql else ())
    calls: dict[str, Callable[[], list[str]]] = {
        "ours": lambda: [hit.row_id for hit in nearest(rows, both.query, top=TOP, where=where)],
        "DuckDB list": lambda: both.duckdb(sql), "Lance": lambda: both.lance(sql),
    }  # fmt: skip
    report(title, measure(calls, repeats), both.duckdb(sql))
    read, all_of = (
        sum(len(row_groups(fragment.open(), w)[1]) for fragment in r.get_fragments())
        for r, w in ((rows, where), (both.rows, RowFilter()))
    )
    print(f"{'':<26}{read} of {all_of} row groups are read")


if __name__ == "__main__":
    main()
