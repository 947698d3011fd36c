"""What only predict knows: its place in the flow, its spec, its shards, how a video leaves them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from videobert.predict.config import PredictConfig
from videobert.runtime.stage_kinds import BatchStage, Lookup, Upstream

if TYPE_CHECKING:
    from videobert.runtime.executor import Executor
    from videobert.runtime.inputs import Inputs
    from videobert.runtime.manifest import Manifest
    from videobert.runtime.shards import ShardTask

__all__ = ["PREDICT"]


class Predict(BatchStage[PredictConfig]):
    name = "predict"
    reads = ("tokens", "finetune")
    folder = "predictions/task={spec}"
    suffix = "parquet"
    version = 1
    summary = "answers of a fine-tuned model for every segment or video, with their lineage"
    parts = ("predict",)
    hours = 24
    config = PredictConfig
    can_be_shared = True

    def spec(self, config: PredictConfig, upstream: Mapping[str, str]) -> str:
        """`<spec of the fine-tuned model>.<4 digits of the config>`, as embeddings are named after their model."""
        from videobert.runtime.spec import stage_spec

        tuned = upstream["finetune"]
        return f"{tuned}.{stage_spec(self, config, upstream=[tuned])[-4:]}"

    def run(self, config: PredictConfig, inputs: Inputs, executor: Executor) -> Manifest:
        from videobert.predict.run import run

        return run(config, inputs, executor)

    def batches(self, lookup: Lookup) -> list[str]:
        """Every batch that has tokens of the model's kind."""
        return lookup.committed_batches("tokens", lookup.artifact("finetune").source_spec("tokens"))

    def upstream(self, lookup: Lookup, batch: str) -> Upstream:
        """The fine-tuned model, and tokens as those that it was trained on."""
        tuned = lookup.artifact("finetune")
        tokens = lookup.batch_manifest("tokens", tuned.source_spec("tokens"), batch)
        return {"tokens": (tokens,), "finetune": (tuned,)}

    def shard_tasks(self, manifest: Manifest, inputs: Inputs) -> list[ShardTask]:
        from videobert.predict.run import shard_tasks

        return shard_tasks(manifest.spec, inputs)

    def drop_video(self, source: Path, target: Path, video_id: str) -> dict[str, int]:
        from videobert.runtime.parquet import copy_without

        rows = copy_without(source, target, video_id)
        return {"videos": 1, "rows": rows} if rows else {}


PREDICT = Predict()
