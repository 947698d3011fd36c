"""Rows of a Parquet file by their numbers, wherever they lie in it: only the pages that hold them are decoded.

pyarrow decodes a row group from its first row on; DuckDB skips what no row is asked of. N rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import IO, Any

import duckdb
import numpy as np
from fsspec import AbstractFileSystem
from numpy.typing import NDArray

__all__ = ["ROW_NUMBER", "rows_at"]

ROW_NUMBER = "file_row_number"
"""What DuckDB calls the number of a row; no column may be called so."""


def rows_at(source: IO[bytes], columns: Sequence[int], places: NDArray[np.int64]) -> list[tuple[Any, ...]]:
    """The columns of these numbers of the rows at `places` [N], in that order; `source` stays open.

    Raises duckdb.Error for what it cannot read.
    """
    if not len(places) or not columns:
        return [() for _ in places]
    connection = duckdb.connect(config={"threads": 1})  # `source` is read by one at a time
    try:
        connection.execute("SET disable_parquet_prefetching = true")  # whole columns of a row group, otherwise
        connection.register_filesystem(_OneFile(source))
        wanted = ", ".join(f"#{column + 1}" for column in columns)
        numbers = ", ".join(map(str, places.tolist()))
        found = connection.execute(
            f"SELECT {ROW_NUMBER}, {wanted} "  # noqa: S608 - all numbers
            f"FROM read_parquet('{_OneFile.protocol}://{_OneFile.NAME}', {ROW_NUMBER} = true) "
            f"WHERE {ROW_NUMBER} BETWEEN {places.min()} AND {places.max()} AND {ROW_NUMBER} IN ({numbers})"
        ).fetchall()
    finally:
        connection.close()
    row_of = {number: row for number, *row in found}
    return [tuple(row_of[place]) for place in places.tolist()]


class _OneFile(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """What DuckDB asks of a filesystem, over one file that is open already."""

    protocol = "onefile"
    cachable = False
    NAME = "rows"

    def __init__(self, source: IO[bytes]) -> None:
        super().__init__()
        self._source = source

    def glob(self, path: str, **_: Any) -> list[str]:
        return [self.NAME]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        return {"name": self.NAME, "size": self._source.seek(0, 2), "type": "file"}

    def modified(self, path: str) -> datetime:
        return datetime.fromtimestamp(0, UTC)  # DuckDB would read again what is newer

    def _open(self, path: str, mode: str = "rb", **_: Any) -> _Lent:
        return _Lent(self._source)


class _Lent:
    """The file, which DuckDB opens several times and closes, and which stays open."""

    def __init__(self, source: IO[bytes]) -> None:
        self.read, self.seek, self.tell = source.read, source.seek, source.tell

    def close(self) -> None:
        """Its owner does."""
