"""Build what `videobert.query.index` reads: centroids, and the vectors in the order of the nearest of these.

Only what changed is made: the codebook stays until the rows call for more lists, and a part stays while its files do.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds
from numpy.typing import NDArray

from videobert.codebook.config import CodebookConfig
from videobert.codebook.core import Codebook
from videobert.codebook.hierarchy import fit
from videobert.errors import InputError
from videobert.query.embeddings import embedding_manifests, open_files
from videobert.query.filters import RowFilter
from videobert.query.index import drop_stale, index_folder, index_path, load_index
from videobert.query.search import row_groups
from videobert.query.tensors import header_of
from videobert.runtime.manifest import Manifest, Output, groups_by_bytes, library_versions
from videobert.runtime.parquet import vectors_of
from videobert.runtime.spec import digest
from videobert.runtime.storage import Store, file_sha256, sha256

__all__ = ["build_index"]

_PART_BYTES = 1 << 30
"""Embeddings files of a part at most: what a build holds in memory at a time."""
_SAMPLE_A_LIST = 64
_LEAST_LISTS = 16


def build_index(store: Store, spec: str) -> Manifest:
    """Index the segments of all committed batches. Raises InputError when nothing is embedded.

    There are one to four times as many lists as the square root of the segments. Memory: twice a part, and 64 vectors
    per list.
    """
    batches = [manifest.outputs for manifest in embedding_manifests(store, spec)]
    groups = [group for outputs in batches for group in groups_by_bytes(outputs, limit=_PART_BYTES)]
    former = load_index(store, spec)
    segments = _count(store, spec, [output.path for group in groups for output in group])
    lists = max(_LEAST_LISTS, 4 ** math.ceil(math.log2(segments) / 4))
    with tempfile.TemporaryDirectory(prefix="videobert-") as name:
        folder = Path(name)
        present = store.list(index_folder(spec))
        if former and former.config == {"lists": lists} and former.outputs[0].path in present:
            fitted = former.outputs[0]
        else:
            fitted = _write_codebook(store, spec, groups, segments, lists)
        store.download(fitted.path, folder / "codebook")
        codebook = Codebook.load(folder / "codebook")
        there = {part.input_digest: part for part in former.outputs[1:]} if former else {}
        outputs, files = [fitted], {}
        for number, group in enumerate(groups, start=1):
            source = [[output.path, output.sha256] for output in group]
            made_of = digest([fitted.sha256, source])
            part = there.get(made_of)
            if part is None or present.get(part.path) != part.size_bytes:
                part = _write_part(store, spec, group, codebook, number, made_of, folder / "part")
            outputs.append(part)
            files[part.path] = source
    index = Manifest(
        stage="index", spec=spec, batch="", config={"lists": lists}, sources=(), outputs=tuple(outputs),
        facts={"files": files, "segments": segments}, versions=library_versions(),
    )  # fmt: skip
    store.write(index_path(spec), index.to_bytes())
    drop_stale(store, spec)  # also what a former index held, and what was forgotten meanwhile
    return index


def _count(store: Store, spec: str, paths: Sequence[str]) -> int:
    segments = open_files(store, spec, paths).count_rows(filter=RowFilter().expression)
    if not segments:
        raise InputError(f"{spec} holds no segments to index; run `videobert stage embed` over a batch first")
    return int(segments)


def _write_codebook(store: Store, spec: str, groups: Sequence[Sequence[Output]], segments: int, lists: int) -> Output:
    """Fit on every n-th segment: plain k-means, for a hierarchy's lists hold less of what is near (benchmarks)."""
    every = max(1, segments // (_SAMPLE_A_LIST * lists))
    rows = open_files(store, spec, [output.path for group in groups for output in group])
    sample, seen = [], 0
    for fragment in rows.get_fragments():
        for vectors, _ in _segments(fragment):
            sample.append(vectors[-seen % every :: every].copy())
            seen += len(vectors)
    config = CodebookConfig(branching=lists, depth=1, tolerance=0.02, seed_rows=4 * lists)
    codebook = fit(np.concatenate(sample), config)
    data = codebook.to_bytes()
    path = f"{index_folder(spec)}/codebook-{sha256(data)[:12]}.safetensors"
    store.write(path, data)
    return Output(shard=0, input_digest="", path=path, sha256=sha256(data), size_bytes=len(data), counts={})


def _write_part(
    store: Store, spec: str, group: Sequence[Output], codebook: Codebook, number: int, made_of: str, local: Path
) -> Output:
    vectors = [np.zeros((0, codebook.dimension), np.float32)]  # all there is where no file holds a segment
    places = [np.zeros((0, 3), np.int64)]
    for file, fragment in enumerate(open_files(store, spec, [output.path for output in group]).get_fragments()):
        for vectors_ND, place_N2 in _segments(fragment):
            vectors.append(vectors_ND)
            places.append(np.insert(place_N2, 0, file, axis=1))
    vectors_ND, place_N3 = np.concatenate(vectors), np.concatenate(places).astype("<i4")
    del vectors
    leaf_N = codebook.encode_flat(vectors_ND)
    order = np.argsort(leaf_N, kind="stable")
    sizes = np.bincount(leaf_N, minlength=len(codebook.centroids))
    starts = np.concatenate(([0], np.cumsum(sizes))).astype("<i8")
    shapes = {
        "starts": ("I64", starts.shape), "places": ("I32", place_N3.shape), "vectors": ("F32", vectors_ND.shape)
    }  # fmt: skip
    with local.open("wb") as sink:
        sink.write(header_of(shapes))
        starts.tofile(sink)
        place_N3[order].tofile(sink)
        for rows in np.array_split(order, max(1, vectors_ND.nbytes >> 24)):  # 16 MiB at a time, not all twice
            vectors_ND[rows].astype("<f4", copy=False).tofile(sink)
    found = file_sha256(local)
    path = f"{index_folder(spec)}/part-{made_of[:16]}.safetensors"
    store.write(path, local)
    return Output(
        shard=number, input_digest=made_of, path=path, sha256=found, size_bytes=local.stat().st_size,
        counts={"segments": len(order)},
    )  # fmt: skip


def _segments(fragment: ds.ParquetFileFragment) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    """Vectors [N, R] and (row group, row) [N, 2] of the segments of a file, a row group at a time."""
    with fragment.open() as source:
        file, groups = row_groups(source, RowFilter())
        for group in groups:
            table = file.read_row_group(group, columns=["level", "embedding"], use_threads=False)
            row_N = np.flatnonzero(pc.equal(table["level"], RowFilter().level).to_numpy())
            yield vectors_of(table, "embedding")[row_N], np.stack([np.full_like(row_N, group), row_N], axis=1)
