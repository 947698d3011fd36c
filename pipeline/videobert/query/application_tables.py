"""Tables that applications wrote below one folder, NAME/TABLE.parquet: which there are, and a page of their rows.

Nothing here knows an application: a column that holds a text, a number or a truth value is shown, whatever it is
called. N rows.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from videobert.batch_key import BATCH_KEY
from videobert.errors import InputError
from videobert.query.parquet_rows import ROW_NUMBER, rows_at
from videobert.runtime.record_files import NONE
from videobert.runtime.storage import Store

__all__ = [
    "TABLE_NAME", "TablePart", "TableQuery", "Value", "WrittenTable", "list_tables", "read_table_part", "table_summary",
]  # fmt: skip

TABLE_NAME = BATCH_KEY
"""Of applications and of their tables, which the DAG calls as the batch."""
_SUFFIX = ".parquet"
_BUFFER_BYTES = 1 << 18
"""Read at once of a column, of which pyarrow holds all that a row group has otherwise."""
_MOST_VERDICTS = 20
"""Different ones that are counted, the most frequent."""
Value = str | int | float | bool | None
"""What a column holds that is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenTable:
    """One file."""

    application: str
    table: str
    """As the batch, where the DAG wrote it."""
    size_bytes: int
    written_at: str
    """ISO 8601 in UTC; empty where the storage does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableQuery:
    """Which rows of a table, and in what order."""

    column: str = ""
    """Only rows whose `column` is `value`; empty: all."""
    value: str = ""
    sort: str = ""
    """Column to sort by, `-COLUMN` for the highest first; empty: as they were written."""
    top: int = 24
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TablePart:
    """Some rows of a table."""

    columns: list[str]
    """Those that hold texts, numbers or truth values; vectors are left out."""
    none: dict[str, float]
    """Column -> the number that says there is none, where the table tells one."""
    rows: list[dict[str, Value]]
    total: int
    """Rows that the query takes."""
    verdicts: dict[str, int]
    """What people wrote into the column `verdict` of these -> rows, '' where nobody has; empty without that column."""


def list_tables(store: Store) -> list[WrittenTable]:
    """Every table, by application; of each the last by name first, which of days is the newest."""
    found = []
    for application in store.folders(""):
        if not re.fullmatch(TABLE_NAME, application):
            continue
        times = store.modified(application)
        for path, size_bytes in store.list(application).items():
            name = path.removeprefix(f"{application}/").removesuffix(_SUFFIX)
            if path.endswith(_SUFFIX) and re.fullmatch(TABLE_NAME, name):
                at = times[path].isoformat(timespec="seconds") if path in times else ""
                found.append(WrittenTable(application=application, table=name, size_bytes=size_bytes, written_at=at))
    by_table = sorted(found, key=lambda one: one.table, reverse=True)
    return sorted(by_table, key=lambda one: one.application)


def table_summary(store: Store, application: str, table: str) -> tuple[int, list[str]]:
    """Rows of a table, and the models that they name, first and last by name. Raises as `read_table_part` does."""
    with _Opened(store, application, table) as opened:
        metadata = opened.file.metadata
        models = set[str]()
        paths = [metadata.schema.column(n).path for n in range(len(metadata.schema))]
        if "model" in paths:  # a list of that name has another path
            place = paths.index("model")
            for group in range(metadata.num_row_groups):
                statistics = metadata.row_group(group).column(place).statistics
                if statistics is not None and statistics.has_min_max:
                    models |= {str(statistics.min), str(statistics.max)}
        return int(metadata.num_rows), sorted(models)


def read_table_part(root: str, application: str, table: str, asked: TableQuery) -> TablePart:
    """Some rows of a table below the folder `root`.

    Raises FileNotFoundError when there is none, InputError for a column that it lacks and for what is no Parquet.
    """
    with _Opened(Store(root), application, table) as opened:
        file = opened.file
        schema = file.schema_arrow
        names = Counter(schema.names)
        if ROW_NUMBER in map(str.casefold, schema.names):
            raise InputError(
                f"{application}/{table} has a column {ROW_NUMBER}, a name that DuckDB keeps for itself; "
                "call it otherwise"
            )
        place_of = {f.name: n for n, f in enumerate(schema) if _is_plain(_values_of(f.type)) and names[f.name] == 1}
        columns = list(place_of)
        for wanted in (asked.column, asked.sort.removeprefix("-")):
            if wanted and wanted not in columns:
                raise InputError(f"{application}/{table} has no column {wanted!r}; it has {', '.join(columns)}")
        keys = _keys(file, {asked.column, asked.sort.removeprefix("-"), "verdict"} & set(columns))
        places_N = _places(keys, file.metadata.num_rows, asked)
        shown = places_N[asked.offset : asked.offset + asked.top]
        found = rows_at(opened.source, list(place_of.values()), shown)
        return TablePart(
            columns=columns, none=_none(schema, columns), total=len(places_N), verdicts=_verdicts(keys, places_N),
            rows=[dict(zip(columns, map(_finite, row), strict=True)) for row in found],
        )  # fmt: skip


class _Opened:
    """A Parquet file of an application."""

    def __init__(self, store: Store, application: str, table: str) -> None:
        for name in (application, table):
            if not re.fullmatch(TABLE_NAME, name):
                raise InputError(f"{name!r} is no name of an application or table; see the list of tables")
        self._path, self._store = f"{application}/{table}{_SUFFIX}", store

    def __enter__(self) -> Self:
        self.source = self._store.open(self._path)
        try:
            self.file = pq.ParquetFile(self.source, pre_buffer=False, buffer_size=_BUFFER_BYTES)
            return self
        except (pa.ArrowException, OSError) as error:  # a garbled footer is an OSError of pyarrow's
            self.source.close()
            raise self._unreadable() from error

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.source.close()
        if isinstance(error, (pa.ArrowException, duckdb.Error, OSError)):
            raise self._unreadable() from error

    def _unreadable(self) -> InputError:
        return InputError(f"{self._store.url(self._path)} is no readable Parquet file; write it again")


def _is_plain(kind: pa.DataType) -> bool:
    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_integer,
        pa.types.is_float32,
        pa.types.is_float64,
    )
    return kind == pa.bool_() or any(test(kind) for test in tests)


def _values_of(kind: pa.DataType) -> pa.DataType:
    """What a column holds, whether each row has it or the number of it in a dictionary."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _none(schema: pa.Schema, columns: Sequence[str]) -> dict[str, float]:
    """What columns say of themselves, as `record_schema` lets them."""
    found = dict[str, float]()
    for name in columns:
        told = (schema.field(name).metadata or {}).get(NONE.encode(), b"")
        with suppress(ValueError):  # somebody else's metadata of that name
            found[name] = float(told)
    return {name: number for name, number in found.items() if math.isfinite(number)}


