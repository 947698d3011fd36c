"""Rows held in memory for many searches: the same hits with the same scores as `search.nearest`, without the files."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from videobert.query.embeddings import embedding_dimension
from videobert.query.filters import RowFilter
from videobert.query.held_lists import HeldLists
from videobert.query.search import HIT_COLUMNS, Hit, at_least, best_first
from videobert.runtime.parquet import vectors_of

__all__ = ["WarmRows"]

_FILTERED = ["level", "video_id"]
_TEXT_BYTES = 300
"""What a row's facts take on average, about."""


class WarmRows:
    """All rows of a dataset; safe for several threads, since nothing in it changes.

    With the `lists` of an index a search may compare those of a few lists only.
    """

    def __init__(self, rows: ds.Dataset, lists: HeldLists | None = None) -> None:
        self._vectors_NR = np.empty((rows.count_rows(), embedding_dimension(rows)), np.float32)
        facts, at = [], 0
        for fragment in rows.get_fragments():  # one after the other, or all vectors would be held twice
            table = fragment.to_table(columns=[*HIT_COLUMNS, *_FILTERED, "embedding"], schema=rows.schema)
            self._vectors_NR[at : at + table.num_rows] = vectors_of(table, "embedding")
            at += table.num_rows
            facts.append(table.drop_columns(["embedding"]))
        self._facts = pa.concat_tables(facts).combine_chunks()
        del facts, table
        pa.default_memory_pool().release_unused()  # what decoding took would stay with the process, half as much again
        self._segments = np.flatnonzero(pc.equal(self._facts["level"], RowFilter().level).to_numpy())
        self._lists = lists
        self._rest = self._segments if lists is None else np.setdiff1d(self._segments, lists.rows, assume_unique=True)

    @staticmethod
    def bytes_of(rows: ds.Dataset, dimension: int) -> int:
        """What holding these rows would take, about."""
        return int(rows.count_rows()) * (4 * dimension + _TEXT_BYTES)

    def nearest(
        self, query_R: NDArray[np.float32], *, top: int, where: RowFilter, words: Collection[str] = (), probes: int = 0
    ) -> list[Hit]:
        """See `search.nearest`; with `probes`, `index.nearest_in_lists`."""
        query_R = np.ascontiguousarray(query_R, np.float32)
        if probes and self._lists is not None and replace(where, without=()) == RowFilter():
            row_K = np.concatenate([self._rest, self._lists.near(query_R, probes)])
            hits = self._best(query_R, row_K, top + len(where.without), words)
            return [hit for hit in hits if hit.row_id not in where.without][:top]
        return self._best(query_R, self._matching(where), top, words)

    def _best(
        self, query_R: NDArray[np.float32], row_K: NDArray[np.int64], top: int, words: Collection[str]
    ) -> list[Hit]:
        # Row by row, as there: equal vectors get equal products, which a matrix product does not give.
        few = len(row_K) < len(self._vectors_NR) // 2
        score_K = np.vecdot(self._vectors_NR[row_K], query_R) if few else np.vecdot(self._vectors_NR, query_R)[row_K]
        kept = at_least(score_K, top)
        found = self._facts.select(HIT_COLUMNS).take(row_K[kept]).to_pylist()
        hits = [Hit(score=float(score), **row) for score, row in zip(score_K[kept], found, strict=True)]
        return best_first(hits, words)[:top]

    def _matching(self, where: RowFilter) -> NDArray[np.int64]:
        if where == RowFilter():
            return self._segments
        numbered = self._facts.append_column("_row", pa.array(np.arange(self._facts.num_rows)))
        row_K: NDArray[np.int64] = numbered.filter(where.expression)["_row"].to_numpy()
        return row_K
