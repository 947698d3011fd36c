"""The rows of one shard on their way into Parquet: on local disk, whatever their number, and a row group in memory."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from videobert.runtime.parquet import group_rows, write_groups
from videobert.video.options import DecodeOptions

__all__ = ["ClipRows", "features_schema"]


def features_schema(dimension: int) -> pa.Schema:
    """One row per clip; `feature` is float32 [dimension].

    The file's metadata tells of damaged videos which ranges are lost, `damaged_seconds`: {video_id: [[start, end], …]},
    and of videos whose last clip is not whole since when its last picture is held, `held_from`: {video_id: seconds}.
    There that clip's `end_seconds` is.
    """
    columns: list[tuple[str, pa.DataType]] = [
        ("video_id", pa.string()), ("clip", pa.int32()), ("start_seconds", pa.float64()),
        ("end_seconds", pa.float64()), ("feature", pa.list_(pa.float32(), dimension)),
    ]  # fmt: skip
    return pa.schema(columns)


class ClipRows:
    """Takes the vectors of one video after the other; those of a video that fails in the end are dropped."""

    def __init__(self, spool: IO[bytes], *, dimension: int, options: DecodeOptions) -> None:
        self._spool, self._options = spool, options
        self._schema = features_schema(dimension)
        self._width = 4 * dimension
        self._open: list[NDArray[np.int32]] = []
        self._videos: list[tuple[str, NDArray[np.int32]]] = []
        self._ends: list[NDArray[np.float64]] = []
        self._damaged: dict[str, Sequence[tuple[float, float]]] = {}
        self._held: dict[str, float] = {}

    def add(self, index_N: NDArray[np.int32], features_ND: NDArray[np.float32]) -> None:
        """Clips of the video that is being read."""
        self._spool.write(np.ascontiguousarray(features_ND, np.float32).data)
        self._open.append(index_N)

    def keep(
        self, video_id: str, damaged_seconds: Sequence[tuple[float, float]], *, held_from: float | None = None
    ) -> None:
        """All its clips were added. The pictures of the last one may end at `held_from`, before it does."""
        index_N = np.concatenate([np.empty(0, np.int32), *self._open])
        end_N = self._start(index_N) + self._options.clip_seconds
        if held_from is not None and len(end_N):
            self._held[video_id] = end_N[-1] = held_from
        self._videos.append((video_id, index_N))
        self._ends.append(end_N)
        if damaged_seconds:
            self._damaged[video_id] = damaged_seconds
        self._open = []

    def drop(self) -> None:
        """Forget the clips that were added since the last video that was kept."""
        self._spool.seek(self._count * self._width)
        self._spool.truncate()
        self._open = []

    @property
    def counts(self) -> dict[str, int]:
        """Videos, clips, milliseconds that were lost, and clips that are not whole, where there are any."""
        ranges = [pair for of_video in self._damaged.values() for pair in of_video]
        lost = sum(round(1000 * (end - start)) for start, end in ranges)
        held = {"incomplete_clips": len(self._held)} if self._held else {}
        return {"videos": len(self._videos), "clips": self._count, "damaged_milliseconds": lost} | held

    def write(self, target: Path, metadata: dict[str, Any] | None = None) -> None:
        """Write the file. `metadata` joins that of the lost ranges, as JSON."""
        told = {"damaged_seconds": self._damaged, "held_from": self._held}
        facts = {name: value for name, value in told.items() if value} | (metadata or {})
        texts = {name: json.dumps(value) for name, value in facts.items()}
        schema = self._schema.with_metadata(texts) if texts else self._schema
        write_groups(schema, self._groups(schema), target)

    @property
    def _count(self) -> int:
        return sum(len(index_N) for _, index_N in self._videos)

    def _groups(self, schema: pa.Schema) -> Iterator[pa.Table]:
        self._spool.seek(0)
        names = itertools.chain.from_iterable(itertools.repeat(name, len(index_N)) for name, index_N in self._videos)
        index_N = np.concatenate([np.empty(0, np.int32), *(index_N for _, index_N in self._videos)])
        end_N = np.concatenate([np.empty(0), *self._ends])
        size = group_rows(schema)
        for first in range(0, max(1, len(index_N)), size):  # a file without rows has one group too
            group = slice(first, first + size)
            yield self._group(schema, list(itertools.islice(names, size)), index_N[group], end_N[group])

    def _start(self, clip_N: NDArray[np.int32]) -> NDArray[np.float64]:
        return clip_N.astype(np.float64) * float(self._options.stride)

    def _group(
        self, schema: pa.Schema, names: list[str], clip_N: NDArray[np.int32], end_N: NDArray[np.float64]
    ) -> pa.Table:
        vectors = np.frombuffer(self._spool.read(len(clip_N) * self._width), np.float32)
        columns: list[pa.Array[Any]] = [
            pa.array(names, pa.string()),
            # Clips that meet damage are left out, so the number of a clip is its place in time, not in the table.
            pa.array(clip_N),
            pa.array(self._start(clip_N), pa.float64()),
            pa.array(end_N, pa.float64()),
            pa.FixedSizeListArray.from_arrays(pa.array(vectors), self._width // 4),
        ]
        return pa.Table.from_arrays(columns, schema=schema)
