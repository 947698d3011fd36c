"""What passes through ingest: the source's files, a part of them for a worker, and the catalog's schema."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pyarrow as pa

from videobert.ingest.sidecars import Sidecar
from videobert.runtime.spec import digest

__all__ = ["CATALOG_SCHEMA", "CUE_TYPE", "PartPayload", "SourceFile"]

CUE_TYPE = pa.list_(pa.struct([("start_seconds", pa.float64()), ("end_seconds", pa.float64()), ("text", pa.string())]))
_CAPTION_FILES = pa.list_(
    pa.struct([("uri", pa.string()), ("cues", pa.int32()), ("taken", pa.bool_()), ("note", pa.string())])
)
"""Every caption file that was opened for the video: how many cues it holds, whether they are the row's, and what there
is to say about it."""

_CATALOG_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("video_id", pa.string()), ("uri", pa.string()), ("size_bytes", pa.int64()), ("source_digest", pa.string()),
    ("container", pa.string()), ("codec", pa.string()), ("width", pa.int32()), ("height", pa.int32()),
    ("rotation", pa.int32()), ("fps", pa.float64()), ("duration_seconds", pa.float64()), ("has_audio", pa.bool_()),
    ("title", pa.string()), ("caption_source", pa.string()), ("caption_language", pa.string()),
    ("caption_note", pa.string()), ("caption_files", _CAPTION_FILES), ("cues", CUE_TYPE),
]  # fmt: skip
CATALOG_SCHEMA = pa.schema(_CATALOG_COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One video of a batch as it lies in the source, with the sidecars that may hold its captions."""

    uri: str
    size_bytes: int
    etag: str
    """Changes when the object changes: the store's ETag, else size and modification time."""
    sidecars: tuple[Sidecar, ...] = ()
    """In the order in which they are tried."""

    @property
    def digest(self) -> str:
        """Changes when the video or a sidecar does."""
        return digest(dataclasses.asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPayload:
    """What a worker needs for one catalog part."""

    files: tuple[SourceFile, ...]
    former_path: str
    """The committed part of the same number, whose unchanged rows are taken over; empty when there is none."""
    keep_uris: tuple[str, ...]
    """Videos that left the source since: their rows stay, for their bytes are in the shards."""
