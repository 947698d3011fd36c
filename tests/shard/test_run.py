"""Shard: original bytes in deterministic tars, each video once, membership that never moves."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from videobert.ingest.core import CATALOG_SCHEMA
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest, Output
from videobert.runtime.parquet import table_bytes
from videobert.runtime.storage import Store, sha256
from videobert.runtime.tar import read_members
from videobert.shard.config import ShardConfig
from videobert.shard.run import run, shard_tasks

EMPTY: dict[str, Any] = {
    "container": "mp4", "codec": "h264", "width": 1, "height": 1, "rotation": 0, "fps": None, "duration_seconds": None,
    "has_audio": False, "caption_source": "none", "caption_language": "", "caption_note": "", "cues": [],
}  # fmt: skip
NO_CATALOG = Manifest(stage="ingest", spec="ingest-1", batch="b", config={}, sources=(), outputs=())


@dataclass
class Batch:
    """A catalogue written by hand over files of any bytes: this stage does not look into them."""

    folder: Path
    store: Store
    catalog: Manifest = field(default_factory=lambda: NO_CATALOG)

    def ingest(self, **files: bytes) -> None:
        rows = []
        for name, data in files.items():
            path = self.folder / f"{name}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            rows.append(
                {**EMPTY, "video_id": sha256(data), "uri": f"file://{path}", "size_bytes": len(data),
                 "source_digest": sha256(data), "title": name}
            )  # fmt: skip
        data = table_bytes(pa.Table.from_pylist(rows, schema=CATALOG_SCHEMA))
        self.store.write("catalog/batch=b/00000.parquet", data)
        output = Output(
            shard=0, input_digest="", path="catalog/batch=b/00000.parquet", sha256=sha256(data), size_bytes=len(data),
            counts={"videos": len(rows)},
        )  # fmt: skip
        self.catalog = dataclasses.replace(self.catalog, outputs=(output,))

    def run(self, *, limit: int = 1000) -> Manifest:
        inputs = Inputs(store=self.store, batch="b", upstream={"ingest": (self.catalog,)})
        return run(ShardConfig(shard_bytes=limit), inputs, LocalExecutor())

    def members(self, manifest: Manifest) -> list[list[bytes]]:
        """Video bytes of every tar."""
        tars = []
        for output in manifest.outputs:
            with self.store.open(output.path) as source:
                tars.append([r.read() for name, r in read_members(source) if name.endswith(".mp4")])
        return tars


@pytest.fixture
def batch(tmp_path: Path) -> Batch:
    return Batch(tmp_path / "source", Store(str(tmp_path / "root")))


def test_original_bytes_with_their_metadata_first(batch: Batch) -> None:
    batch.ingest(a=b"one", b=b"two")
    manifest = batch.run()
    with batch.store.open(manifest.outputs[0].path) as source:
        names = [name for name, _ in read_members(source)]
    first, second = sorted(sha256(data) for data in (b"one", b"two"))
    assert names == [f"{first}.json", f"{first}.mp4", f"{second}.json", f"{second}.mp4"]
    assert sorted(batch.members(manifest)[0]) == [b"one", b"two"]
    assert manifest.counts == {"videos": 2, "rejects": 0}


def test_the_same_bytes_at_two_paths_are_packed_once(batch: Batch) -> None:
    batch.ingest(a=b"one", copy=b"one", b=b"two")
    manifest = batch.run()
    assert sorted(batch.members(manifest)[0]) == [b"one", b"two"]
    assert manifest.facts["duplicates"] == 1 and manifest.counts["videos"] == 2


def test_tars_hold_at_most_their_bytes_and_a_long_video_has_its_own(batch: Batch) -> None:
    batch.ingest(a=b"a" * 40, b=b"b" * 40, c=b"c" * 40, long=b"l" * 500)
    sizes = sorted(sum(map(len, tar)) for tar in batch.members(batch.run(limit=100)))
    assert sizes[-1] == 500 and all(size <= 100 for size in sizes[:-1]) and sum(sizes) == 620


def test_a_late_video_opens_a_new_tar_and_reads_no_old_one(batch: Batch) -> None:
    batch.ingest(a=b"one", b=b"two")
    first = batch.run()
    for name in ("a", "b"):
        (batch.folder / f"{name}.mp4").unlink()
    catalogued = batch.store.read("catalog/batch=b/00000.parquet")
    batch.ingest(late=b"three")
    old = pq.read_table(pa.BufferReader(catalogued))
    late = pq.read_table(pa.BufferReader(batch.store.read("catalog/batch=b/00000.parquet")))
    batch.store.write("catalog/batch=b/00000.parquet", table_bytes(pa.concat_tables([old, late])))
    second = batch.run()
    assert second.outputs[0] == first.outputs[0] and second.counts == {"videos": 3, "rejects": 0}
    assert batch.members(second)[1] == [b"three"]


def test_a_finished_batch_reads_and_writes_nothing(batch: Batch) -> None:
    batch.ingest(a=b"one")
    first = batch.run()
    (batch.folder / "a.mp4").unlink()
    writes = batch.store.writes
    assert batch.run() == first and batch.store.writes == writes


def test_a_video_that_changed_or_went_since_ingest_is_a_dead_letter(batch: Batch) -> None:
    batch.ingest(a=b"one", b=b"two", c=b"three")
    (batch.folder / "a.mp4").write_bytes(b"other")
    (batch.folder / "b.mp4").unlink()
    manifest = batch.run()
    assert {reject.uri[-5:]: reject.reason for reject in manifest.rejects} == {"a.mp4": "changed", "b.mp4": "vanished"}
    assert batch.members(manifest) == [[b"three"]] and manifest.counts == {"videos": 1, "rejects": 2}


def test_tars_have_the_same_bytes_whenever_they_are_made(batch: Batch, tmp_path: Path) -> None:
    batch.ingest(a=b"one", b=b"two")
    again = Batch(batch.folder, Store(str(tmp_path / "other")), batch.catalog)
    again.store.write("catalog/batch=b/00000.parquet", batch.store.read("catalog/batch=b/00000.parquet"))
    assert [o.sha256 for o in batch.run().outputs] == [o.sha256 for o in again.run().outputs]


def test_a_finished_batch_is_found_without_its_catalog_being_read(batch: Batch) -> None:
    batch.ingest(a=b"one", b=b"two")
    first = batch.run()
    batch.store.delete([batch.catalog.outputs[0].path])
    assert batch.run() == first
    batch.store.delete([first.outputs[0].path])  # now there is work to do
    with pytest.raises(FileNotFoundError):
        batch.run()


def test_the_same_bytes_in_two_parts_of_the_catalog_are_packed_once_by_the_smallest_name(batch: Batch) -> None:
    parts = []
    for number, name in enumerate("ba"):
        batch.ingest(**{name: b"one"})
        path = f"catalog/batch=b/{number + 1:05d}.parquet"
        batch.store.write(path, batch.store.read(batch.catalog.outputs[0].path))
        parts.append(dataclasses.replace(batch.catalog.outputs[0], shard=number, path=path))
    for outputs in (parts, parts[::-1]):
        catalog = dataclasses.replace(batch.catalog, outputs=tuple(outputs))
        inputs = Inputs(store=batch.store, batch="b", upstream={"ingest": (catalog,)})
        (task,) = shard_tasks("shard-1", inputs, limit=1000)
        assert [json.loads(metadata)["title"] for metadata in task.payload.values()] == ["a"]
