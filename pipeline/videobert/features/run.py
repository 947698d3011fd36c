"""Features: every tar becomes one Parquet file of clip vectors, on as many actors as there are."""

from __future__ import annotations

from videobert.features.config import FeaturesConfig
from videobert.features.encoders import output_identity
from videobert.features.stage import FEATURES
from videobert.runtime.executor import Executor
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest
from videobert.runtime.shards import ShardCommit, ShardTask, run_shards
from videobert.runtime.spec import digest

__all__ = ["run", "shard_tasks"]

_WORKER = "videobert.features.worker:FeaturesWorker"
_SERVER = "videobert.features.encoders.served:EncoderServer"


def run(config: FeaturesConfig, inputs: Inputs, executor: Executor) -> Manifest:
    """Encode the batch. The spec holds the digest of the weights, not their path."""
    shards = inputs.one("shard")
    identity = output_identity(config)
    spec = FEATURES.spec(config, inputs.upstream_specs)
    commit = ShardCommit(
        store=inputs.store, stage=FEATURES.name, spec=spec, batch=inputs.batch, config=identity, sources=inputs.sources,
        expected_videos=shards.counts.get("videos", 0), share=inputs.share, retry=inputs.retry,
        facts={"view_of": FEATURES.spec(config.plain, inputs.upstream_specs)} if config.is_view else {},
    )  # fmt: skip
    tasks = shard_tasks(spec, inputs)
    encoders = executor.serve(_SERVER, (config,))
    return run_shards(commit, tasks, worker=_WORKER, arguments=(config, inputs.store, encoders), executor=executor)


def shard_tasks(spec: str, inputs: Inputs) -> list[ShardTask]:
    """One a tar."""
    outputs = inputs.one("shard").outputs
    return [ShardTask(shard=o.shard, input_digest=digest([spec, o.sha256]), payload=o.path) for o in outputs]
