"""The service under load: searches by a sentence over many rows, against Lance behind the same route.

    python -m tests.benchmarks.serve [--rows 100000] [--rate 20] [--seconds 60] [--requests 10000] [--probes 0]

Each is a process of its own with one client in this one; both take turns, and both turn the sentence into a vector with
the same model. A request is due at its time whether the ones before it have been answered or not, and its seconds count
from then. First from the command to its first hit. Then memory over many requests, one after the other. Needs pylance.

With `--probes` both look into so many lists of an index, each built by its own. Rows are then directions around topics,
200 rows to each, and hits are compared with an exact search's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from tests.benchmarks import search as rows_of
from tests.benchmarks.search_index import ROWS_A_TOPIC, around_topics
from tests.small_root import small_root_at
from videobert.api import Hit
from videobert.query.build import build_index
from videobert.query.embeddings import open_embeddings
from videobert.runtime.pointer import read_pointer
from videobert.runtime.storage import Store
from videobert.serve.access import Access
from videobert.serve.app import create_app
from videobert.serve.fresh import FreshRoot
from videobert.serve.options import ServeOptions

TOKEN = "0123456789abcdef-of-the-benchmark"
OPTIONS = ServeOptions(rate=1e6, burst=10**6)
SENTENCES = [
    f"{verb} the {noun}" for verb in ("stir", "chop", "fry", "peel") for noun in ("egg", "onion", "beet", "dough")
]
WARM_REQUESTS = 100
COLUMNS = ["row_id", "title", "start_seconds", "end_seconds", "text", "source_uri", "batch"]


class LanceRoot(FreshRoot):
    """Searches a Lance dataset in place of the embeddings."""

    lance: Any

    def search(self, text: str = "", *, top: int = 5, model: str = "current", probes: int = 0, **_: Any) -> list[Hit]:
        """By a sentence, unfiltered."""
        nearest = {"column": "embedding", "q": self.encode(text, model=model), "k": top, "metric": "cosine"}
        found = self.lance.to_table(
            columns=[*COLUMNS, "_distance"], filter="level = 'segment'", prefilter=True,
            nearest=nearest | ({"nprobes": probes} if probes else {"use_index": False}),
        )  # fmt: skip
        distances = found["_distance"].to_pylist()
        return [
            Hit(score=1 - distance, **row)
            for distance, row in zip(distances, found.select(COLUMNS).to_pylist(), strict=True)
        ]


def serve(kind: str, folder: Path, port: int, *, warm_bytes: int) -> None:
    """What the process of a contender does."""
    app = create_app(str(folder / "demo"), Access(TOKEN), replace(OPTIONS, warm_bytes=warm_bytes))
    if kind == "lance":
        import lance

        root = app.state.answers.root
        root.__class__, root.lance = LanceRoot, lance.dataset(str(folder / "rows.lance"))
    uvicorn.run(app, port=port, log_level="error", access_log=False)


@contextmanager
def server(kind: str, folder: Path, *, warm_bytes: int) -> Iterator[tuple[httpx.Client, int]]:
    """A client of a contender, and the id of its process."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.serve", "--serve", kind, str(folder), str(port), str(warm_bytes)]
    )
    headers = {"authorization": f"Bearer {TOKEN}"}
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
            yield client, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def ask(client: httpx.Client, number: int, *, probes: int = 0) -> list[str]:
    """Row ids; raises what an error of the service raises."""
    params: dict[str, str | int] = {"text": SENTENCES[number % len(SENTENCES)], "top": 10, "probes": probes}
    answer = client.get("/api/v1/search", params=params)
    answer.raise_for_status()
    return [found["hit"]["row_id"] for found in answer.json()["hits"]]


