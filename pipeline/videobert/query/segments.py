"""Segments of some batches with their vectors in memory. N segments, R width."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow.dataset as ds
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.query.filters import RowFilter
from videobert.runtime.parquet import vectors_of

__all__ = ["Segments", "load_segments"]

_COLUMNS = ["row_id", "batch", "start_seconds", "end_seconds", "text", "title", "source_uri"]


@dataclass(frozen=True, kw_only=True)
class Segments:
    """In the order of the files."""

    rows: list[dict[str, Any]]
    """What is told of each."""
    vectors_NR: NDArray[np.float32]

    @cached_property
    def row_ids(self) -> list[str]:
        return [str(row["row_id"]) for row in self.rows]

    @cached_property
    def videos(self) -> list[str]:
        """The video of every segment."""
        return [row_id.partition(":")[0] for row_id in self.row_ids]

    @cached_property
    def hours(self) -> float:
        """Of video, by the segments; what two sentences are said over counts twice, as both may raise an alarm."""
        return float(sum(row["end_seconds"] - row["start_seconds"] for row in self.rows)) / 3600


def load_segments(rows: ds.Dataset) -> Segments:
    """Raises InputError when there is none."""
    table = rows.to_table(columns=[*_COLUMNS, "embedding"], filter=RowFilter().expression)
    if not table.num_rows:
        raise InputError("these batches hold no segment; embed some with videos in them")
    return Segments(rows=table.select(_COLUMNS).to_pylist(), vectors_NR=vectors_of(table, "embedding"))
