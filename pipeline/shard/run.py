"""Shard: the catalog's videos become WebDataset tars whose membership never moves."""

from __future__ import annotations

from pipeline.runtime.executor import Executor
from pipeline.runtime.inputs import Inputs
from pipeline.runtime.manifest import Manifest
from pipeline.runtime.parquet import read_table
from pipeline.runtime.plan import Item, extend_plan
from pipeline.runtime.shards import ShardCommit, ShardTask, load_plan, run_shards, save_plan
from pipeline.runtime.spec import digest, output_config, stage_spec
from pipeline.shard.config import ShardConfig
from pipeline.shard.core import metadata_bytes, unique_videos
from pipeline.stages import get_stage

__all__ = ["run"]

_STAGE = get_stage("shard")
_WORKER = "pipeline.shard.worker:ShardWorker"


def run(config: ShardConfig, inputs: Inputs, executor: Executor) -> Manifest:
    """Pack the batch. Duplicate bytes are packed once."""
    catalog = inputs.one("ingest")
    rows = [row for output in catalog.outputs for row in read_table(inputs.store, output.path).to_pylist()]
    videos = unique_videos(rows)
    commit = ShardCommit(
        store=inputs.store, stage=_STAGE.name, spec=stage_spec(_STAGE, config, upstream=[catalog.spec]),
        batch=inputs.batch, config=output_config(config), sources=inputs.sources, expected_videos=len(videos),
        facts={"duplicates": len(rows) - len(videos)}, retry=inputs.retry,
    )  # fmt: skip
    items = [Item(key=video_id, weight=row["size_bytes"]) for video_id, row in videos.items()]
    plan = extend_plan(load_plan(inputs.store, commit.folder), items, limit=config.shard_bytes)
    save_plan(inputs.store, commit.folder, plan)
    tasks = [
        ShardTask(
            shard=number,
            input_digest=digest([commit.spec, *(metadata_bytes(videos[key]).decode() for key in members)]),
            payload=tuple(videos[key] for key in members),
        )
        for number, members in enumerate(plan)
    ]
    return run_shards(commit, tasks, worker=_WORKER, arguments=(inputs.store,), executor=executor)
