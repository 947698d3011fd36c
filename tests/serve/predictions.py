"""Predictions for the rows of embeddings, written as `videobert predict` commits them, without training a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from videobert.predict.core import prediction_table
from videobert.query.embeddings import embedding_manifests, open_files
from videobert.runtime.manifest import Manifest, Output, folder_of, save_manifest
from videobert.runtime.parquet import table_bytes
from videobert.runtime.storage import Store, sha256
from videobert.stages import get_stage
from videobert.tasks.base import Answer

__all__ = ["PREDICTIONS", "write_predictions"]

PREDICTIONS = "finetune-1.abcd"
_COLUMNS = ["row_id", "level", "video_id", "segment", "start_seconds", "end_seconds", "text", "title", "source_uri"]


def write_predictions(store: Store, embed_spec: str, label_of: Callable[[dict[str, Any]], str]) -> None:
    """One commit per embedded batch, with a label for every segment."""
    for embedded in embedding_manifests(store, embed_spec):
        rows = open_files(store, embed_spec, [output.path for output in embedded.outputs])
        told = [row for row in rows.to_table(columns=_COLUMNS).to_pylist() if row["level"] == "segment"]
        answers = [Answer(labels=(label_of(row),), scores=(0.75,)) for row in told]
        lineage = {
            "batch_key": embedded.batch, "shard": 0, "task_name": "classification", "encoder_spec": "features-1",
            "codebook_spec": "codebook-1", "model_spec": "pretrain-1", "task_spec": "finetune-1",
        }  # fmt: skip
        data = table_bytes(prediction_table(told, answers, lineage=lineage))
        path = f"{folder_of(get_stage('predict'), PREDICTIONS, embedded.batch)}/00000.parquet"
        store.write(path, data)
        output = Output(
            shard=0, input_digest="", path=path, sha256=sha256(data), size_bytes=len(data), counts={"rows": len(told)}
        )
        sources = tuple(source for source in embedded.sources if source.stage == "tokens")
        save_manifest(store, Manifest(
            stage="predict", spec=PREDICTIONS, batch=embedded.batch, config={}, sources=sources, outputs=(output,),
        ))  # fmt: skip