def first_hit(client: httpx.Client) -> None:
    """Ask until there is an answer; raises httpx.ConnectError after a minute without one."""
    until = time.monotonic() + 60
    while True:
        try:
            ask(client, 0)
            return
        except httpx.ConnectError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def under_load(client: httpx.Client, *, rate: float, seconds: float, probes: int) -> list[float]:
    """Milliseconds of every request from when it was due."""
    began = time.perf_counter() + 0.1

    def due(number: int) -> float:
        at = began + number / rate
        time.sleep(max(0.0, at - time.perf_counter()))
        ask(client, number, probes=probes)
        return 1000 * (time.perf_counter() - at)

    with ThreadPoolExecutor(64) as pool:
        return list(pool.map(due, range(round(rate * seconds))))


def memory_of(pid: int) -> float:
    """Anonymous memory in MB; mapped files can be given back at any time."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1000


def report(name: str, found: list[float]) -> None:
    cuts = statistics.quantiles(found, n=100)
    print(
        f"{name:<6} {len(found):6,} requests   p50 {cuts[49]:7.1f} ms   p99 {cuts[98]:7.1f} ms   most {max(found):6.0f}"
    )


def build(folder: Path, rows: int, *, indexed: bool) -> None:
    """A small run with a model, whose embeddings are then so many rows, and the same rows in Lance."""
    import lance

    small = small_root_at(folder)
    shutil.copytree(small.root, folder / "demo")
    store = Store(str(folder / "demo"))
    pointer = read_pointer(store)
    assert pointer is not None
    rows_of.SPEC = pointer.embed_spec
    shutil.rmtree(folder / "demo" / "embeddings")
    around = partial(around_topics, topics=rows // ROWS_A_TOPIC, noise=1.0)
    rows_of.write(store, rows, 128, vectors=around if indexed else rows_of.vectors_of_file)
    scanner = open_embeddings(store, pointer.embed_spec).scanner(
        columns=[*COLUMNS, "level", "embedding"], batch_size=8192
    )
    dataset = lance.write_dataset(scanner.to_reader(), str(folder / "rows.lance"))
    if indexed:
        began = time.perf_counter()
        build_index(store, pointer.embed_spec)
        middle = time.perf_counter()
        dataset.create_index("embedding", "IVF_FLAT", num_partitions=round(rows**0.5), metric="cosine")
        print(f"indexed: ours {middle - began:.0f} s, lance {time.perf_counter() - middle:.0f} s")


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), warm_bytes=int(sys.argv[5]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--probes", type=int, default=0, help="lists of an index; 0 for none")
    parser.add_argument("--warm-bytes", type=int, default=OPTIONS.warm_bytes, help="1 searches the files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="videobert-") as name:
        folder = Path(name)
        probes: int = options.probes
        build(folder, options.rows, indexed=probes > 0)
        print(f"{options.rows:,} rows, {options.rate:g} requests per second, {os.cpu_count()} cores")
        with server("ours", folder, warm_bytes=options.warm_bytes) as (ours, pid):
            began = time.perf_counter()
            first_hit(ours)
            print(f"ours   from the command to the first hit, cold: {time.perf_counter() - began:.1f} s")
            with server("lance", folder, warm_bytes=options.warm_bytes) as (lance, _):
                first_hit(lance)
                questions = range(WARM_REQUESTS if not probes else len(SENTENCES))
                exact = [set(ask(ours, number)) for number in questions]
                for kind, client in (("ours", ours), ("lance", lance)):
                    shares = [len(exact[n] & set(ask(client, n, probes=probes))) / len(exact[n]) for n in questions]
                    print(f"{kind:<6} finds {statistics.mean(shares):.3f} of the exact ten")
                for _ in range(2):
                    for kind, client in (("ours", ours), ("lance", lance)):
                        report(kind, under_load(client, rate=options.rate, seconds=options.seconds / 2, probes=probes))
            marks = []
            for number in range(options.requests):
                ask(ours, number, probes=probes)
                if number in (options.requests // 10, options.requests - 1):
                    marks.append(memory_of(pid))
            print(
                "memory "
                + " -> ".join(f"{mark:.0f} MB" for mark in marks)
                + f" from a tenth of {options.requests:,} requests"
            )


if __name__ == "__main__":
    main()
