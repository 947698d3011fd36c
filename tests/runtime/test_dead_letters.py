"""The rejects of a commit as rows; a later commit without any takes the file away."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pyarrow.parquet as pq

from videobert.runtime.dead_letters import dead_letters_path, write_dead_letters
from videobert.runtime.manifest import Manifest, Output, Reject
from videobert.runtime.storage import Store

REJECTS = (
    Reject(video_id="v", uri="s3://b/=cmd.mp4", reason="undecodable", message="no 'moov'", attempts=2),
    Reject(video_id="", uri="s3://b/y.mp4", reason="vanished", message="", attempts=1),
)


def manifest(*rejects: Reject) -> Manifest:
    output = Output(shard=7, input_digest="d", path="x", sha256="s", size_bytes=1, counts={}, rejects=rejects)
    return Manifest(stage="ingest", spec="ingest-1", batch="b", config={}, sources=(), outputs=(output,))


def test_one_row_per_reject(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    write_dead_letters(store, manifest(*REJECTS))
    rows = pq.read_table(tmp_path / dead_letters_path(manifest()), partitioning=None).to_pylist()
    own = {"batch": "b", "stage": "ingest", "spec": "ingest-1", "shard": 7}
    assert rows == [dataclasses.asdict(reject) | own for reject in REJECTS]


def test_what_is_right_is_not_written_again_and_what_is_no_longer_true_goes(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    write_dead_letters(store, manifest())
    assert store.writes == 0 and store.list("") == {}
    write_dead_letters(store, manifest(*REJECTS))
    write_dead_letters(store, manifest(*REJECTS))
    assert store.writes == 1
    write_dead_letters(store, manifest())
    assert store.list("") == {}
