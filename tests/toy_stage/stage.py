"""What only the toy stage knows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tests.toy_stage.config import BrightnessConfig
from videobert.runtime.stage_kinds import BatchStage

if TYPE_CHECKING:
    from videobert.runtime.executor import Executor
    from videobert.runtime.inputs import Inputs
    from videobert.runtime.manifest import Manifest
    from videobert.runtime.shards import ShardTask

__all__ = ["BRIGHTNESS"]


class Brightness(BatchStage[BrightnessConfig]):
    name = "brightness"
    reads = ("features",)
    folder = "brightness/{spec}"
    suffix = "parquet"
    version = 1
    summary = "mean of every video's clip vectors"
    parts = ("ingest",)
    config = BrightnessConfig
    can_be_shared = True

    def spec(self, config: BrightnessConfig, upstream: Mapping[str, str]) -> str:
        from videobert.runtime.spec import stage_spec

        return stage_spec(self, config, upstream=[upstream["features"]])

    def run(self, config: BrightnessConfig, inputs: Inputs, executor: Executor) -> Manifest:
        from tests.toy_stage.run import run

        return run(config, inputs, executor)

    def shard_tasks(self, manifest: Manifest, inputs: Inputs) -> list[ShardTask]:
        from tests.toy_stage.run import shard_tasks

        return shard_tasks(manifest.spec, inputs)

    def drop_video(self, source: Path, target: Path, video_id: str) -> dict[str, int]:
        from videobert.runtime.parquet import copy_without

        return {"videos": 1} if copy_without(source, target, video_id) else {}


BRIGHTNESS = Brightness()
