"""Records as a Parquet file anywhere: whole or not at all, in memory a row group at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import pyarrow as pa

from videobert.errors import InputError
from videobert.runtime.parquet import ROW_GROUP_ROWS, write_groups
from videobert.runtime.storage import Store

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["record_schema", "write_file", "write_records"]

_TYPES: dict[Any, pa.DataType] = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def record_schema(kind: type[DataclassInstance]) -> pa.Schema:
    """Columns of a dataclass whose fields are texts, numbers and truth values."""
    hints = get_type_hints(kind)
    return pa.schema([(field.name, _TYPES[hints[field.name]]) for field in fields(kind)])


def write_records(url: str, kind: type[DataclassInstance], records: Iterable[DataclassInstance]) -> int:
    """Write one Parquet file and return its number of rows. Raises InputError for a name that does not end so."""
    if not url.endswith(".parquet"):
        raise InputError(f"{url!r} does not end in .parquet; the rows are written as such, so name it so")
    schema, rows, source = record_schema(kind), 0, iter(records)

    def groups() -> Iterator[pa.Table]:
        nonlocal rows
        while some := [asdict(record) for record in islice(source, ROW_GROUP_ROWS)]:
            rows += len(some)
            yield pa.Table.from_pylist(some, schema)

    with tempfile.TemporaryDirectory(prefix="videobert-") as name:
        local = Path(name) / "rows.parquet"
        write_groups(schema, groups(), local)
        write_file(url, local)
    return rows


def write_file(url: str, content: bytes | Path) -> None:
    """Write one file outside any root: to a path or an URL."""
    parent, slash, name = url.rpartition("/")
    Store((parent or slash) if slash else ".").write(name, content)
