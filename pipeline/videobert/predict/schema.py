"""The schema of the predictions, light enough for a query client."""

from __future__ import annotations

import pyarrow as pa

__all__ = ["PREDICTIONS"]

PREDICTIONS = pa.schema(
    [
        ("row_id", pa.string()),  # VIDEO_ID:SEGMENT, or VIDEO_ID for the whole video, as in the embeddings
        ("level", pa.string()),  # segment or video
        ("video_id", pa.string()),
        ("segment", pa.int32()),  # -1 for the whole video
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("label", pa.string()),  # the best answer; null where the task writes text
        ("score", pa.float64()),  # its probability, or the value of a regression
        ("labels", pa.list_(pa.string())),  # the best answers in their order
        ("scores", pa.list_(pa.float64())),
        ("answer", pa.string()),  # what the task writes; null where it chooses
        ("text", pa.string()),  # what is said meanwhile
        ("title", pa.string()),
        ("source_uri", pa.string()),
        ("batch_key", pa.string()),
        ("shard", pa.int32()),
        ("task_name", pa.string()),
        ("encoder_spec", pa.string()),
        ("codebook_spec", pa.string()),
        ("model_spec", pa.string()),
        ("task_spec", pa.string()),
    ],
    metadata={"videobert_schema": "1"},
)
"""No column is called `batch` or `task`: hive readers make those from the path."""
