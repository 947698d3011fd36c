"""One Parquet file per file of features: a row per video, or a reject for one whose file says so."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pyarrow as pa

from tests.toy_stage.config import BrightnessConfig
from tests.toy_stage.stage import BRIGHTNESS
from videobert.runtime.executor import Executor
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest, Output, Reject
from videobert.runtime.parquet import read_table, table_bytes, vectors_of
from videobert.runtime.shards import ShardCommit, ShardTask, finish, run_shards
from videobert.runtime.spec import digest, output_config
from videobert.runtime.storage import Store

__all__ = ["REFUSED", "VICTIM", "BrightnessWorker", "run", "shard_tasks"]

VICTIM = "TOY_STAGE_DIES_AT_SHARD"
"""Variable with the number of the shard at which the process kills itself."""
REFUSED = "TOY_STAGE_REFUSES"
"""Variable with the path of a file: while it is there, the first video of every shard is refused."""


def run(config: BrightnessConfig, inputs: Inputs, executor: Executor) -> Manifest:
    features = inputs.one("features")
    spec = BRIGHTNESS.spec(config, inputs.upstream_specs)
    commit = ShardCommit(
        store=inputs.store, stage=BRIGHTNESS.name, spec=spec, batch=inputs.batch, config=output_config(config),
        sources=inputs.sources, expected_videos=features.counts["videos"], share=inputs.share, retry=inputs.retry,
    )  # fmt: skip
    arguments = (config, inputs.store)
    tasks = shard_tasks(spec, inputs)
    return run_shards(commit, tasks, worker=BrightnessWorker, arguments=arguments, executor=executor)


def shard_tasks(spec: str, inputs: Inputs) -> list[ShardTask]:
    outputs = inputs.one("features").outputs
    return [ShardTask(shard=o.shard, input_digest=digest([spec, o.sha256]), payload=o.path) for o in outputs]


class BrightnessWorker:
    def __init__(self, config: BrightnessConfig, store: Store) -> None:
        self._config, self._store = config, store

    def __call__(self, task: ShardTask) -> Output:
        if os.environ.get(VICTIM) == str(task.shard):
            os.kill(os.getpid(), signal.SIGKILL)
        table = read_table(self._store, task.payload)
        ids, means = table["video_id"].to_pylist(), vectors_of(table).mean(axis=1) * self._config.gain
        light: dict[str, list[float]] = {}
        for video_id, mean in zip(ids, means.tolist(), strict=True):
            light.setdefault(video_id, []).append(mean)
        rejects = []
        if light and Path(os.environ.get(REFUSED, "/nowhere")).exists():
            first = min(light)
            del light[first]
            rejects = [Reject(video_id=first, uri=first, reason="too-dark", message="refused on request")]
        rows = [{"video_id": video_id, "light": sum(found) / len(found)} for video_id, found in sorted(light.items())]
        schema = pa.schema([("video_id", pa.string()), ("light", pa.float64())])
        data = table_bytes(pa.Table.from_pylist(rows, schema=schema))
        return finish(self._store, task, data=data, counts={"videos": len(rows)}, rejects=rejects)
