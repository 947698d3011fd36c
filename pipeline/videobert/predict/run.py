"""Predict: a batch's tokens become Parquet rows of answers, shard by shard."""

from __future__ import annotations

from videobert.predict.config import PredictConfig
from videobert.predict.stage import PREDICT
from videobert.runtime.executor import Executor
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest
from videobert.runtime.shards import ShardCommit, ShardTask, run_shards
from videobert.runtime.spec import digest, output_config

__all__ = ["run", "shard_tasks"]

_WORKER = "videobert.predict.worker:PredictWorker"


def run(config: PredictConfig, inputs: Inputs, executor: Executor) -> Manifest:
    """Answer for the batch."""
    tokens, tuned = inputs.one("tokens"), inputs.one("finetune")
    spec = PREDICT.spec(config, inputs.upstream_specs)
    commit = ShardCommit(
        store=inputs.store, stage=PREDICT.name, spec=spec, batch=inputs.batch, config=output_config(config),
        sources=inputs.sources, expected_videos=tokens.counts.get("videos", 0), share=inputs.share,
        facts={"task": tuned.facts["task"], "task_spec": tuned.spec, "model_spec": tuned.facts["model_spec"]},
    )  # fmt: skip
    arguments = (config, inputs.store, tuned)
    return run_shards(commit, shard_tasks(spec, inputs), worker=_WORKER, arguments=arguments, executor=executor)


def shard_tasks(spec: str, inputs: Inputs) -> list[ShardTask]:
    """One a tar of tokens."""
    return [
        ShardTask(shard=o.shard, input_digest=digest([spec, o.sha256]), payload=(inputs.batch, o.path))
        for o in inputs.one("tokens").outputs
    ]
