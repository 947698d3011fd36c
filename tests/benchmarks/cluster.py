"""The feature stage on Ray clusters of 1, 2 and 4 nodes of one machine: the same bytes, and who waited for what.

    python -m tests.benchmarks.cluster [--videos 16] [--nodes 1 2 4]

Every node has one logical CPU and thus one actor; a shard is one short video. `idle` is the time in which a node had a
loaded actor and no shard although some waited: what the executor costs. It is given a shard, and as a share of the
time from the first shard's start to the last one's. On a machine with fewer cores than nodes the wall time says
nothing of scaling; bytes, balance and idle time do.

Then the same with nodes of one CPU that only decode, for one encoder on a node with a (logical) GPU. `most waiting` are
the clips that a worker had decoded and that were not encoded yet, at their peak, versus the bound that follows from
`--features.decode-ahead 4` and the encoder's batch.

Found on two cores, 16 shards: idle 18 to 35 ms a shard, under 1 % of the time, so nothing was tried to shorten it.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray.cluster_utils import Cluster

from videobert.demo.grammar import demo_kitchen
from videobert.demo.render import write_kitchen
from videobert.features.config import FeaturesConfig
from videobert.features.run import run as run_features
from videobert.features.worker import FeaturesWorker
from videobert.flow import run_stage
from videobert.recipes import demo
from videobert.resolve import Selection
from videobert.runtime.executor import Executor, LocalExecutor, Service, Worker, load
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest, load_manifest
from videobert.runtime.ray_executor import ActorOptions, RayExecutor
from videobert.runtime.storage import Store
from videobert.video.request import ClipFrames

BATCH = "2026-01-01"


class Timed:
    """The stage's own worker, which notes the node, when it was loaded, and when each shard began and ended."""

    def __init__(self, worker: Worker, arguments: tuple[Any, ...], folder: Path) -> None:
        self._call = load(worker)(*arguments)
        node = ray.get_runtime_context().get_node_id()
        self._log = folder / f"{node}-{os.getpid()}"
        self._note(time.time(), time.time())

    def __call__(self, task: Any) -> Any:
        started = time.time()
        result = self._call(task)
        self._note(started, time.time())
        return result

    def _note(self, started: float, ended: float) -> None:
        with self._log.open("a") as file:
            file.write(json.dumps([started, ended]) + "\n")


class Recording(RayExecutor):
    """Ray, with `Timed` around the worker."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def map(self, worker: Worker, arguments: tuple[Any, ...], tasks: Sequence[Any]) -> Iterator[Any]:
        yield from super().map("tests.benchmarks.cluster:Timed", (worker, arguments, self._folder), tasks)


class Watched(FeaturesWorker):
    """The stage's own worker, which notes how many clips it has decoded and not yet sent through the encoder."""

    def __init__(self, config: FeaturesConfig, store: Store, encoders: Service, folder: Path) -> None:
        super().__init__(config, store, encoders)
        self._log = folder / f"{ray.get_runtime_context().get_node_id()}-{os.getpid()}"
        self._waiting = self._most = 0
        self.bound = config.decode_ahead + 2 * self._encoder.batch_clips
        encode, clips = self._encoder.encode, self._decoder.clips

        def encoded(some: Sequence[ClipFrames]) -> NDArray[np.float32]:
            found = encode(some)
            self._waiting -= len(some)
            return found

        def decoded(*arguments: Any, **options: Any) -> Counted:
            return Counted(clips(*arguments, **options), self)

        self._encoder.encode, self._decoder.clips = encoded, decoded  # type: ignore[method-assign, assignment]

    def __call__(self, task: Any) -> Any:
        found = super().__call__(task)
        with self._log.open("a") as file:
            file.write(json.dumps([self._most, self.bound]) + "\n")
        return found

    def count(self) -> None:
        """One more is decoded."""
        self._waiting += 1
        self._most = max(self._most, self._waiting)


class Counted:
    """The clips of a video, counted as they come."""

    def __init__(self, source: Any, watch: Watched) -> None:
        self._source, self._watch = source, watch

    @property
    def damaged(self) -> list[tuple[float, float]]:
        damaged: list[tuple[float, float]] = self._source.damaged
        return damaged

    @property
    def held_from(self) -> float | None:
        held_from: float | None = self._source.held_from
        return held_from

    def __iter__(self) -> Iterator[ClipFrames]:
        for clip in self._source:
            self._watch.count()
            yield clip


class Watching(RayExecutor):
    """Ray with one encoder that takes the GPU, and `Watched` workers."""

    def __init__(self, folder: Path) -> None:
        super().__init__(servers=1, options=ActorOptions(num_gpus=1))
        self._folder = folder

    def map(self, worker: Worker, arguments: tuple[Any, ...], tasks: Sequence[Any]) -> Iterator[Any]:
        yield from super().map("tests.benchmarks.cluster:Watched", (*arguments, self._folder), tasks)


