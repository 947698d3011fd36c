"""From one row back to the frames it came from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from videobert.errors import InputError
from videobert.query.embeddings import embedding_manifests
from videobert.runtime.manifest import Manifest, Output, load_manifest, manifest_path
from videobert.runtime.parquet import read_table
from videobert.runtime.storage import Store
from videobert.stages import get_stage

__all__ = ["trace"]


def trace(store: Store, embed_spec: str, row_id: str) -> Iterator[tuple[str, str]]:
    """(what, where) from the row to the source video. Raises InputError for an unknown row."""
    manifest, output, row = _find(store, embed_spec, row_id)
    yield "row", f"{row['row_id']}: {row['start_seconds']:.1f} s to {row['end_seconds']:.1f} s, {row['text']!r}"
    yield "embeddings", f"{store.url(output.path)} sha256 {output.sha256[:12]}"
    for name, spec in (("pretrain", row["model_spec"]), ("codebook", row["codebook_spec"])):
        yield name, store.url(manifest_path(get_stage(name), spec, ""))
    shard, batch = row["shard"], manifest.batch
    for name in ("tokens", "features", "shard", "ingest"):
        manifest = _source(store, manifest, name, batch)
        if name == "ingest":
            break
        found = next(o for o in manifest.outputs if o.shard == shard)
        yield name, f"{store.url(found.path)} sha256 {found.sha256[:12]}"
    yield "catalog", store.url(manifest_path(get_stage("ingest"), manifest.spec, batch))
    yield "video", f"sha256 {row['video_id']}"
    yield "source", row["source_uri"]


def _find(store: Store, spec: str, row_id: str) -> tuple[Manifest, Output, dict[str, Any]]:
    columns = [
        "row_id", "video_id", "start_seconds", "end_seconds", "text", "source_uri", "shard", "codebook_spec",
        "model_spec",
    ]  # fmt: skip
    for manifest in embedding_manifests(store, spec):
        for output in manifest.outputs:
            table = read_table(store, output.path, columns=columns)
            rows = table.filter(pc.equal(table["row_id"], pa.scalar(row_id))).to_pylist()
            if rows:
                return manifest, output, rows[0]
    raise InputError(
        f"there is no row {row_id!r} in {spec}; row ids are VIDEO_ID:SEGMENT, or VIDEO_ID for a whole video"
    )


def _source(store: Store, manifest: Manifest, stage: str, batch: str) -> Manifest:
    spec = next(source.spec for source in manifest.sources if source.stage == stage)
    found = load_manifest(store, stage, spec, batch)
    if found is None:
        raise InputError(f"{stage} {spec} of batch {batch} is gone, so the lineage ends here; run that stage again")
    return found
