"""Dead letters: the rejects of a commit as a small Parquet table a batch and spec, for people and for SQL."""

from __future__ import annotations

import dataclasses

import pyarrow as pa

from videobert.runtime.manifest import Manifest
from videobert.runtime.parquet import table_bytes
from videobert.runtime.storage import Store

__all__ = ["dead_letters_path", "write_dead_letters"]

_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("video_id", pa.string()), ("uri", pa.string()), ("batch", pa.string()), ("stage", pa.string()),
    ("spec", pa.string()), ("shard", pa.int32()), ("reason", pa.string()), ("message", pa.string()),
    ("attempts", pa.int32()), ("salvageable_seconds", pa.float64()),
]  # fmt: skip
_SCHEMA = pa.schema(_COLUMNS)


def dead_letters_path(manifest: Manifest) -> str:
    return f"dead_letters/batch={manifest.batch}/{manifest.spec}.parquet"


def write_dead_letters(store: Store, manifest: Manifest) -> None:
    """One row a reject of a standing manifest; no rejects, no file. Writes nothing where it is right already."""
    path = dead_letters_path(manifest)
    rows = [
        {
            **dataclasses.asdict(reject), "batch": manifest.batch, "stage": manifest.stage, "spec": manifest.spec,
            "shard": output.shard,
        }
        for output in manifest.outputs
        for reject in output.rejects
    ]  # fmt: skip
    data = table_bytes(pa.Table.from_pylist(rows, schema=_SCHEMA)) if rows else None
    if store.read_or_none(path) == data:
        return
    if data is None:
        store.delete([path])
    else:
        store.write(path, data)
    store.clear_temporaries(path.rsplit("/", 1)[0])
