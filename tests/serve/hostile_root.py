"""A root whose captions, titles and file names attack whoever shows them, next to ones from right to left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.query import rows
from tests.serve.predictions import write_predictions
from videobert.embed.core import embedding_table
from videobert.ingest.core import CATALOG_SCHEMA
from videobert.runtime.dead_letters import write_dead_letters
from videobert.runtime.manifest import Reject
from videobert.runtime.parquet import table_bytes
from videobert.runtime.pointer import Pointer, move_pointer, read_pointer
from videobert.runtime.storage import Store

__all__ = ["ARABIC", "HOSTILE", "write_hostile_root"]

ARABIC = "اقلي البصل ثم أضف الملح"
HOSTILE = (
    "<script>window.hurt=1</script>", "<img src=x onerror=window.hurt=1>", '"><svg onload=window.hurt=1>',
    "' autofocus onfocus=window.hurt=1 x='", "javascript:window.hurt=1", "{{ 7 * 7 }}{% raw %}", "</title></script><b>",
    "\u202etxt.exe\u202c and on", "x" * 3000, "a\u0301" * 400, "\x00\x08\x1b[31m",
)  # fmt: skip
"""`window.hurt` tells whether one of them has run."""


def write_hostile_root(folder: str) -> Store:
    """Every text as caption, title, address, label and as the message of a dead letter."""
    store = Store(folder)
    texts = [*HOSTILE, ARABIC]
    vectors_ND = rows.unit_vectors(len(texts))
    rows.write_embeddings(store, "a", vectors_ND)
    table_rows = [
        {
            "row_id": f"v{n}:0", "level": "segment", "video_id": f"v{n}", "segment": 0, "start_seconds": 1.5,
            "end_seconds": 3.0, "text": text, "title": text, "source_uri": f"s3://in/{text}",
        }
        for n, text in enumerate(texts)
    ]  # fmt: skip
    lineage = {
        "batch_key": "a", "shard": 0, "encoder_spec": "features-1", "codebook_spec": "codebook-1",
        "model_spec": rows.MODEL,
    }  # fmt: skip
    table = embedding_table(table_rows, vectors_ND, np.zeros((len(texts), 2), np.float32), lineage=lineage)
    rows.commit(store, "embed", "a", {"00000.parquet": table_bytes(table)})
    labels = iter([*texts, *texts])
    write_predictions(store, rows.EMBED, lambda row: next(labels))
    manifest = rows.commit(store, "ingest", "a", {"00000.parquet": table_bytes(CATALOG_SCHEMA.empty_table())})
    rejects = tuple(Reject(video_id=f"v{n}", uri=t, reason="empty", message=t) for n, t in enumerate(texts))
    [output] = manifest.outputs
    write_dead_letters(store, replace(manifest, outputs=(replace(output, rejects=rejects),)))
    pointer = Pointer(model_spec=rows.MODEL, embed_spec=rows.EMBED, report="")
    move_pointer(store, pointer, former=read_pointer(store))
    return store
