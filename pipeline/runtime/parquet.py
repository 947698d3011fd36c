"""Deterministic Parquet: fixed compression and layout, so a retry writes the same bytes."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.runtime.storage import Store

__all__ = ["SEARCHED", "read_table", "table_bytes", "vectors_of"]

ROW_GROUP_ROWS = 16_384


SEARCHED = "embedding"
"""The column that every search reads whole. It lies uncompressed (zstd saves 8 % of such floats, and unpacking costs
more than the search), in pages of whole rows (which a page index asks for)."""


def table_bytes(table: pa.Table) -> bytes:
    """The whole file. zstd, statistics on; no dictionary for vectors, whose values hardly repeat."""
    vectors = {f.name for f in table.schema if pa.types.is_fixed_size_list(f.type) or pa.types.is_list(f.type)}
    sink = io.BytesIO()
    options: dict[str, Any] = {  # pyarrow's own types know `use_dictionary` only as bool
        "compression": "zstd",
        "row_group_size": ROW_GROUP_ROWS,
        "use_dictionary": [name for name in table.column_names if name not in vectors],
        "version": "2.6",
    }
    if SEARCHED in vectors:
        leaves = [f"{name}.list.element" if name in vectors else name for name in table.column_names]
        options["compression"] = {leaf: "none" if leaf.startswith(f"{SEARCHED}.") else "zstd" for leaf in leaves}
        options["write_page_index"] = True
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def read_table(store: Store, path: str, columns: list[str] | None = None) -> pa.Table:
    """One Parquet object, all of it or some columns. Raises InputError when it is none.

    On one thread: Arrow's others may still hold the file when the interpreter ends, which then aborts (arrow#34314).
    """
    with store.open(path) as source:
        try:
            return pq.read_table(source, columns=columns, use_threads=False)
        except pa.ArrowInvalid as error:
            raise InputError(
                f"{store.url(path)} is no readable Parquet file ({error}); remove it and run its stage again"
            ) from error


def vectors_of(table: pa.Table, column: str = "feature") -> NDArray[np.float32]:
    """A column of fixed-size float32 lists as an array [N, D]."""
    values: Any = table[column].combine_chunks()
    dimension = values.type.list_size
    return np.asarray(values.flatten().to_numpy(zero_copy_only=False), dtype=np.float32).reshape(-1, dimension)
