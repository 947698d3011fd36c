"""What only features knows: its place in the flow, its spec, its shards, how a video leaves them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from videobert.features.config import FeaturesConfig
from videobert.runtime.stage_kinds import BatchStage

if TYPE_CHECKING:
    from videobert.runtime.executor import Executor
    from videobert.runtime.inputs import Inputs
    from videobert.runtime.manifest import Manifest
    from videobert.runtime.shards import ShardTask

__all__ = ["FEATURES"]


class Features(BatchStage[FeaturesConfig]):
    name = "features"
    reads = ("shard",)
    folder = "features/{spec}"
    suffix = "parquet"
    version = 4
    summary = "decode 20 fps clips of 1.5 s and encode each into one vector"
    parts = ("ingest",)
    asset = "features"
    hours = 24
    config = FeaturesConfig
    can_be_shared = True

    def spec(self, config: FeaturesConfig, upstream: Mapping[str, str]) -> str:
        """Holds the digest of the weights, not their path: a model id is fetched to hash its files."""
        from videobert.features.encoders import output_identity
        from videobert.runtime.spec import stage_spec

        return stage_spec(self, output_identity(config), upstream=[upstream["shard"]])

    def run(self, config: FeaturesConfig, inputs: Inputs, executor: Executor) -> Manifest:
        from videobert.features.run import run

        return run(config, inputs, executor)

    def shard_tasks(self, manifest: Manifest, inputs: Inputs) -> list[ShardTask]:
        from videobert.features.run import shard_tasks

        return shard_tasks(manifest.spec, inputs)

    def drop_video(self, source: Path, target: Path, video_id: str) -> dict[str, int]:
        from videobert.features.drop import drop_video

        return drop_video(source, target, video_id)


FEATURES = Features()