def prepared(folder: Path, videos: int) -> Manifest:
    """A kitchen in tars of one video; the manifest of the stage `shard`."""
    kitchen = dataclasses.replace(demo_kitchen(1), steps_min=2, steps_max=3)
    write_kitchen(kitchen, out_url=str(folder / "corpus"), batches=(BATCH,), videos_per_batch=videos)
    base = demo()
    recipe = dataclasses.replace(
        base,
        ingest=dataclasses.replace(base.ingest, source=f"{folder}/corpus/videos/{{batch}}"),
        shard=dataclasses.replace(base.shard, shard_bytes=1),
    )
    store = Store(str(folder / "root"))
    for stage in ("ingest", "shard"):
        (result,) = run_stage(recipe, store, stage, batches=[BATCH], selection=Selection(), executor=LocalExecutor())
    manifest = load_manifest(store, "shard", result.spec, BATCH)
    assert manifest
    return manifest


def features(store: Store, shards: Manifest, executor: Executor) -> tuple[dict[int, str], float]:
    """sha256 of every shard, and seconds; what was there of the stage is removed first."""
    store.delete(path for path in store.list("features"))
    inputs = Inputs(store=store, batch=BATCH, upstream={"shard": (shards,)})
    started = time.perf_counter()
    manifest = run_features(FeaturesConfig(decode_ahead=4), inputs, executor)
    return {o.shard: o.sha256 for o in manifest.outputs}, time.perf_counter() - started


def on_cluster(
    store: Store, shards: Manifest, nodes: int, folder: Path, *, gpus: int = 0
) -> tuple[dict[int, str], float]:
    """The stage on a cluster of that many nodes with one CPU each, and a head with none, and nodes with a GPU."""
    folder.mkdir()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 80 << 20})
    try:
        for _ in range(nodes):
            cluster.add_node(num_cpus=1, object_store_memory=80 << 20)
        for _ in range(gpus):
            cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=80 << 20)
        cluster.wait_for_nodes()
        os.environ["RAY_ADDRESS"] = cluster.address
        return features(store, shards, Watching(folder) if gpus else Recording(folder))
    finally:
        ray.shutdown()
        cluster.shutdown()  # type: ignore[no-untyped-call]


def waits(folder: Path) -> tuple[list[int], float, float]:
    """Shards of every node, idle seconds of all nodes together, and seconds from the first start to the last."""
    logs = [[json.loads(line) for line in path.read_text().splitlines()] for path in sorted(folder.iterdir())]
    starts = [started for log in logs for started, _ in log[1:]]
    first, last = min(starts), max(starts)
    idle = 0.0
    for log in logs:
        ends = [max(ended, first) for _, ended in log]  # the first entry is the loading
        begins = [started for started, _ in log[1:]] + [last]
        idle += sum(max(0.0, begin - end) for end, begin in zip(ends, begins, strict=True))
    return sorted((len(log) - 1 for log in logs), reverse=True), idle, last - first


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--videos", type=int, default=16)
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 4])
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, Ray {ray.__version__}")
    with tempfile.TemporaryDirectory(prefix="cluster-") as name:
        folder = Path(name)
        shards = prepared(folder, options.videos)
        store = Store(str(folder / "root"))
        expected, seconds = features(store, shards, LocalExecutor())
        print(f"{len(expected)} shards; one local process: {seconds:.1f} s with loading")
        print(f"{'nodes':>5}{'wall s':>8}  {'same bytes':<12}{'shards a node':<16}{'idle ms a shard':>16}{'idle':>7}")
        for nodes in options.nodes:
            found, seconds = on_cluster(store, shards, nodes, folder / f"nodes-{nodes}")
            own, idle, span = waits(folder / f"nodes-{nodes}")
            same, share = "yes" if found == expected else "NO", idle / max(span * nodes, 1e-9)
            print(
                f"{nodes:>5}{seconds:>8.1f}  {same:<12}{' '.join(map(str, own)):<16}"
                f"{1000 * idle / len(found):>16.0f}{share:>7.1%}",
                flush=True,
            )
        head = f"{'decoding nodes':>14}{'wall s':>8}  {'same bytes':<12}{'shards a node':<16}"
        print(f"\n{head}{'most waiting':>14}{'bound':>7}")
        for nodes in options.nodes:
            here = folder / f"decoding-{nodes}"
            found, seconds = on_cluster(store, shards, nodes, here, gpus=1)
            logs = [[json.loads(line) for line in path.read_text().splitlines()] for path in sorted(here.iterdir())]
            own, same = sorted(map(len, logs), reverse=True), "yes" if found == expected else "NO"
            most, bound = max(max(log) for log in logs)
            told = f"{nodes:>14}{seconds:>8.1f}  {same:<12}{' '.join(map(str, own)):<16}{most:>14}{bound:>7}"
            print(told, flush=True)


if __name__ == "__main__":
    main()
