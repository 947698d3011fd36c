"""Deterministic Parquet: fixed compression and layout, so a retry writes the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.runtime.storage import Store

__all__ = ["SEARCHED", "copy_without", "group_rows", "read_table", "table_bytes", "vectors_of", "write_groups"]

ROW_GROUP_ROWS = 16_384
ROW_GROUP_BYTES = 16 << 20
"""Of vectors that no search reads. Whoever writes or reads a table in order holds one group: 1,638 of 2,560 numbers."""


SEARCHED = "embedding"
"""The column that every search reads whole. It lies uncompressed (zstd saves 8 % of such floats, and unpacking costs
more than the search), in pages of whole rows (which a page index asks for)."""


def table_bytes(table: pa.Table) -> bytes:
    """The whole file. zstd, statistics on; no dictionary for vectors, whose values hardly repeat.

    Vectors that no search reads are split into streams of first, second, third and fourth bytes, of which zstd leaves
    5 (packaged encoder) to 9 % (normal numbers) less, no slower.
    """
    sink = pa.BufferOutputStream()  # a sixth faster than a Python file
    pq.write_table(table, sink, row_group_size=group_rows(table.schema), **_layout(table.schema))
    data: bytes = sink.getvalue().to_pybytes()
    return data


def write_groups(schema: pa.Schema, groups: Iterable[pa.Table], target: Path) -> None:
    """The file that `table_bytes` makes of the groups together: each but the last has `group_rows` rows."""
    with pq.ParquetWriter(target, schema, **_layout(schema)) as writer:
        for group in groups:
            writer.write_table(group, row_group_size=group_rows(schema))


def group_rows(schema: pa.Schema) -> int:
    """Rows of a row group; a group of searched vectors may be large, since a search reads their pages in place."""
    vector_bytes: int = sum(f.type.list_size * f.type.value_type.bit_width // 8 for f in _vectors(schema))
    if SEARCHED in schema.names or not vector_bytes:
        return ROW_GROUP_ROWS
    return max(1, min(ROW_GROUP_ROWS, ROW_GROUP_BYTES // vector_bytes))


def _vectors(schema: pa.Schema) -> list[Any]:
    return [field for field in schema if pa.types.is_fixed_size_list(field.type)]


def _layout(schema: pa.Schema) -> dict[str, Any]:
    options: dict[str, Any] = {  # pyarrow's own types know `use_dictionary` only as bool
        "compression": "zstd",
        "use_dictionary": [field.name for field in schema if not _is_list(field.type)],
        "use_byte_stream_split": [_leaf(field) for field in _vectors(schema) if field.name != SEARCHED],
        "version": "2.6",
    }
    if SEARCHED in schema.names:
        options["compression"] = {_leaf(field): "none" if field.name == SEARCHED else "zstd" for field in schema}
        options["write_page_index"] = True
    return options


def _leaf(field: Any) -> str:
    """What Parquet calls the column."""
    return f"{field.name}.list.element" if _is_list(field.type) else field.name


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind))


def read_table(store: Store, path: str, columns: list[str] | None = None) -> pa.Table:
    """One Parquet object, all of it or some columns. Raises InputError when it is none.

    On one thread, and not by way of `pyarrow.dataset`: Arrow's other threads may still hold the file, a Python object,
    when the interpreter ends, which then aborts (arrow#34314).
    """
    with store.open(path) as source:
        try:
            return pq.ParquetFile(source, pre_buffer=False).read(columns, use_threads=False)
        except pa.ArrowInvalid as error:
            raise InputError(
                f"{store.url(path)} is no readable Parquet file ({error}); remove it and run its stage again"
            ) from error


def vectors_of(table: pa.Table, column: str = "feature") -> NDArray[np.float32]:
    """A column of fixed-size float32 lists as an array [N, D]."""
    values: Any = table[column].combine_chunks()
    dimension = values.type.list_size
    return np.asarray(values.flatten().to_numpy(zero_copy_only=False), dtype=np.float32).reshape(-1, dimension)


def copy_without(
    source: Path,
    target: Path,
    video_id: str,
    *,
    change_metadata: Callable[[dict[bytes, bytes]], dict[bytes, bytes]] | None = None,
) -> int:
    """Copy a local file without the rows of a video, as it would have been written without it; returns their number."""
    table = _as_made(pq.read_table(source, use_threads=False))
    gone = pc.equal(table["video_id"], pa.scalar(video_id))
    kept = table.filter(pc.invert(gone)).combine_chunks()
    if change_metadata:
        kept = kept.replace_schema_metadata(change_metadata(dict(kept.schema.metadata or {})) or None)
    target.write_bytes(table_bytes(kept))
    return int(pc.sum(gone).as_py() or 0)


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
