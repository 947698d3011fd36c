"""Tables outside any root: records written whole or not at all, and what people bring, read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from videobert.errors import InputError
from videobert.runtime.filesystem import open_filesystem
from videobert.runtime.parquet import ROW_GROUP_ROWS, write_groups
from videobert.runtime.storage import Store

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["NONE", "read_rows", "record_schema", "write_file", "write_records"]

NONE = "none"
"""In the metadata of a field, and of its column: the number that says there is none."""
_TYPES: dict[Any, pa.DataType] = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


_READERS: dict[str, Any] = {
    ".parquet": pq.read_table, ".csv": pyarrow.csv.read_csv, ".jsonl": pyarrow.json.read_json
}  # fmt: skip


def read_rows(url: str, *, what: str) -> pa.Table:
    """A table of people's own: Parquet, CSV or JSON lines, by its ending; `what` names it in messages.

    Raises InputError for a file that is not there or is of another kind.
    """
    ending = next((ending for ending in _READERS if url.lower().endswith(ending)), None)
    if ending is None:
        raise InputError(f"{what} {url!r} ends in none of {', '.join(_READERS)}; convert it to one of these")
    filesystem, path = open_filesystem(url)
    try:
        with filesystem.open(path, "rb") as source:
            return _READERS[ending](source)
    except FileNotFoundError as error:
        raise InputError(f"{what} {url} is not there; correct the path or URL") from error
    except pa.ArrowInvalid as error:
        raise InputError(f"{what} {url} cannot be read as {ending[1:]} ({error}); write it again") from error


def record_schema(kind: type[DataclassInstance]) -> pa.Schema:
    """Columns of a dataclass whose fields are texts, numbers and truth values, with what says that there is none."""
    hints = get_type_hints(kind)
    return pa.schema([
        pa.field(
            field.name, _TYPES[hints[field.name]],
            metadata={NONE: str(field.metadata[NONE])} if NONE in field.metadata else None,
        )
        for field in fields(kind)
    ])  # fmt: skip


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
