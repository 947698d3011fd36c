"""What only tokens knows: its place in the flow, its spec, its shards, how a video leaves them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from videobert.runtime.stage_kinds import BatchStage
from videobert.tokens.config import TokensConfig

if TYPE_CHECKING:
    from videobert.runtime.executor import Executor
    from videobert.runtime.inputs import Inputs
    from videobert.runtime.manifest import Manifest, Output
    from videobert.runtime.shards import ShardTask
    from videobert.runtime.storage import Store

__all__ = ["TOKENS"]


class Tokens(BatchStage[TokensConfig]):
    name = "tokens"
    reads = ("features", "ingest", "codebook")
    folder = "tokens/{spec}"
    suffix = "tar"
    version = 2
    summary = "quantise clips, tokenise sentences, align both into segments"
    parts = ("train", "embed")
    hours = 24
    config = TokensConfig
    can_be_shared = True

    def spec(self, config: TokensConfig, upstream: Mapping[str, str]) -> str:
        from videobert.runtime.spec import stage_spec

        return stage_spec(self, config, upstream=[upstream["features"], upstream["codebook"]])

    def run(self, config: TokensConfig, inputs: Inputs, executor: Executor) -> Manifest:
        from videobert.tokens.run import run

        return run(config, inputs, executor)

    def shard_tasks(self, manifest: Manifest, inputs: Inputs) -> list[ShardTask]:
        from videobert.tokens.run import shard_tasks

        return shard_tasks(manifest.spec, inputs)

    def drop_video(self, source: Path, target: Path, video_id: str) -> dict[str, int]:
        from videobert.tokens.drop import drop_video

        return drop_video(source, target, video_id)

    def outputs_with(self, store: Store, manifest: Manifest, video_id: str) -> list[Output]:
        from videobert.tokens.read import read_shard

        return [o for o in manifest.outputs if any(s["video_id"] == video_id for s in read_shard(store, o.path))]


TOKENS = Tokens()
