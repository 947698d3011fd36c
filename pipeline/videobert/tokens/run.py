"""Tokens: features and captions of a batch become token sequences, shard by shard."""

from __future__ import annotations

from videobert.errors import ConflictError, InputError
from videobert.runtime.executor import Executor
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest
from videobert.runtime.parquet import read_table
from videobert.runtime.shards import ShardCommit, ShardTask, find_unchanged, run_shards
from videobert.runtime.spec import digest, output_config
from videobert.shard.core import unique_videos
from videobert.tokens.config import TokensConfig
from videobert.tokens.stage import TOKENS

__all__ = ["run", "shard_tasks"]

_WORKER = "videobert.tokens.worker:TokensWorker"
_COLUMNS = ["video_id", "uri", "title", "cues"]


def run(config: TokensConfig, inputs: Inputs, executor: Executor) -> Manifest:
    """Tokenise the batch. Raises InputError when the codebook was fitted on other features than these."""
    features, codebook = inputs.one("features"), inputs.one("codebook")
    # Another view of the pixels is quantised as the videos themselves are.
    if codebook.facts["feature_spec"] not in (features.spec, features.facts.get("view_of")):
        raise InputError(
            f"codebook {codebook.spec} was fitted on {codebook.facts['feature_spec']}, but the features are "
            f"{features.spec}; fit a codebook on these features, or choose the recipe that made the codebook"
        )
    spec = TOKENS.spec(config, inputs.upstream_specs)
    if unchanged := find_unchanged(inputs, TOKENS.name, spec):
        return unchanged
    commit = ShardCommit(
        store=inputs.store, stage=TOKENS.name, spec=spec, batch=inputs.batch, config=output_config(config),
        sources=inputs.sources, expected_videos=features.counts.get("videos", 0), share=inputs.share,
        facts={"feature_spec": features.spec, "codebook_spec": codebook.spec},
    )  # fmt: skip
    tasks = shard_tasks(spec, inputs)
    return run_shards(commit, tasks, worker=_WORKER, arguments=(config, inputs.store, codebook), executor=executor)


def shard_tasks(spec: str, inputs: Inputs) -> list[ShardTask]:
    """One a file of features. Raises InputError when the catalog no longer knows one of its videos."""
    features, catalog = inputs.one("features"), inputs.one("ingest")
    tables = [
        read_table(inputs.store, output.path, columns=[*_COLUMNS, "caption_source"]) for output in catalog.outputs
    ]
    rows = unique_videos(row for table in tables for row in table.to_pylist())
    tasks = []
    for output in features.outputs:
        table = read_table(inputs.store, output.path, columns=["video_id"])
        ids = [str(video_id) for video_id in table["video_id"].unique().to_pylist()]
        if strange := [video_id for video_id in ids if video_id not in rows]:
            raise ConflictError(
                f"the catalog of batch {inputs.batch!r} knows {len(strange)} videos of its features no longer, such as "
                f"{strange[0]}; wait for the run that changes it, or run the stages shard and features of it again"
            )
        videos = [{name: rows[video_id][name] for name in _COLUMNS} for video_id in ids]
        known = digest([spec, output.sha256, videos])
        tasks.append(
            ShardTask(shard=output.shard, input_digest=known, payload={"features": output.path, "videos": videos})
        )
    return tasks
