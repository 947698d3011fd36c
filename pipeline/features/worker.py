"""One shard of features: decode and encode every video of one tar."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.errors import VideoError
from pipeline.features.config import FeaturesConfig
from pipeline.features.core import VideoFeatures, encode_video
from pipeline.features.encoders import load_encoder
from pipeline.features.isolated import IsolatedDecoder
from pipeline.runtime.manifest import Output, Reject
from pipeline.runtime.parquet import table_bytes
from pipeline.runtime.shards import ShardTask, finish
from pipeline.runtime.storage import Store
from pipeline.runtime.tar import read_json, read_members

__all__ = ["FeaturesWorker", "features_schema"]

_COPY_BYTES = 1 << 20


def features_schema(dimension: int) -> pa.Schema:
    """One row a clip; `feature` is float32 [dimension].

    The lost ranges of damaged videos stand in the file's metadata: `damaged_seconds`, {video_id: [[start, end], …]}.
    """
    columns: list[tuple[str, pa.DataType]] = [
        ("video_id", pa.string()), ("clip", pa.int32()), ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()), ("feature", pa.list_(pa.float32(), dimension)),
    ]  # fmt: skip
    return pa.schema(columns)


class FeaturesWorker:
    """Loads the encoder once, then turns tars into Parquet of clip vectors."""

    def __init__(self, config: FeaturesConfig, store: Store) -> None:
        self._config = config
        self._store = store
        self._encoder = load_encoder(config)
        self._decoder = IsolatedDecoder(config.limits)

    def __call__(self, task: ShardTask) -> Output:
        schema = features_schema(self._encoder.dimension)
        tables: list[pa.Table] = [schema.empty_table()]
        rejects: list[Reject] = []
        damaged: dict[str, tuple[tuple[float, float], ...]] = {}
        with tempfile.TemporaryDirectory(prefix="videobert-") as folder:
            for metadata, path in self._videos(task.payload, Path(folder)):
                video_id = metadata["video_id"]
                try:
                    video = encode_video(path, self._encoder, self._config, decoder=self._decoder)
                    tables.append(_rows(video_id, video, schema, clip_seconds=self._config.clip_seconds))
                    if video.damaged_seconds:
                        damaged[video_id] = video.damaged_seconds
                except VideoError as error:
                    rejects.append(Reject.of(error, video_id=video_id, uri=metadata["uri"]))
        table = pa.concat_tables(tables)
        if damaged:
            table = table.replace_schema_metadata({"damaged_seconds": json.dumps(damaged)})
        lost = sum(round(1000 * (end - start)) for ranges in damaged.values() for start, end in ranges)
        counts = {"videos": len(tables) - 1, "clips": table.num_rows, "damaged_milliseconds": lost}
        return finish(self._store, task, data=table_bytes(table), counts=counts, rejects=rejects)

    def _videos(self, tar_path: str, folder: Path) -> Any:
        """(metadata, local file) of every sample; the tar is read once, front to back."""
        with self._store.open(tar_path) as source:
            metadata: dict[str, Any] = {}
            for name, reader in read_members(source):
                if name.endswith(".json"):
                    metadata = read_json(name, reader)
                    continue
                path = folder / f"video{PurePosixPath(name).suffix}"
                with path.open("wb") as sink:
                    while block := reader.read(_COPY_BYTES):
                        sink.write(block)
                yield metadata, path
                path.unlink()


def _rows(video_id: str, video: VideoFeatures, schema: pa.Schema, *, clip_seconds: float) -> pa.Table:
    count, dimension = video.features.shape
    # Clips that meet damage are left out, so the number of a clip is its place in time, not in the table.
    clip_N = np.rint(video.start_seconds / clip_seconds).astype(np.int32)
    flat = pa.array(np.ascontiguousarray(video.features, dtype=np.float32).reshape(-1))
    columns: list[pa.Array[Any]] = [
        pa.array([video_id] * count, pa.string()),
        pa.array(clip_N),
        pa.array(video.start_seconds, pa.float64()),
        pa.array(video.end_seconds, pa.float64()),
        pa.FixedSizeListArray.from_arrays(flat, dimension),
    ]
    return pa.Table.from_arrays(columns, schema=schema)
