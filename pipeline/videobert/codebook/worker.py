"""The rows that one worker of a fit reads from the features files, and how the files are divided between workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from videobert.codebook.rows import FitWorker
from videobert.runtime.device import pick_device
from videobert.runtime.parquet import read_table, vectors_of
from videobert.runtime.storage import Store

__all__ = ["FileRows", "FitShare", "divide"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRows:
    """Rows of one features file that belong to the sample."""

    path: str
    rows: NDArray[np.int64]
    """Their places in the file, int64 [M], ascending."""
    numbers: NDArray[np.int64]
    """Their places in the sample, int64 [M]."""


class FitShare(FitWorker):
    """The worker that holds the sampled rows of some files in memory."""

    def __init__(self, store: Store, files: Sequence[FileRows], device: str, answers_on: str) -> None:
        numbers = np.concatenate([file.numbers for file in files])
        self._held, self._held_numbers = _vectors(store, files), numbers
        super().__init__(self._held, numbers=numbers, device=str(pick_device(device)), answers_on=answers_on)

    def first(self, count: int) -> NDArray[np.float32]:
        """Those of the first `count` rows of the sample that lie here, float32 [M, D]."""
        return self._held[self._held_numbers < count]


def divide(files: Sequence[FileRows], *, shares: int) -> list[list[FileRows]]:
    """The files in at most `shares` parts of about as many rows; none is empty."""
    parts: list[list[FileRows]] = [[] for _ in range(shares)]
    rows = np.zeros(shares, dtype=np.int64)
    for file in sorted(files, key=lambda file: -len(file.rows)):
        least = int(rows.argmin())
        parts[least].append(file)
        rows[least] += len(file.rows)
    return [part for part in parts if part]


def _vectors(store: Store, files: Sequence[FileRows]) -> NDArray[np.float32]:
    """Float32 [N, D], file after file; the whole and one file are in memory at a time."""
    found = np.zeros((0, 0), dtype=np.float32)
    at = 0
    for file in files:
        vectors = vectors_of(read_table(store, file.path, columns=["feature"]))
        if not at:
            found = np.empty((sum(len(file.rows) for file in files), vectors.shape[1]), dtype=np.float32)
        found[at : at + len(file.rows)] = vectors[file.rows]
        at += len(file.rows)
    return found
