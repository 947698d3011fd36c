"""Approximate search: segments in lists of near vectors, of which a search reads a few (an inverted file, IVF).

    indexes/<embed spec>/codebook-<digest>.safetensors    its last level's centroids; each has a list
    indexes/<embed spec>/part-<digest>.safetensors        up to 1 GiB of vectors of one batch, in the order of lists
    indexes/<embed spec>/_manifest.json                   written last

Derived from the embeddings and never needed: a part counts as long as the files it was made of are committed, and the
rows of all other files are compared one by one. Scores are those of the exact search; rows outside the lists are
missed.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from videobert.errors import InputError
from videobert.query.embeddings import embedding_manifests, open_files
from videobert.query.filters import RowFilter
from videobert.query.search import Candidates, Hit, at_least, best_first, hits_of, nearest
from videobert.query.tensors import TensorFile
from videobert.runtime.manifest import Manifest, Output
from videobert.runtime.storage import Store

__all__ = [
    "Lists",
    "drop_stale",
    "index_folder",
    "index_path",
    "indexed_specs",
    "load_index",
    "nearest_in_lists",
    "valid_parts",
]

_LOG = logging.getLogger("videobert")
_ROOT = "indexes"


def index_folder(spec: str) -> str:
    """Folder of the index over the embeddings of that name."""
    return f"{_ROOT}/{spec}"


def index_path(spec: str) -> str:
    """The manifest of an index."""
    return f"{index_folder(spec)}/_manifest.json"


def load_index(store: Store, spec: str) -> Manifest | None:
    """What is committed: output 0 is the codebook, the others are parts; None when there is no index."""
    data = store.read_or_none(index_path(spec))
    return None if data is None else Manifest.from_bytes(data)


def valid_parts(index: Manifest, current: Sequence[Output]) -> list[tuple[Output, list[str]]]:
    """The parts all of whose embeddings files are among the current ones, byte for byte, with the paths of these."""
    there = {(output.path, output.sha256) for output in current}
    made_of = [(part, [tuple(file) for file in index.facts["files"][part.path]]) for part in index.outputs[1:]]
    return [(part, [path for path, _ in files]) for part, files in made_of if there.issuperset(files)]


def nearest_in_lists(
    store: Store,
    spec: str,
    query_R: NDArray[np.float32],
    *,
    top: int,
    probes: int,
    where: RowFilter | None = None,
    batches: Sequence[str] = (),
    words: Collection[str] = (),
) -> list[Hit]:
    """As `nearest`, but of indexed files only the `probes` lists nearest to the query are read.

    What no list can answer, a filter on the rows or a file that is not indexed, is searched exactly, and said so.
    Raises InputError when `top` or `probes` is not positive.
    """
    if probes < 1 or top < 1:
        raise InputError(f"probes {probes} and top {top} must be at least 1; leave out probes for an exact search")
    where = where or RowFilter()
    current = [output for manifest in embedding_manifests(store, spec, batches) for output in manifest.outputs]
    index = load_index(store, spec)
    parts = valid_parts(index, current) if index else []
    if replace(where, without=()) != RowFilter():
        parts = []
        _LOG.info("search: an index knows no filter but --batch")
    indexed = {path for _, paths in parts for path in paths}
    rest = [output.path for output in current if output.path not in indexed]
    hits: list[Hit] = []
    if index and parts:
        found = _probe(store, index, parts, query_R, top=top + len(where.without), probes=probes, words=words)
        hits = [hit for hit in found if hit.row_id not in where.without]
    if rest or not parts:
        _LOG.info("search: no index serves %d of %d files, all their rows are scored", len(rest), len(current))
        hits += nearest(open_files(store, spec, rest), query_R, top=top, where=where, words=words)
    return best_first(hits, words)[:top]


def _probe(
    store: Store,
    index: Manifest,
    parts: Sequence[tuple[Output, list[str]]],
    query_R: NDArray[np.float32],
    *,
    top: int,
    probes: int,
    words: Collection[str],
) -> list[Hit]:
    query_R = np.ascontiguousarray(query_R, np.float32)
    lists = Lists(store, index).nearest(query_R, probes)
    read = partial(_read_lists, store, lists=lists, query_R=query_R, top=top)
    best = Candidates(top)
    files: list[str] = []
    with ThreadPoolExecutor(pa.io_thread_count()) as pool:
        answers = pool.map(read, [part for part, _ in parts])
        for (_, paths), (place_K2, row_K, score_K) in zip(parts, answers, strict=True):
            best.add(place_K2 + np.array([len(files), 0]), row_K, score_K)
            files += paths
    rows = open_files(store, index.spec, files)
    return hits_of(best, list(rows.get_fragments()), rows.schema, top, words)


class Lists:
    """The centroids of an index, by which a search chooses lists. Raises InputError when they cannot be read."""

    def __init__(self, store: Store, index: Manifest) -> None:
        codebook = TensorFile(store, index.outputs[0].path)
        levels = [name.removesuffix(".centroids") for name in codebook.names if name.endswith(".centroids")]
        last = max(levels, default="level.0")
        self._centroid_LR, of_sample = codebook.whole(f"{last}.centroids"), codebook.whole(f"{last}.counts")
        square_L = (self._centroid_LR**2).sum(1)
        size_L = of_sample * (index.facts["segments"] / of_sample.sum())
        spread_L = np.sqrt(np.maximum(0, 1 - square_L) / self._centroid_LR.shape[1])
        self._above_L = np.where(size_L > 0, spread_L * np.sqrt(2 * np.log(1 + size_L)), -np.inf)
        self._used = int((size_L > 0).sum())

    def __len__(self) -> int:
        return len(self._centroid_LR)

    def nearest(self, query_R: NDArray[np.float32], probes: int) -> list[int]:
        """Numbers of the lists whose best row is expected to be best, ascending, so that neighbours are read in order.

        Rows are unit vectors, so those around a centroid c spread by sqrt((1 - |c|^2) / R) in every direction, and the
        best of n stands about sqrt(2 ln n) of this above the centroid's own product. The distance alone prefers wide
        lists with short centroids where a query is far from all rows, as a sentence of another kind is.
        """
        promise_L = self._centroid_LR @ query_R + self._above_L
        return sorted(np.argsort(-promise_L, kind="stable")[: min(probes, self._used)].tolist())


def _read_lists(
    store: Store, part: Output, *, lists: Sequence[int], query_R: NDArray[np.float32], top: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Of the lists' best rows the file and row group [K, 2], the row in it [K], and the score [K]."""
    tensors = TensorFile(store, part.path)
    starts = tensors.whole("starts").tolist()
    ranges = [(starts[number], starts[number + 1]) for number in lists if starts[number] < starts[number + 1]]
    at_N = np.concatenate([np.arange(*span) for span in ranges] or [np.zeros(0, np.int64)])
    scores = [np.vecdot(vectors, query_R) for vectors in tensors.rows("vectors", ranges)]
    score_N = np.concatenate([*scores, np.zeros(0, np.float32)])
    kept = at_least(score_N, top)
    places = [row[0] for row in tensors.rows("places", [(at, at + 1) for at in at_N[kept].tolist()])]
    place_K3 = np.array(places, dtype=np.int64).reshape(-1, 3)
    return place_K3[:, :2], place_K3[:, 2], score_N[kept]


def drop_stale(store: Store, spec: str) -> list[str]:
    """Remove every part with vectors of files that are not committed any more, and what no manifest names.

    Returns the paths of what was removed.
    """
    index = load_index(store, spec)
    current = [output for manifest in embedding_manifests(store, spec) for output in manifest.outputs]
    kept = [*index.outputs[:1], *(part for part, _ in valid_parts(index, current))] if index else []
    if index and len(kept) < len(index.outputs):
        store.write(index_path(spec), replace(index, outputs=tuple(kept)).to_bytes())
    keep = {output.path for output in kept} | ({index_path(spec)} if index else set())
    stale = [path for path in store.list(index_folder(spec)) if path not in keep]
    store.sweep(index_folder(spec), keep)
    return stale


def indexed_specs(store: Store) -> Sequence[str]:
    """Names of the embeddings that have an index."""
    return store.folders(_ROOT)
