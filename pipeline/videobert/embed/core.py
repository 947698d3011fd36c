"""The schema of the embeddings: one row a segment and one a video, each with its lineage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["SCHEMA_VERSION", "embedding_table", "embeddings_schema", "unit_mean"]

SCHEMA_VERSION = "1"


def embeddings_schema(embedding: int, feature: int) -> pa.Schema:
    """`embedding` is a unit vector of the retrieval space, `feature` the pooled hidden states for downstream models.

    No column is called `batch` or `model`: hive readers make those from the path.
    """
    columns: list[tuple[str, pa.DataType]] = [
        ("row_id", pa.string()),  # VIDEO_ID:SEGMENT, or VIDEO_ID for the whole video
        ("level", pa.string()),  # segment or video
        ("video_id", pa.string()),
        ("segment", pa.int32()),  # -1 for the whole video
        ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()),
        ("text", pa.string()),
        ("title", pa.string()),
        ("source_uri", pa.string()),
        ("batch_key", pa.string()),
        ("shard", pa.int32()),
        ("encoder_spec", pa.string()),
        ("codebook_spec", pa.string()),
        ("model_spec", pa.string()),
        ("embedding", pa.list_(pa.float32(), embedding)),
        ("feature", pa.list_(pa.float32(), feature)),
    ]
    return pa.schema(columns, metadata={"videobert_schema": SCHEMA_VERSION})


def unit_mean(vectors_SR: NDArray[np.float32]) -> NDArray[np.float32]:
    """The unit vector of a video: the mean of its segments' vectors, normalised; float32 [R]."""
    mean = vectors_SR.astype(np.float64).mean(axis=0)
    unit_R: NDArray[np.float32] = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
    return unit_R


def embedding_table(
    rows: Sequence[Mapping[str, Any]],
    embeddings_BR: NDArray[np.float32],
    features_BF: NDArray[np.float32],
    *,
    lineage: Mapping[str, Any],
) -> pa.Table:
    """Rows with their vectors; `lineage` holds what all rows of a shard share."""
    schema = embeddings_schema(embeddings_BR.shape[1], features_BF.shape[1])
    plain = [field.name for field in schema if field.name not in ("embedding", "feature")]
    columns: list[pa.Array[Any]] = [
        pa.array([lineage[name] if name in lineage else row[name] for row in rows], schema.field(name).type)
        for name in plain
    ]
    for vectors in (embeddings_BR, features_BF):
        flat = pa.array(np.ascontiguousarray(vectors, dtype=np.float32).reshape(-1))
        columns.append(pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1]))
    return pa.Table.from_arrays(columns, schema=schema)
