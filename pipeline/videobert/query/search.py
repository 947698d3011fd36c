"""Exact nearest rows by cosine: every vector is scored in place, and only the winners' rows are read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pyarrow.fs import LocalFileSystem

from videobert.errors import InputError
from videobert.query.filters import RowFilter
from videobert.query.pages import is_plain, plain_pages
from videobert.runtime.parquet import vectors_of

__all__ = [
    "HIT_COLUMNS", "Candidates", "Hit", "at_least", "best_first", "hits_of", "nearest", "open_fragment", "row_filter",
    "row_groups", "spread_over_videos", "vector_and_text_of_row", "words_of",
]  # fmt: skip

HIT_COLUMNS = ["row_id", "title", "start_seconds", "end_seconds", "text", "source_uri", "batch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One found row.

    `score` is the cosine; of a search by words BM25, by both the sum of reciprocal ranks, and after re-ranking the
    probability that text and video belong together.
    """

    score: float
    row_id: str
    title: str
    start_seconds: float
    end_seconds: float
    text: str
    source_uri: str
    batch: str

    @property
    def video_id(self) -> str:
        """sha256 of the video's bytes."""
        return self.row_id.partition(":")[0]


def words_of(text: str) -> frozenset[str]:
    """The words of a text, in lower case."""
    return frozenset(re.findall(r"\w+", text.casefold()))


def best_first(hits: Iterable[Hit], words: Collection[str] = ()) -> list[Hit]:
    """By score; of equal scores, those whose text shares more of `words` first, then in the order of their ids.

    Scores are equal where the model saw equal pictures, and then what was said there is the only other evidence.
    """
    wanted = frozenset(words)
    return sorted(hits, key=lambda hit: (-hit.score, -len(wanted & words_of(hit.text)) if wanted else 0, hit.row_id))


def spread_over_videos(find: Callable[[int], list[Hit]], *, top: int, per_video: int) -> list[Hit]:
    """The `top` best hits with at most `per_video` of each video; `find(n)` gives the n best of all. 0: any number.

    Asks for more until enough videos are among them: twice in all, unless one video fills the first 4 x `top`.
    """
    if per_video < 0:
        raise InputError(f"per_video is {per_video}; give the most hits of one video, or 0 for any number")
    if not per_video:
        return find(top)
    wanted = 4 * top
    while True:
        hits, seen = find(wanted), Counter[str]()
        kept = []
        for hit in hits:
            seen[hit.video_id] += 1
            if seen[hit.video_id] <= per_video:
                kept.append(hit)
        if len(kept) >= top or len(hits) < wanted:
            return kept[:top]
        wanted *= 8


def nearest(
    rows: ds.Dataset,
    query_R: NDArray[np.float32],
    *,
    top: int,
    where: RowFilter | None = None,
    words: Collection[str] = (),
) -> list[Hit]:
    """The `top` rows nearest to a unit vector, `best_first` with the `words` of the query. Default: segments.

    Reads files in as many threads as Arrow may use (of a local file OMP_NUM_THREADS); each holds one row group at a
    time. Raises InputError when `top` is not positive.
    """
    if top < 1:
        raise InputError(f"top is {top}; ask for at least 1")
    where = where or RowFilter()
    files = list(rows.get_fragments(filter=where.expression))
    score = partial(_scores, where=where, query_R=np.ascontiguousarray(query_R, np.float32), top=top)
    best = Candidates(top)
    threads = pa.cpu_count() if files and _is_local(files[0]) else pa.io_thread_count()
    with ThreadPoolExecutor(threads) as pool:
        for file, found in enumerate(pool.map(score, files)):
            for group, row_K, score_K in found:
                best.add(np.tile((file, group), (len(row_K), 1)), row_K, score_K)
    return hits_of(best, files, rows.schema, top, words)


def hits_of(
    best: Candidates,
    files: Sequence[ds.ParquetFileFragment],
    schema: pa.Schema,
    top: int,
    words: Collection[str] = (),
) -> list[Hit]:
    """The `top` of the best rows with what is to be told of them, for which their row groups are read."""
    hits: list[Hit] = []
    for file, group in sorted({*map(tuple, best.place_C)}):
        mine = (best.place_C == (file, group)).all(axis=1)
        fragment = files[file].subset(row_group_ids=[group])
        table = fragment.to_table(columns=HIT_COLUMNS, schema=schema, use_threads=False)
        found_rows = table.take(best.row_C[mine]).to_pylist()
        hits += [Hit(score=float(s), **row) for s, row in zip(best.score_C[mine], found_rows, strict=True)]
        hits = best_first(hits, words)[:top]
    return hits


def row_filter(row_id: str) -> pc.Expression:
    """One row. Rows are in the order of their videos, so the statistics of the row groups leave one to read."""
    return (pc.field("video_id") == row_id.partition(":")[0]) & (pc.field("row_id") == row_id)


