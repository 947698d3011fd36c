"""The lists of an index over rows in memory: which rows a search compares when it looks into a few lists only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow.dataset as ds
from numpy.typing import NDArray

from videobert.query.index import Lists, valid_parts
from videobert.query.tensors import TensorFile
from videobert.runtime.manifest import Manifest, Output
from videobert.runtime.storage import Store

__all__ = ["HeldLists"]


class HeldLists:
    """Row numbers of a dataset whose files are `current`, in this order, by list; 4 bytes per row.

    Raises InputError when a file of the index cannot be read.
    """

    def __init__(self, store: Store, index: Manifest, current: Sequence[Output], rows: ds.Dataset) -> None:
        self._lists = Lists(store, index)
        first = _first_rows(current, rows)
        list_N = [np.empty(0, np.int64)]
        row_N = [np.empty(0, np.int64)]
        for part, paths in valid_parts(index, current):
            tensors = TensorFile(store, part.path)
            list_N.append(np.repeat(np.arange(len(self._lists)), np.diff(tensors.whole("starts"))))
            groups = [len(first[path]) for path in paths]
            first_of_group = np.concatenate([first[path] for path in paths])
            file_N, group_N, at_N = tensors.whole("places").T
            row_N.append(first_of_group[np.cumsum([0, *groups])[file_N] + group_N] + at_N)
        of_list = np.concatenate(list_N)
        self._row_N = np.concatenate(row_N).astype(np.int32)[np.argsort(of_list, kind="stable")]
        self._starts = np.cumsum([0, *np.bincount(of_list, minlength=len(self._lists))])

    @property
    def rows(self) -> NDArray[np.int32]:
        """All rows that stand in a list."""
        return self._row_N

    def near(self, query_R: NDArray[np.float32], probes: int) -> NDArray[np.int32]:
        """Rows of the `probes` lists that `Lists.nearest` chooses."""
        lists = self._lists.nearest(query_R, probes)
        return np.concatenate([self._row_N[self._starts[number] : self._starts[number + 1]] for number in lists])


def _first_rows(current: Sequence[Output], rows: ds.Dataset) -> dict[str, NDArray[np.int64]]:
    """Of every file the number of the first row of each row group."""
    first, at = {}, 0
    for output, fragment in zip(current, rows.get_fragments(), strict=True):
        counts = [group.num_rows for group in fragment.row_groups]
        first[output.path] = at + np.cumsum([0, *counts[:-1]])
        at += sum(counts)
    return first
