"""Lineage: from a row back to the source, or a word on where it ends."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from fsspec.implementations.memory import MemoryFile

from tests.query.rows import EMBED, row_ids, unit_vectors, write_embeddings
from videobert.errors import InputError
from videobert.query.lineage import trace
from videobert.runtime.storage import Store, sha256

FOOTER_BYTES = 64 << 10
"""What Arrow reads from the end of a file at once."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path))
    for batch in ("a", "b"):
        write_embeddings(store, batch, unit_vectors(4))
    return store


def test_a_row_leads_to_its_source(store: Store) -> None:
    lineage = trace(store, EMBED, row_ids("b", 4)[3])
    assert [step.stage for step in lineage.steps] == [
        "embed", "pretrain", "tokens", "codebook", "features", "shard", "ingest"
    ]  # fmt: skip
    assert (lineage.text, lineage.start_seconds, lineage.batch) == ("say 3", 4.5, "b")
    assert lineage.source_uri == "s3://in/3.mp4" and lineage.video_id == "b-v0001"
    for stage in ("tokens", "features", "shard"):
        step = lineage.step(stage)
        assert "batch=b/00000" in step.url and step.sha256 == sha256(stage.encode())
        assert Path(step.url.removeprefix("file://")).read_bytes() == stage.encode()
    assert lineage.step("pretrain").url.endswith("models/pretrain-1/_manifest.json")
    assert lineage.step("ingest").url.endswith("catalog/batch=b/_manifest.json")
    with pytest.raises(InputError, match="no stage 'evaluate' led to this row"):
        lineage.step("evaluate")


def test_an_unknown_row_is_an_input_error(store: Store) -> None:
    for row in ("nothing", "b-v0001:9", "b-v0001", ""):
        with pytest.raises(InputError, match="VIDEO_ID:SEGMENT"):
            trace(store, EMBED, row)


def test_a_missing_link_is_named(store: Store) -> None:
    store.delete(["features/features-1/batch=b/_manifest.json"])
    with pytest.raises(InputError, match="features features-1 of batch b is gone"):
        trace(store, EMBED, row_ids("b", 4)[0])


def test_of_the_embeddings_the_footers_and_one_row_group_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("videobert.runtime.parquet.ROW_GROUP_ROWS", 50)
    store = Store("memory://lineage-reads")
    for batch in ("a", "b", "c"):
        write_embeddings(store, batch, unit_vectors(600, dimension=256))
    reads: list[tuple[str, int, int]] = []

    def read(self: Any, size: int = -1) -> bytes:
        start = self.tell()
        data = io.BytesIO.read(self, size)
        reads.append((self.path, start, start + len(data)))
        return data

    monkeypatch.setattr(MemoryFile, "read", read, raising=False)
    assert trace(store, EMBED, row_ids("b", 600)[220]).batch == "b"
    monkeypatch.undo()
    for batch in ("a", "b", "c"):
        path = f"embeddings/model={EMBED}/batch={batch}/00000.parquet"
        size = store.list(path)[path]
        data = [(start, end) for name, start, end in reads if name.endswith(path) and start < size - FOOTER_BYTES]
        if batch != "b":
            assert data == []
            continue
        columns = pq.read_metadata(io.BytesIO(store.read(path))).row_group(220 // 50)
        chunks = [columns.column(i) for i in range(columns.num_columns)]
        first = min(c.dictionary_page_offset or c.data_page_offset for c in chunks)
        last = next(c for c in chunks if c.path_in_schema.startswith("embedding")).data_page_offset
        assert data and first <= min(start for start, _ in data) and max(end for _, end in data) <= last
    store.delete(list(store.list("")))
