"""What only shard knows: its place in the flow, its spec, its plan, how a video leaves a tar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from videobert.runtime.stage_kinds import BatchStage
from videobert.shard.config import ShardConfig

if TYPE_CHECKING:
    from videobert.runtime.executor import Executor
    from videobert.runtime.inputs import Inputs
    from videobert.runtime.manifest import Manifest, Output
    from videobert.runtime.shards import ShardTask
    from videobert.runtime.storage import Store

__all__ = ["SHARD"]


class Shard(BatchStage[ShardConfig]):
    name = "shard"
    reads = ("ingest",)
    folder = "shards/{spec}"
    suffix = "tar"
    version = 1
    summary = "pack original bytes and captions into WebDataset tars"
    parts = ("ingest",)
    hours = 6
    config = ShardConfig

    def spec(self, config: ShardConfig, upstream: Mapping[str, str]) -> str:
        from videobert.runtime.spec import stage_spec

        return stage_spec(self, config, upstream=[upstream["ingest"]])

    def run(self, config: ShardConfig, inputs: Inputs, executor: Executor) -> Manifest:
        from videobert.shard.run import run

        return run(config, inputs, executor)

    def shard_tasks(self, manifest: Manifest, inputs: Inputs) -> list[ShardTask]:
        from videobert.shard.run import shard_tasks

        return shard_tasks(manifest.spec, inputs, limit=manifest.config["shard_bytes"])

    def drop_video(self, source: Path, target: Path, video_id: str) -> dict[str, int]:
        from videobert.shard.drop import drop_video

        return drop_video(source, target, video_id)

    def outputs_with(self, store: Store, manifest: Manifest, video_id: str) -> list[Output]:
        """The plan tells what a tar was asked to hold; to look into it, all its videos would have to be read."""
        from videobert.runtime.manifest import folder_of
        from videobert.runtime.shards import load_plan

        plan = load_plan(store, folder_of(self, manifest.spec, manifest.batch))
        planned = {number for number, members in enumerate(plan) if video_id in members}
        return [
            output
            for output in manifest.outputs
            if output.shard in planned and all(reject.video_id != video_id for reject in output.rejects)
        ]

    def plan_keys(
        self, store: Store, manifest: Manifest | None, plan: Sequence[Sequence[str]], video_id: str
    ) -> set[str]:
        return {video_id}


SHARD = Shard()
