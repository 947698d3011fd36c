"""The cases: each prepares a root as a pipeline of that size leaves it, and then calls the real code over it.

A case is a generator: what comes before its `yield` (of its name) is not measured.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from videobert.cli.state import StatusCommand
from videobert.embed.core import embedding_table
from videobert.ingest.config import IngestConfig
from videobert.ingest.contents import sort_files
from videobert.ingest.core import CATALOG_SCHEMA
from videobert.ingest.listing import Listed
from videobert.ingest.run import part_tasks
from videobert.query.embeddings import open_embeddings
from videobert.query.search import nearest
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Manifest, Output, folder_of, load_manifest, manifest_path
from videobert.runtime.parquet import table_bytes
from videobert.runtime.plan import Item, extend_plan
from videobert.runtime.shards import ShardCommit, ShardTask, finish, load_plan, run_shards, save_plan
from videobert.runtime.spec import canonical_json, digest
from videobert.runtime.storage import Store, sha256
from videobert.shard.config import ShardConfig
from videobert.shard.run import shard_tasks
from videobert.stages import get_stage

__all__ = ["BATCH", "CASES", "EMBED", "QUERY", "Case", "run_batch", "write_batches", "write_killed_batch"]

Case = tuple[str, Callable[[Path, int], None], Callable[[Path, int], Iterator[None]]]
"""What its size counts, what writes the root, and what is measured."""
SPEC, EMBED, BATCH = "features-1", "pretrain-1.abcd", "2026-01-01"
QUERY = np.array([1, 0], np.float32)
DATA = b"what a shard holds"


class Packer:
    """A worker whose shards cost nothing but their writes."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __call__(self, task: ShardTask) -> Output:
        return finish(self._store, task, data=DATA, counts={"videos": 1}, rejects=())


# --- ingest: from a listing to parts


def listing(videos: int) -> dict[str, Listed]:
    """Videos with a caption each, in one folder."""
    files = [f"s3://in/videos/talk-{number:07d}" for number in range(videos)]
    return {f"{file}{ending}": Listed(1 << 20, "etag") for file in files for ending in (".mp4", ".en.vtt")}


def plan_ingest(folder: Path, size: int) -> Iterator[None]:
    found = listing(size)
    yield
    store, config = Store(str(folder)), IngestConfig()
    files = {file.uri: file for file in sort_files(found, config.extensions).videos}
    former = load_plan(store, "catalog")
    plan = extend_plan(former, [Item(key=uri, weight=1) for uri in files], limit=config.files_per_part)
    save_plan(store, "catalog", plan)
    assert sum(len(t.payload.files) for t in part_tasks("ingest-1", plan, files=files, gone={}, former=None)) == size


# --- shard: from the catalog to tars


