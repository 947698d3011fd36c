"""Embeddings as points of a plane: the two directions in which they differ most (principal components)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from numpy.typing import NDArray

from videobert.query.filters import RowFilter
from videobert.query.rows import ROW_COLUMNS, Row
from videobert.runtime.parquet import vectors_of

__all__ = ["Projection", "project", "project_rows"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """Some rows and where they are."""

    rows: list[Row]
    place_N2: NDArray[np.float64]
    """From 0 to 1 in both directions."""
    explained: float
    """Share of the variance that the plane shows."""
    total: int
    """Segments of which these were taken, evenly."""


def project_rows(rows: ds.Dataset, *, most: int) -> Projection:
    """At most so many segments, every n-th of all. Holds their vectors in memory and no others."""
    where = RowFilter().expression
    total = rows.count_rows(filter=where)
    every = max(1, -(-total // most))
    found: list[Row] = []
    vectors: list[NDArray[np.float32]] = []
    seen = 0
    for batch in rows.to_batches(columns=[*ROW_COLUMNS, "embedding"], filter=where, batch_size=4096):
        taken = batch.take(np.arange(-seen % every, batch.num_rows, every))
        seen += batch.num_rows
        if taken.num_rows:
            table = taken.select(ROW_COLUMNS)
            found += [Row(**row) for row in table.to_pylist()]
            vectors.append(vectors_of(pa.Table.from_batches([taken]), "embedding"))
    place_N2, explained = project(np.concatenate(vectors)) if vectors else (np.empty((0, 2)), 0.0)
    return Projection(rows=found, place_N2=place_N2, explained=explained, total=total)


def project(vectors_ND: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Places in the plane of the two first principal components, each scaled to 0 to 1, and the share that it shows.

    The same vectors give the same picture: axes point to where their largest part is positive.
    """
    centred_ND = vectors_ND.astype(np.float64) - vectors_ND.mean(axis=0, dtype=np.float64)
    variance_D, axes_DD = np.linalg.eigh(centred_ND.T @ centred_ND)
    axes_D2 = axes_DD[:, :-3:-1]
    largest_2 = np.abs(axes_D2).argmax(axis=0)
    axes_D2 = axes_D2 * np.sign(axes_D2[largest_2, range(axes_D2.shape[1])])
    place_N2 = centred_ND @ axes_D2
    span_2 = np.maximum(np.ptp(place_N2, axis=0), 1e-12)
    explained = float(variance_D[-2:].sum() / max(float(variance_D.sum()), 1e-300))
    return (place_N2 - place_N2.min(axis=0)) / span_2, explained