def vector_and_text_of_row(rows: ds.Dataset, row_id: str) -> tuple[NDArray[np.float32], str]:
    """The embedding of one row, float32 [R], and what is said there. Raises InputError for an unknown row."""
    table = rows.to_table(columns=["embedding", "text"], filter=row_filter(row_id))
    if not table.num_rows:
        raise InputError(f"there is no row {row_id!r}; row ids are VIDEO_ID:SEGMENT, or VIDEO_ID for a whole video")
    vector_R: NDArray[np.float32] = vectors_of(table, "embedding")[0]
    return vector_R, table["text"][0].as_py()


class Candidates:
    """The best rows so far, and all that equal the last of them, for their ids are not known yet."""

    def __init__(self, top: int) -> None:
        self._top = top
        self.score_C = np.empty(0, np.float32)
        self.place_C = np.empty((0, 2), np.int64)
        """File and row group."""
        self.row_C = np.empty(0, np.int64)

    def add(self, place_K: NDArray[np.int64], row_K: NDArray[np.int64], score_K: NDArray[np.float32]) -> None:
        score_C = np.concatenate([self.score_C, score_K])
        kept = at_least(score_C, self._top)
        self.score_C = score_C[kept]
        self.place_C = np.concatenate([self.place_C, place_K])[kept]
        self.row_C = np.concatenate([self.row_C, row_K])[kept]


def _scores(
    fragment: ds.ParquetFileFragment, *, where: RowFilter, query_R: NDArray[np.float32], top: int
) -> list[tuple[int, NDArray[np.int64], NDArray[np.float32]]]:
    """Row groups of a file, their rows with the best scores, and these; equals of the last included."""
    found = []
    with open_fragment(fragment) as source:
        file, groups = row_groups(source, where)
        for group in groups:
            table = file.read_row_group(group, columns=where.columns, use_threads=False)
            numbered = table.append_column("_row", pa.array(np.arange(table.num_rows)))
            row_K = numbered.filter(where.expression)["_row"].to_numpy()
            if len(row_K):
                score_K = _products(source, file, group, row_K, query_R)
                kept = at_least(score_K, top)
                found.append((group, row_K[kept], score_K[kept]))
    return found


def row_groups(source: Any, where: RowFilter) -> tuple[pq.ParquetFile, list[int]]:
    """An open file, and its row groups that may hold such rows by their statistics."""
    whole = ds.ParquetFileFormat().make_fragment(source)
    groups = whole.subset(where.expression, schema=whole.physical_schema).row_groups
    return pq.ParquetFile(source, metadata=whole.metadata), [group.id for group in groups]


def _products(
    source: Any, file: pq.ParquetFile, number: int, row_K: NDArray[np.int64], query_R: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Scalar products of some rows of a row group with the query, float32 [K]."""
    group = file.metadata.row_group(number)
    columns = [group.column(index) for index in range(group.num_columns)]
    column = next(column for column in columns if column.path_in_schema.startswith("embedding."))
    if is_plain(column, group.num_rows, len(query_R)):
        source.seek(column.data_page_offset)
        chunk = memoryview(source.read_buffer(column.total_compressed_size)).cast("B")
        with suppress(ValueError):  # pages of another kind: a file that somebody else has written
            return _products_in_place(chunk, group.num_rows, row_K, query_R)
    table = file.read_row_group(number, columns=["embedding"], use_threads=False)
    product_K: NDArray[np.float32] = np.vecdot(vectors_of(table, "embedding")[row_K], query_R)
    return product_K


def _products_in_place(
    chunk: memoryview, rows: int, row_K: NDArray[np.int64], query_R: NDArray[np.float32]
) -> NDArray[np.float32]:
    product_N, start = np.empty(rows, np.float32), 0
    wanted_N = np.zeros(rows, bool)
    wanted_N[row_K] = True
    for page_PR in plain_pages(chunk, len(query_R)):
        end = start + len(page_PR)
        if wanted_N[start:end].any():
            # Row by row: equal vectors get equal products, whatever their place, which a matrix product does not give.
            np.vecdot(page_PR, query_R, out=product_N[start:end])
        start = end
    return product_N[row_K]


def at_least(score_C: NDArray[np.float32], top: int) -> NDArray[np.int64]:
    """Places of the `top` highest scores and of all that equal the least of these."""
    if len(score_C) <= top:
        return np.arange(len(score_C))
    return np.flatnonzero(score_C >= np.partition(score_C, -top)[-top])


def open_fragment(fragment: ds.ParquetFileFragment) -> Any:
    """The file; a local one is mapped, so that vectors are not copied before they are multiplied."""
    return pa.memory_map(fragment.path) if _is_local(fragment) else fragment.open()


def _is_local(fragment: ds.ParquetFileFragment) -> bool:
    return isinstance(fragment.filesystem, LocalFileSystem)
