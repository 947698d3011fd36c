"""What only embed knows: its place in the flow, its spec, its shards, how a video leaves them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from videobert.embed.config import EmbedConfig
from videobert.runtime.stage_kinds import BatchStage, Lookup, Upstream

if TYPE_CHECKING:
    from videobert.runtime.executor import Executor
    from videobert.runtime.inputs import Inputs
    from videobert.runtime.manifest import Manifest
    from videobert.runtime.shards import ShardTask

__all__ = ["EMBED"]


class Embed(BatchStage[EmbedConfig]):
    name = "embed"
    reads = ("tokens", "pretrain")
    folder = "embeddings/model={spec}"
    suffix = "parquet"
    version = 3
    summary = "write segment and video vectors with their lineage"
    parts = ("embed",)
    asset = "embeddings"
    hours = 24
    config = EmbedConfig
    can_be_shared = True

    def spec(self, config: EmbedConfig, upstream: Mapping[str, str]) -> str:
        """`<model spec>.<4 digits of the embed config>`: the folder names the model; poolings lie side by side."""
        from videobert.runtime.spec import stage_spec

        model = upstream["pretrain"]
        return f"{model}.{stage_spec(self, config, upstream=[model])[-4:]}"

    def run(self, config: EmbedConfig, inputs: Inputs, executor: Executor) -> Manifest:
        from videobert.embed.run import run

        return run(config, inputs, executor)

    def batches(self, lookup: Lookup) -> list[str]:
        """Every batch with features: one that has no tokens yet is an error, not left out without a word."""
        return lookup.committed_batches("features", lookup.spec("features"))

    def upstream(self, lookup: Lookup, batch: str) -> Upstream:
        """The chosen model, and tokens as those that it was trained on."""
        model = lookup.artifact("pretrain")
        tokens = lookup.batch_manifest("tokens", model.source_spec("tokens"), batch)
        return {"tokens": (tokens,), "pretrain": (model,)}

    def shard_tasks(self, manifest: Manifest, inputs: Inputs) -> list[ShardTask]:
        from videobert.embed.run import shard_tasks

        return shard_tasks(manifest.spec, inputs)

    def drop_video(self, source: Path, target: Path, video_id: str) -> dict[str, int]:
        from videobert.runtime.parquet import copy_without

        rows = copy_without(source, target, video_id)
        return {"videos": 1, "segments": rows - 1, "rows": rows} if rows else {}  # one row is the whole video's


EMBED = Embed()
