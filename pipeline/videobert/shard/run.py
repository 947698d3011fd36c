"""Shard: the catalog's videos become WebDataset tars whose membership never moves."""

from __future__ import annotations

from videobert.runtime.executor import Executor
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest, folder_of
from videobert.runtime.parquet import read_table
from videobert.runtime.plan import Item, extend_plan
from videobert.runtime.shards import ShardCommit, ShardTask, find_unchanged, load_plan, run_shards, save_plan
from videobert.runtime.spec import digest, output_config
from videobert.shard.config import ShardConfig
from videobert.shard.core import metadata_bytes, precedence, unique_videos
from videobert.shard.stage import SHARD

__all__ = ["run", "shard_tasks"]

_WORKER = "videobert.shard.worker:ShardWorker"
_MOST_VIDEOS = 500
"""Of a new tar. Ten thousand videos of a few kilobytes in one would be one worker's work, lost whole when it is killed;
256 MB of ordinary footage are fewer than a hundred."""


def run(config: ShardConfig, inputs: Inputs, executor: Executor) -> Manifest:
    """Pack the batch. Duplicate bytes are packed once."""
    catalog = inputs.one("ingest")
    spec = SHARD.spec(config, inputs.upstream_specs)
    if unchanged := find_unchanged(inputs, SHARD.name, spec):
        return unchanged
    tasks = shard_tasks(spec, inputs, limit=config.shard_bytes)
    videos = sum(len(task.payload) for task in tasks)
    commit = ShardCommit(
        store=inputs.store, stage=SHARD.name, spec=spec, batch=inputs.batch, config=output_config(config),
        sources=inputs.sources, expected_videos=videos, facts={"duplicates": catalog.counts["videos"] - videos},
        retry=inputs.retry,
    )  # fmt: skip
    save_plan(inputs.store, commit.folder, [list(task.payload) for task in tasks])
    return run_shards(commit, tasks, worker=_WORKER, arguments=(inputs.store,), executor=executor)


def shard_tasks(spec: str, inputs: Inputs, *, limit: int) -> list[ShardTask]:
    """One a tar: the former plan goes on, without the videos that left the catalog.

    The payload maps a video's id to its metadata as bytes: a million rows as Python objects would take gigabytes.
    """
    videos: dict[str, tuple[tuple[int, str], int, bytes]] = {}  # precedence, size, metadata
    for output in inputs.one("ingest").outputs:
        for video_id, row in unique_videos(read_table(inputs.store, output.path).to_pylist()).items():
            if video_id not in videos or precedence(row) < videos[video_id][0]:
                videos[video_id] = (precedence(row), row["size_bytes"], metadata_bytes(row))
    items = [Item(key=video_id, weight=size) for video_id, (_, size, _) in videos.items()]
    former = load_plan(inputs.store, folder_of(SHARD, spec, inputs.batch))
    plan = extend_plan(former, items, limit=limit, most=_MOST_VIDEOS)
    return [
        ShardTask(
            shard=number,
            input_digest=digest([spec, *(videos[key][2].decode() for key in members)]),
            payload={key: videos[key][2] for key in members},
        )
        for number, members in enumerate(plan)
    ]
