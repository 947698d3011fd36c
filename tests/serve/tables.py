"""Tables of applications as they write them, for services to show."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from videobert.runtime.parquet import table_bytes
from videobert.runtime.record_files import write_file

__all__ = ["WrittenFlag", "write_table"]


@dataclass(frozen=True, kw_only=True)
class WrittenFlag:
    """A row of no application that there is: columns that no page was made for."""

    row_id: str
    model: str
    verdict: str = ""
    kind: str = ""
    strength: float = 0.5
    text: str = ""
    title: str = ""
    near: str = ""


def write_table(folder: str, application: str, table: str, rows: list[WrittenFlag]) -> None:
    """FOLDER/APPLICATION/TABLE.parquet."""
    columns = {name: [getattr(row, name) for row in rows] for name in WrittenFlag.__dataclass_fields__}
    write_file(f"{folder}/{application}/{table}.parquet", table_bytes(pa.table(columns)))
