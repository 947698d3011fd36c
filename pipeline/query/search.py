"""Exact nearest rows by cosine: one matrix product a batch of rows, nothing kept but the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.runtime.parquet import vectors_of

__all__ = ["Hit", "nearest", "vector_of_row"]

_COLUMNS = ["row_id", "title", "start_seconds", "end_seconds", "text", "source_uri", "batch", "embedding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One found row; `score` is the cosine, after re-ranking the probability that text and video belong together."""

    score: float
    row_id: str
    title: str
    start_seconds: float
    end_seconds: float
    text: str
    source_uri: str
    batch: str


def nearest(
    rows: ds.Dataset, query_R: NDArray[np.float32], *, top: int, level: str = "segment", without: Sequence[str] = ()
) -> list[Hit]:
    """The `top` rows of a level nearest to a unit vector, best first; equals in the order of their ids."""
    if top < 1:
        raise InputError(f"--top is {top}; ask for at least 1")
    keep = pc.field("level") == level
    if without:
        keep &= ~pc.field("row_id").isin(list(without))
    best: list[Hit] = []
    for batch in rows.scanner(columns=_COLUMNS, filter=keep).to_batches():
        if not batch.num_rows:
            continue
        table = batch.select([name for name in _COLUMNS if name != "embedding"])
        scores_N = vectors_of(pa.Table.from_batches([batch]), "embedding") @ query_R
        some = _best(scores_N, table["row_id"], top)
        found = table.take(some).to_pylist()
        best += [Hit(score=float(score), **row) for score, row in zip(scores_N[some], found, strict=True)]
        best = sorted(best, key=lambda hit: (-hit.score, hit.row_id))[:top]
    return best


def _best(scores_N: NDArray[np.float32], ids: pa.Array[Any], top: int) -> NDArray[np.int64]:
    """Rows of the `top` highest scores; of equals those with the smallest ids, which need not come first here."""
    if top >= len(scores_N):
        return np.arange(len(scores_N))
    least = np.partition(scores_N, -top)[-top]
    above, equal = np.flatnonzero(scores_N > least), np.flatnonzero(scores_N == least)
    by_id = np.argsort(np.array(ids.take(pa.array(equal)).to_pylist()))
    return np.concatenate([above, equal[by_id][: top - len(above)]])


def vector_of_row(rows: ds.Dataset, row_id: str) -> NDArray[np.float32]:
    """The embedding of one row, float32 [R]. Raises InputError for an unknown row."""
    table = rows.to_table(columns=["embedding"], filter=pc.field("row_id") == row_id)
    if not table.num_rows:
        raise InputError(f"there is no row {row_id!r}; row ids are VIDEO_ID:SEGMENT, or VIDEO_ID for a whole video")
    vector_R: NDArray[np.float32] = vectors_of(table, "embedding")[0]
    return vector_R
