"""A root with committed embeddings and the manifests behind them, written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from videobert.embed.core import embedding_table
from videobert.ingest.core import CATALOG_SCHEMA
from videobert.runtime.manifest import Manifest, Output, Source, folder_of, save_manifest
from videobert.runtime.parquet import table_bytes
from videobert.runtime.pointer import Pointer, move_pointer, read_pointer
from videobert.runtime.storage import Store, sha256
from videobert.stages import get_stage

__all__ = ["EMBED", "MODEL", "commit", "row_ids", "unit_vectors", "write_embeddings"]

MODEL, EMBED = "pretrain-1", "pretrain-1.abcd"
_CHAIN = {
    "ingest": "ingest-1", "shard": "shard-1", "features": "features-1", "codebook": "codebook-1", "tokens": "tokens-1",
    "pretrain": MODEL, "embed": EMBED,
}  # fmt: skip
_READS = {
    "ingest": (), "shard": ("ingest",), "features": ("shard",), "tokens": ("codebook", "features", "ingest"),
    "embed": ("pretrain", "tokens"),
}  # fmt: skip


def unit_vectors(count: int, *, dimension: int = 8, seed: int = 0) -> NDArray[np.float32]:
    """Random directions, float32 [count, dimension]."""
    vectors = np.random.default_rng(seed).standard_normal((count, dimension))
    unit: NDArray[np.float32] = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit


def row_ids(batch: str, count: int) -> list[str]:
    """The ids that `write_embeddings` gives, two segments a video."""
    return [f"{batch}-v{n // 2:04d}:{n % 2}" for n in range(count)]


def commit(store: Store, stage: str, batch: str, files: dict[str, bytes]) -> Manifest:
    """Write files and the manifest of a batch stage, one file a shard."""
    outputs = []
    for number, (name, data) in enumerate(files.items()):
        path = f"{folder_of(get_stage(stage), _CHAIN[stage], batch)}/{name}"
        store.write(path, data)
        outputs.append(
            Output(shard=number, input_digest="", path=path, sha256=sha256(data), size_bytes=len(data), counts={})
        )
    sources = tuple(
        Source(stage=name, spec=_CHAIN[name], batch=batch if get_stage(name).scope == "batch" else "", digest="")
        for name in _READS[stage]
    )
    manifest = Manifest(
        stage=stage, spec=_CHAIN[stage], batch=batch, config={}, sources=sources, outputs=tuple(outputs)
    )
    save_manifest(store, manifest)
    return manifest


def write_embeddings(
    store: Store,
    batch: str,
    vectors_ND: NDArray[np.float32],
    *,
    level: str = "segment",
    texts: Sequence[str] | None = None,
) -> Manifest:
    """A committed batch of rows and everything upstream of it; moves the pointer to it."""
    rows: list[dict[str, Any]] = [
        {
            "row_id": row_id, "level": level, "video_id": row_id.split(":")[0], "segment": n % 2,
            "start_seconds": 1.5 * n,
            "end_seconds": 1.5 * n + 1.5, "text": texts[n] if texts else f"say {n}",
            "title": f"talk {n}", "source_uri": f"s3://in/{n}.mp4",
        }
        for n, row_id in enumerate(row_ids(batch, len(vectors_ND)))
    ]  # fmt: skip
    lineage = {
        "batch_key": batch, "shard": 0, "encoder_spec": "features-1", "codebook_spec": "codebook-1", "model_spec": MODEL
    }  # fmt: skip
    catalog = pa.Table.from_pylist([{"video_id": "v", "uri": "s3://in/0.mp4"}], schema=CATALOG_SCHEMA)
    commit(store, "ingest", batch, {"00000.parquet": table_bytes(catalog)})
    for stage, suffix in (("shard", "tar"), ("features", "parquet"), ("tokens", "tar")):
        commit(store, stage, batch, {f"00000.{suffix}": stage.encode()})
    table = embedding_table(rows, vectors_ND, np.zeros((len(rows), 2), np.float32), lineage=lineage)
    manifest = commit(store, "embed", batch, {"00000.parquet": table_bytes(table)})
    move_pointer(store, Pointer(model_spec=MODEL, embed_spec=EMBED, report=""), former=read_pointer(store))
    return manifest
