"""Vectors in place: pages of uncompressed float32, scored without decoding or copying a row.

Parquet stores a list column with a level for every value, and reading those costs a general reader four times what the
scalar products cost. A page whose values are PLAIN and uncompressed holds them at its end as memory would: the only
thing to read is the page's header (Thrift compact protocol; PageHeader in parquet-format's parquet.thrift).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["is_plain", "plain_pages"]

_DATA_PAGE, _PLAIN = 0, 0
_TYPE, _COMPRESSED_SIZE, _DATA_HEADER, _NUM_VALUES, _ENCODING = 1, 3, 5, 1, 2
_TRUE, _FALSE, _INTEGERS, _BINARY, _STRUCT = 1, 2, (4, 5, 6), 8, 12


def is_plain(column: Any, rows: int, dimension: int) -> bool:
    """Whether the chunk of a leaf column (pyarrow's ColumnChunkMetaData) is `rows` x `dimension` plain float32."""
    return bool(
        column.physical_type == "FLOAT"
        and column.compression == "UNCOMPRESSED"
        and set(column.encodings) <= {"PLAIN", "RLE"}  # RLE: the levels
        and column.num_values == rows * dimension
        and column.statistics is not None
        and column.statistics.null_count == 0
    )


def plain_pages(chunk: memoryview, dimension: int) -> Iterator[NDArray[np.float32]]:
    """The pages of a plain chunk as views float32 [n, dimension]. Raises ValueError for what is no such page."""
    at = 0
    while at < len(chunk):
        try:
            header, at = _struct(chunk, at)
            values, end = header[_DATA_HEADER][_NUM_VALUES], at + header[_COMPRESSED_SIZE]
            kind = (header[_TYPE], header[_DATA_HEADER][_ENCODING])
        except (KeyError, IndexError) as error:
            raise ValueError(f"no header of a page at byte {at} of {len(chunk)}") from error
        if kind != (_DATA_PAGE, _PLAIN) or values % dimension or end > len(chunk) or end - 4 * values < at:
            raise ValueError(f"page before byte {end} of {len(chunk)} does not hold whole plain vectors of {dimension}")
        yield np.frombuffer(chunk[end - 4 * values : end], np.float32).reshape(-1, dimension)
        at = end


def _struct(data: memoryview, at: int) -> tuple[dict[int, Any], int]:
    """The fields of a Thrift struct by number, and where it ends; texts are passed over."""
    fields: dict[int, Any] = {}
    number = 0
    while mark := data[at]:
        at += 1
        step, kind = mark >> 4, mark & 15
        if step:
            number += step
        else:
            number, at = _integer(data, at)
        if kind in _INTEGERS:
            fields[number], at = _integer(data, at)
        elif kind == _BINARY:
            length, at = _varint(data, at)
            at += length
        elif kind == _STRUCT:
            fields[number], at = _struct(data, at)
        elif kind not in (_TRUE, _FALSE):
            raise ValueError(f"field {number} of type {kind} does not belong in a page header")
    return fields, at + 1


def _integer(data: memoryview, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
