"""The training clips that illustrate visual tokens: of each leaf the clip nearest to its centroid, as in the paper.

M clips of a shard, K wanted leaves, F width of a feature.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from videobert.codebook.load import load_codebook
from videobert.runtime.held_out import is_held_out
from videobert.runtime.manifest import Manifest, load_manifest
from videobert.runtime.parquet import read_table, vectors_of
from videobert.runtime.storage import Store

__all__ = ["NearestClip", "nearest_clips"]

_COLUMNS = ["video_id", "start_seconds", "end_seconds", "feature"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestClip:
    """A clip and where its frames are."""

    tar: str
    """The WebDataset shard that holds the video, relative to the root."""
    video_id: str
    start_seconds: float
    end_seconds: float
    squared_distance: float
    """To the centroid, in feature space."""
    tar_sha256: str = ""
    """Of the shard, where it was asked for by the codebook."""


def nearest_clips(
    store: Store, codebook: Manifest, leaves: Collection[int], *, most_shards: int | None = None
) -> dict[int, NearestClip]:
    """Leaf -> the clip of the training share nearest to its centroid; leaves without training rows are left out.

    Reads the features once, one shard at a time, and of the first `most_shards` only where somebody waits for it. Of
    equally near clips the first in the order of the batches is taken.
    """
    fitted = load_codebook(store, codebook)
    wanted = sorted(leaf for leaf in set(leaves) if fitted.present[leaf])
    centroids_KF = fitted.centroids[wanted].astype(np.float64)
    best: dict[int, NearestClip] = {}
    for tar, tar_sha256, table in islice(_training_clips(store, codebook), most_shards):
        if not wanted or not table.num_rows:
            continue
        distances_MK = _squared_distances(vectors_of(table).astype(np.float64), centroids_KF)
        for column, (leaf, row) in enumerate(zip(wanted, distances_MK.argmin(axis=0).tolist(), strict=True)):
            distance = float(distances_MK[row, column])
            if leaf not in best or distance < best[leaf].squared_distance:
                clip = table.select(_COLUMNS[:-1]).slice(row, 1).to_pylist()[0]
                best[leaf] = NearestClip(tar=tar, tar_sha256=tar_sha256, squared_distance=distance, **clip)
    return best


def _training_clips(store: Store, codebook: Manifest) -> Iterator[tuple[str, str, pa.Table]]:
    """(tar, its digest, clips of its training videos) of every shard that the codebook was fitted on."""
    fraction = codebook.facts["heldout_fraction"]
    for source in codebook.sources:
        features = load_manifest(store, "features", source.spec, source.batch) if source.stage == "features" else None
        if features is None:
            continue
        shard_spec = next(s.spec for s in features.sources if s.stage == "shard")
        shards = load_manifest(store, "shard", shard_spec, source.batch)
        tars = {output.shard: (output.path, output.sha256) for output in shards.outputs} if shards else {}
        for output in features.outputs:
            table = read_table(store, output.path, columns=_COLUMNS)
            ours = [not is_held_out(str(video_id), fraction) for video_id in table["video_id"].to_pylist()]
            if output.shard in tars:
                yield *tars[output.shard], table.filter(pa.array(ours, pa.bool_()))


def _squared_distances(rows_MF: NDArray[np.float64], centroids_KF: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = (rows_MF**2).sum(1)[:, None] + (centroids_KF**2).sum(1)
    distances_MK: NDArray[np.float64] = squares - 2 * rows_MF @ centroids_KF.T
    return distances_MK