def _keys(file: pq.ParquetFile, names: Collection[str]) -> pa.Table | None:
    """Columns that decide which rows are taken, and in what order."""
    if not names:
        return None
    found = file.read(sorted(names), use_threads=False)
    values = [(field.name, _values_of(field.type)) for field in found.schema]
    return pa.table({name: column.cast(kind) for (name, kind), column in zip(values, found.columns, strict=True)})


def _places(keys: pa.Table | None, rows: int, asked: TableQuery) -> NDArray[np.int64]:
    """Numbers of the rows that are asked for, in the order asked for."""
    places_N = np.arange(rows, dtype=np.int64)
    if keys is not None and asked.column:
        said = pc.fill_null(pc.cast(keys[asked.column], pa.string()), "")
        places_N = np.flatnonzero(pc.equal(said, asked.value).to_numpy())
    if keys is not None and asked.sort:
        order = "descending" if asked.sort.startswith("-") else "ascending"
        by = keys[asked.sort.removeprefix("-")].take(pa.array(places_N))
        if by.type == pa.bool_():
            by = pc.cast(by, pa.int8())
        ranks = pc.rank(by, sort_keys=order, tiebreaker="first")  # what is null or no number comes last
        places_N = places_N[np.argsort(ranks.to_numpy(), kind="stable")]
    return places_N


def _finite(value: Any) -> Value:
    """JSON holds no other numbers."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _verdicts(keys: pa.Table | None, places_N: NDArray[np.int64]) -> dict[str, int]:
    if keys is None or "verdict" not in keys.column_names:
        return {}
    own = keys["verdict"] if len(places_N) == len(keys) else keys["verdict"].take(pa.array(places_N))
    said = pc.fill_null(pc.cast(own, pa.string()), "")
    counted = pc.value_counts(said).to_pylist()
    often = sorted(counted, key=lambda one: (-one["counts"], one["values"]))[:_MOST_VERDICTS]
    return dict(sorted((one["values"], one["counts"]) for one in often))
