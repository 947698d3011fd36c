"""A finished root in which every second segment of a video has lost its caption."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.small_root import SmallRoot
from videobert.query.embeddings import embedding_manifests
from videobert.runtime.manifest import Output, save_manifest
from videobert.runtime.parquet import table_bytes
from videobert.runtime.storage import Store, sha256

__all__ = ["copy_half_silent", "is_silent"]


def is_silent(row_id: str) -> bool:
    """Whether a row of the copy has no text."""
    return int(row_id.partition(":")[2] or 0) % 2 == 1


def copy_half_silent(small_root: SmallRoot, folder: Path) -> str:
    """The address of the copy; its vectors are those of the original."""
    shutil.copytree(small_root.root, folder)
    store = Store(str(folder))
    for manifest in embedding_manifests(store, small_root.specs["embed"]):
        save_manifest(store, replace(manifest, outputs=tuple(_silenced(store, output) for output in manifest.outputs)))
    return store.root


def _silenced(store: Store, output: Output) -> Output:
    table = pq.read_table(store.open(output.path))
    rows = zip(table["row_id"].to_pylist(), table["text"].to_pylist(), strict=True)
    texts = pa.array(["" if is_silent(row_id) else text for row_id, text in rows], pa.string())
    data = table_bytes(table.set_column(table.schema.get_field_index("text"), table.schema.field("text"), texts))
    store.write(output.path, data)
    return replace(output, sha256=sha256(data), size_bytes=len(data))
