"""The chunks of a long video as tasks and objects: what to do, where it goes, and how the shard takes it up."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from videobert.features.config import FeaturesConfig
from videobert.features.rows import ClipRows
from videobert.runtime.parquet import vectors_of
from videobert.runtime.shards import ShardTask
from videobert.runtime.storage import Store
from videobert.runtime.tar import read_members
from videobert.video.chunks import ChunkFacts, fit_together, plan_chunks
from videobert.video.clips import ClipRange

__all__ = ["ChunkTask", "LocalCopy", "chunk_tasks", "join_chunks", "metadata_of"]

_FACTS = "chunk"
"""Key of the `ChunkFacts` in the metadata of a chunk's file."""
_FOLDER = "_chunks"
_COPY_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkTask:
    """One chunk to do, of the first video of a tar."""

    tar: str
    video_id: str
    clip_range: ClipRange
    path: str
    """Where its vectors go."""


def chunk_tasks(task: ShardTask, metadata: dict[str, Any], config: FeaturesConfig) -> list[ChunkTask]:
    """The chunks of the video that leads a tar; none when it is read in one go."""
    clip_ranges = plan_chunks(
        metadata["container"], metadata["duration_seconds"], options=config.decoding,
        chunk_seconds=60 * config.chunk_minutes, max_seconds=config.limits.max_seconds,
    )  # fmt: skip
    # Named for what they are made of and for where they are cut: those of other inputs or lengths are others.
    stem = f"{PurePosixPath(task.path).parent}/{_FOLDER}/{task.input_digest[:16]}"
    return [
        ChunkTask(
            tar=task.payload, video_id=metadata["video_id"], clip_range=clip_range,
            path=f"{stem}-{clip_range.first}-{clip_range.last or 'end'}",
        )
        for clip_range in clip_ranges
        if clip_range != ClipRange()
    ]  # fmt: skip


def join_chunks(store: Store, chunks: Sequence[ChunkTask], rows: ClipRows, *, max_packets: int) -> bool:
    """Add the video to the rows, a row group at a time; false, and nothing added, when its chunks do not fit."""
    facts = []
    try:
        for chunk in chunks:
            with _opened(store, chunk) as file:
                facts.append(ChunkFacts(**json.loads(file.schema_arrow.metadata[_FACTS.encode()])))
        if not fit_together(facts, max_packets=max_packets):
            return False
        for chunk in chunks:
            with _opened(store, chunk) as file:
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group, columns=["clip", "feature"], use_threads=False)
                    rows.add(table["clip"].to_numpy().astype(np.int32), vectors_of(table))
    except FileNotFoundError:  # another run of this batch has committed meanwhile, and swept
        rows.drop()
        return False
    damaged = [pair for fact in facts for pair in fact.damaged]
    rows.keep(chunks[0].video_id, damaged, held_from=facts[-1].held_from)
    return True


@contextmanager
def _opened(store: Store, chunk: ChunkTask) -> Iterator[pq.ParquetFile]:
    """One at a time: an open object of S3 holds a buffer as large as a chunk."""
    with store.open(chunk.path) as source:
        yield pq.ParquetFile(source)


def metadata_of(facts: ChunkFacts) -> dict[str, Any]:
    """What the file of a chunk says of itself."""
    return {_FACTS: dataclasses.asdict(facts)}


class LocalCopy:
    """The first video of a tar in a local file without a name, which is gone with this process however that ends."""

    def __init__(self, store: Store, tar: str) -> None:
        self.tar = tar
        self._file = tempfile.TemporaryFile(prefix="videobert-")  # noqa: SIM115 - as long as this object lives
        self.close = weakref.finalize(self, self._file.close)
        """Give the space back; nobody need call it who lets go of this object."""
        with store.open(tar) as source:
            reader = next(reader for name, reader in read_members(source) if not name.endswith(".json"))
            shutil.copyfileobj(reader, self._file, _COPY_BYTES)
        self._file.flush()

    @property
    def path(self) -> Path:
        """By which any process of this user may open it."""
        return Path(f"/proc/{os.getpid()}/fd/{self._file.fileno()}")
