"""Embed: a batch's tokens become Parquet rows of vectors, shard by shard."""

from __future__ import annotations

from videobert.embed.config import EmbedConfig
from videobert.embed.stage import EMBED
from videobert.errors import InputError
from videobert.runtime.executor import Executor
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest
from videobert.runtime.shards import ShardCommit, ShardTask, run_shards
from videobert.runtime.spec import digest, output_config

__all__ = ["run", "shard_tasks"]

_WORKER = "videobert.embed.worker:EmbedWorker"


def run(config: EmbedConfig, inputs: Inputs, executor: Executor) -> Manifest:
    """Embed the batch. Raises InputError when the tokens are of another codebook than the model's."""
    tokens, model = inputs.one("tokens"), inputs.one("pretrain")
    if tokens.facts["codebook_spec"] != model.facts["codebook_spec"]:
        raise InputError(
            f"model {model.spec} reads tokens of {model.facts['codebook_spec']}, these are of "
            f"{tokens.facts['codebook_spec']}; tokenise the batch with --model {model.spec}"
        )
    spec = EMBED.spec(config, inputs.upstream_specs)
    commit = ShardCommit(
        store=inputs.store, stage=EMBED.name, spec=spec, batch=inputs.batch, config=output_config(config),
        sources=inputs.sources, expected_videos=tokens.counts.get("videos", 0), share=inputs.share,
        facts={"model_spec": model.spec, "codebook_spec": model.facts["codebook_spec"]},
    )  # fmt: skip
    tasks = shard_tasks(spec, inputs)
    arguments = (config, inputs.store, model)
    return run_shards(commit, tasks, worker=_WORKER, arguments=arguments, executor=executor)


def shard_tasks(spec: str, inputs: Inputs) -> list[ShardTask]:
    """One a tar of tokens."""
    return [
        ShardTask(shard=o.shard, input_digest=digest([spec, o.sha256]), payload=(inputs.batch, o.path))
        for o in inputs.one("tokens").outputs
    ]
