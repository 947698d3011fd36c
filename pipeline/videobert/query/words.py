"""Search by the words of captions: BM25 over every row that the filters keep, without an index.

    score = sum over the query's words of idf x tf x (k1 + 1) / (tf + k1 x (1 - b + b x length / mean length))

(Robertson and Zaragoza, 2009). A word is a run of letters and digits in lower case, unstemmed. DuckDB's full-text
search is an extension that it downloads; this reads the texts once, as the exact search reads the vectors.

W words of the query, C rows that hold one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.query.filters import RowFilter
from videobert.query.search import Candidates, Hit, hits_of, open_fragment, row_groups, words_of

__all__ = ["bm25", "nearest_by_words"]

_K1, _B = 1.2, 0.75
_NO_WORD = r"[^\p{L}\p{M}\p{N}_]+"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    """What a row group holds of a query."""

    group: int
    row_C: NDArray[np.int64]
    times_CW: NDArray[np.int32]
    """How often each word occurs."""
    length_C: NDArray[np.int32]
    """Words of the text."""
    rows: int
    """Rows that the filters keep, with or without one of the words ..."""
    words: int
    """... and their words."""


def nearest_by_words(rows: ds.Dataset, text: str, *, top: int, where: RowFilter | None = None) -> list[Hit]:
    """The `top` rows whose text fits the words best, best first; rows without any of them are none.

    Common words weigh little: how common they are is counted over the rows that the filters keep. Raises InputError
    for a text without words.
    """
    if top < 1:
        raise InputError(f"top is {top}; ask for at least 1")
    words = sorted(set(_spaced(pa.array([text]))[0].as_py().split()))
    if not words:
        raise InputError(f"the query {text!r} holds no words; describe what to find, such as 'stir the egg'")
    where = where or RowFilter()
    files = list(rows.get_fragments(filter=where.expression))
    with ThreadPoolExecutor(pa.io_thread_count()) as pool:
        found = list(pool.map(partial(_count, where=where, words=words), files))
    return hits_of(_best(found, len(words), top), files, rows.schema, top, words_of(text))


def bm25(
    times_CW: NDArray[np.int32], length_C: NDArray[np.int32], *, rows: int, mean_length: float
) -> NDArray[np.float32]:
    """Scores of rows, float32 [C]; the rows that are not given hold none of the words."""
    holding_W = np.count_nonzero(times_CW, axis=0)
    idf_W = np.log1p((rows - holding_W + 0.5) / (holding_W + 0.5))
    brake_C1 = _K1 * (1 - _B + _B * length_C[:, None] / mean_length)
    score_C: NDArray[np.float32] = (idf_W * times_CW * (_K1 + 1) / (times_CW + brake_C1)).sum(1).astype(np.float32)
    return score_C


def _spaced(texts: Any) -> Any:
    """Texts as words with two blanks between them, so that each can be counted with a blank on either side."""
    words = pc.replace_substring_regex(pc.utf8_lower(texts), _NO_WORD, "  ")
    return pc.binary_join_element_wise(" ", pc.utf8_trim(words, " "), " ", "")


def _count(fragment: ds.ParquetFileFragment, *, where: RowFilter, words: Sequence[str]) -> list[_Counts]:
    found = []
    with open_fragment(fragment) as source:
        file, groups = row_groups(source, where)
        for group in groups:
            columns = list({*where.columns, "text"})
            table = file.read_row_group(group, columns=columns, use_threads=False)
            table = table.append_column("_row", pa.array(np.arange(table.num_rows))).filter(where.expression)
            spaced = _spaced(table["text"])
            times_NW = np.stack([pc.count_substring(spaced, f" {word} ").to_numpy() for word in words], axis=1)
            length_N = pc.count_substring_regex(spaced, r"[^ ]+").to_numpy()
            here_C = np.flatnonzero(times_NW.any(axis=1))
            found.append(
                _Counts(
                    group=group, row_C=table["_row"].to_numpy()[here_C], times_CW=times_NW[here_C],
                    length_C=length_N[here_C], rows=table.num_rows, words=int(length_N.sum()),
                )
            )  # fmt: skip
    return found


def _best(found: Sequence[Sequence[_Counts]], words: int, top: int) -> Candidates:
    counts = [(file, count) for file, groups in enumerate(found) for count in groups]
    rows = sum(count.rows for _, count in counts)
    score_C = bm25(
        np.concatenate([np.empty((0, words), np.int32), *(count.times_CW for _, count in counts)]),
        np.concatenate([np.empty(0, np.int32), *(count.length_C for _, count in counts)]),
        rows=rows,
        mean_length=max(sum(count.words for _, count in counts), 1) / max(rows, 1),
    )
    best, begin = Candidates(top), 0
    for file, count in counts:
        end = begin + len(count.row_C)
        best.add(np.tile((file, count.group), (end - begin, 1)), count.row_C, score_C[begin:end])
        begin = end
    return best