def write_catalog(folder: Path, size: int) -> None:
    rows = IngestConfig().files_per_part
    cues = [{"start_seconds": 4.5 * n, "end_seconds": 4.5 * n + 4, "text": "and now you stir it"} for n in range(9)]
    fixed: dict[str, Any] = {
        "size_bytes": 20 << 20, "source_digest": "0" * 64, "container": "mp4", "codec": "h264", "width": 640,
        "height": 360, "rotation": 0, "fps": 30.0, "duration_seconds": 45.0, "has_audio": True, "title": "talk",
        "caption_source": "vtt", "caption_language": "en", "caption_note": "", "cues": cues,
    }  # fmt: skip
    columns = {
        name: pa.repeat(pa.scalar(value, CATALOG_SCHEMA.field(name).type), rows) for name, value in fixed.items()
    }
    outputs = []
    for part in range(size // rows):
        ids = [f"{part * rows + n:064x}" for n in range(rows)]
        own = {"video_id": pa.array(ids), "uri": pa.array([f"s3://in/videos/{number}.mp4" for number in ids])}
        data = table_bytes(pa.table({**own, **columns}).select(CATALOG_SCHEMA.names).cast(CATALOG_SCHEMA))
        outputs.append(_put(folder, "ingest", "ingest-1", BATCH, part, data, rows))
    _commit(folder, "ingest", "ingest-1", BATCH, outputs)


def plan_shards(folder: Path, size: int) -> Iterator[None]:
    store = Store(str(folder))
    catalog = load_manifest(store, "ingest", "ingest-1", BATCH)
    assert catalog
    inputs = Inputs(store=store, batch=BATCH, upstream={"ingest": (catalog,)})
    yield
    tasks = shard_tasks("shard-1", inputs, limit=ShardConfig().shard_bytes)
    assert sum(len(task.payload) for task in tasks) == catalog.counts["videos"]


# --- run_shards: any batch stage


def run_batch(store: Store, size: int, *, changed: bool = False) -> Manifest:
    commit = ShardCommit(
        store=store, stage="features", spec=SPEC, batch=BATCH, config={}, sources=(), expected_videos=size
    )
    digests = [digest([n, "new" if changed and not n else ""]) for n in range(size)]
    tasks = [ShardTask(shard=number, input_digest=known, payload="") for number, known in enumerate(digests)]
    return run_shards(commit, tasks, worker=Packer, arguments=(store,), executor=LocalExecutor())


def write_batch(folder: Path, size: int, *, receipts: bool = False) -> None:
    outputs = [
        _put(folder, "features", SPEC, BATCH, n, DATA, 1, input_digest=digest([n, ""]), receipt=receipts)
        for n in range(size)
    ]
    if not receipts:
        _commit(folder, "features", SPEC, BATCH, outputs)


def write_killed_batch(folder: Path, size: int) -> None:
    write_batch(folder, size, receipts=True)


def no_op(folder: Path, size: int) -> Iterator[None]:
    yield
    store = Store(str(folder))
    run_batch(store, size)
    assert store.writes == 0


def one_changed(folder: Path, size: int) -> Iterator[None]:
    yield
    store = Store(str(folder))
    run_batch(store, size, changed=True)
    assert store.writes == 3


def resumed(folder: Path, size: int) -> Iterator[None]:
    yield
    store = Store(str(folder))
    run_batch(store, size)
    assert store.writes == 1 and len(store.list(folder_of(get_stage("features"), SPEC, BATCH))) == size + 1


# --- readers over many batches


def write_batches(folder: Path, size: int) -> None:
    row = {
        "row_id": "v:0", "level": "segment", "video_id": "v", "segment": 0, "start_seconds": 0.0, "end_seconds": 1.5,
        "text": "stir", "title": "talk", "source_uri": "s3://in/v.mp4",
    }  # fmt: skip
    lineage = {"batch_key": "", "shard": 0, "encoder_spec": "f", "codebook_spec": "c", "model_spec": "m"}
    for number in range(size):
        vectors = np.array([[np.cos(number / size), np.sin(number / size)]], np.float32)  # the first is the nearest
        data = table_bytes(embedding_table([row], vectors, vectors, lineage=lineage))
        for stage, spec in (("ingest", "ingest-1"), ("embed", EMBED)):
            batch = f"b{number:06d}"
            _commit(folder, stage, spec, batch, [_put(folder, stage, spec, batch, 0, data, 1)])


def status(folder: Path, size: int) -> Iterator[None]:
    yield
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        StatusCommand(root=str(folder)).execute()
    assert printed.getvalue().count("1 videos") == 2 * size


def search(folder: Path, size: int) -> Iterator[None]:
    yield
    rows = open_embeddings(Store(str(folder)), EMBED)
    assert nearest(rows, QUERY, top=10)[0].score == 1


def _put(
    folder: Path, stage: str, spec: str, batch: str, number: int, data: bytes, videos: int, *, input_digest: str = "",
    receipt: bool = False,
) -> Output:  # fmt: skip
    """A file as a stage leaves it, without the wait for the disk."""
    path = f"{folder_of(get_stage(stage), spec, batch)}/{number:05d}.{get_stage(stage).suffix}"
    output = Output(
        shard=number, input_digest=input_digest, path=path, sha256=sha256(data), size_bytes=len(data),
        counts={"videos": videos},
    )  # fmt: skip
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)
    if receipt:
        (target.parent / "_receipts").mkdir(exist_ok=True)
        (target.parent / f"_receipts/{number:05d}.json").write_bytes(canonical_json(dataclasses.asdict(output)))
    return output


def _commit(folder: Path, stage: str, spec: str, batch: str, outputs: list[Output]) -> None:
    manifest = Manifest(stage=stage, spec=spec, batch=batch, config={}, sources=(), outputs=tuple(outputs))
    (folder / manifest_path(get_stage(stage), spec, batch)).write_bytes(manifest.to_bytes())


def _nothing(folder: Path, size: int) -> None:
    """A case without a root."""


CASES: dict[str, Case] = {
    "ingest: a folder with captions to parts": ("videos", _nothing, plan_ingest),
    "shard: catalog to tars": ("videos", write_catalog, plan_shards),
    "run_shards: all committed": ("shards", write_batch, no_op),
    "run_shards: one shard to do": ("shards", write_batch, one_changed),
    "run_shards: killed before its commit": ("shards", write_killed_batch, resumed),
    "status, two stages": ("batches", write_batches, status),
    "search, a row a batch": ("batches", write_batches, search),
}
