"""One file of a batch stage without one video: the bytes that the stage would have written without it.

Each function copies a local file and returns what left: the counts by which the file's own go down, empty when the
video was not in it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from videobert.runtime.parquet import table_bytes
from videobert.runtime.tar import TarWriter, read_members

__all__ = ["copy_without"]

_COPY_BYTES = 1 << 20
_DAMAGED = b"damaged_seconds"


def copy_without(stage: str, source: Path, target: Path, video_id: str) -> dict[str, int]:
    """Copy a file of that stage."""
    if stage == "shard":
        return _shard(source, target, video_id)
    if stage == "tokens":
        return _tokens(source, target, video_id)
    table = _as_made(pq.read_table(source, use_threads=False))
    gone = pc.equal(table["video_id"], pa.scalar(video_id))
    count = int(pc.sum(gone).as_py() or 0)
    kept = table.filter(pc.invert(gone)).combine_chunks()
    if stage == "ingest":
        lost = {"videos": count}
    elif stage == "features":
        kept, milliseconds = _without_damage(kept, video_id)
        lost = {"videos": 1, "clips": count, "damaged_milliseconds": milliseconds}
    else:
        lost = {"videos": 1, "segments": count - 1, "rows": count}  # one row is the whole video's
    target.write_bytes(table_bytes(kept))
    return lost if count else {}


def _as_made(table: pa.Table) -> pa.Table:
    """Parquet calls the items of a list `element`, pyarrow `item`, and the name enters the bytes."""
    fields = []
    for field in table.schema:
        if pa.types.is_fixed_size_list(field.type):
            field = field.with_type(pa.list_(field.type.value_type, field.type.list_size))
        elif pa.types.is_list(field.type):
            field = field.with_type(pa.list_(field.type.value_type))
        fields.append(field)
    return table.cast(pa.schema(fields, metadata=table.schema.metadata))


def _without_damage(table: pa.Table, video_id: str) -> tuple[pa.Table, int]:
    """The lost ranges of damaged videos stand in the file's metadata."""
    metadata = dict(table.schema.metadata or {})
    damaged: dict[str, list[tuple[float, float]]] = json.loads(metadata.pop(_DAMAGED, b"{}"))
    ranges = damaged.pop(video_id, [])
    if damaged:
        metadata[_DAMAGED] = json.dumps(damaged).encode()
    lost = sum(round(1000 * (end - start)) for start, end in ranges)
    return table.replace_schema_metadata(metadata or None), lost


def _shard(source: Path, target: Path, video_id: str) -> dict[str, int]:
    found, member_path = False, target.with_suffix(".member")
    with source.open("rb") as reader, target.open("wb") as sink:
        tar = TarWriter(sink)
        for name, member in read_members(reader):
            if name.startswith(f"{video_id}."):
                found = True
                continue
            with member_path.open("wb") as copy:  # videos may be larger than memory
                shutil.copyfileobj(member, copy, _COPY_BYTES)
            tar.add_file(name, member_path)
        tar.close()
    member_path.unlink(missing_ok=True)
    return {"videos": 1} if found else {}


def _tokens(source: Path, target: Path, video_id: str) -> dict[str, int]:
    lost: dict[str, int] = {}
    with source.open("rb") as reader, target.open("wb") as sink:
        tar = TarWriter(sink)
        for name, member in read_members(reader):
            data = member.read()
            if name == f"{video_id}.json":
                sample: dict[str, Any] = json.loads(data)
                words = sum(len(segment["text_ids"]) for segment in sample["segments"])
                lost = {
                    "videos": 1, "clips": len(sample["visual"]), "segments": len(sample["segments"]), "words": words,
                }  # fmt: skip
            else:
                tar.add(name, data)
        tar.close()
    return lost
