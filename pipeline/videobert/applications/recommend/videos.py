"""The videos that may be recommended, with their vectors in memory. N videos, R width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.query.filters import RowFilter
from videobert.runtime.parquet import vectors_of

__all__ = ["Videos", "load_videos"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Videos:
    """Each video once, in the order of ids."""

    ids: list[str]
    titles: list[str]
    uris: list[str]
    vectors_NR: NDArray[np.float32]
    wanted_N: NDArray[np.bool_]
    """Of the batches that are to be recommended from."""

    def __len__(self) -> int:
        return len(self.ids)

    def places(self, names_E: NDArray[np.object_]) -> NDArray[np.int64]:
        """Index of each video id or source URI, -1 where none is embedded."""
        names = pa.array(names_E, pa.string())
        by_id, by_uri = (pc.index_in(names, pa.array(known)) for known in (self.ids, self.uris))
        return np.asarray(pc.fill_null(pc.coalesce(by_id, by_uri), -1).to_numpy(), np.int64)


def load_videos(rows: ds.Dataset, batches: Sequence[str] = ()) -> Videos:
    """The video rows of embeddings. Raises InputError when there is none in these batches (empty: all)."""
    columns = ["video_id", "title", "source_uri", "batch", "embedding"]
    table = rows.to_table(columns=columns, filter=RowFilter(level="video").expression)
    table = table.sort_by([("video_id", "ascending"), ("batch", "ascending")])
    batch_N = np.asarray(table["batch"].to_pylist(), object)
    wanted_N = np.isin(batch_N, list(batches)) if batches else np.ones(table.num_rows, bool)
    ids_N = np.asarray(table["video_id"].to_pylist(), object)
    first_N = np.flatnonzero(np.append(True, ids_N[1:] != ids_N[:-1])[: len(ids_N)])
    if not wanted_N.any():
        raise InputError(f"there is no video to recommend in {', '.join(batches) or 'any batch'}; embed one first")
    any_wanted_N = np.logical_or.reduceat(wanted_N, first_N)
    table = table.take(first_N)
    return Videos(
        ids=table["video_id"].to_pylist(), titles=table["title"].to_pylist(), uris=table["source_uri"].to_pylist(),
        vectors_NR=vectors_of(table, "embedding"), wanted_N=any_wanted_N,
    )  # fmt: skip
