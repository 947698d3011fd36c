"""Corpus stages: files, then the manifest over them."""

from __future__ import annotations

from pathlib import Path

from videobert.runtime.corpus_commit import commit_files, committed
from videobert.runtime.inputs import Inputs
from videobert.runtime.manifest import Output
from videobert.runtime.storage import Store, sha256
from videobert.stages import get_stage

STAGE = get_stage("codebook")


def _commit(store: Store, **files: bytes) -> None:
    commit_files(Inputs(store=store), STAGE, "codebook-1", files, config={}, facts={"leaves": 4})


def test_files_and_manifest_are_found_again(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "root"))
    assert committed(store, STAGE, "codebook-1") is None
    _commit(store, b=b"22", a=b"1")
    manifest = committed(store, STAGE, "codebook-1")
    assert manifest is not None and manifest.facts == {"leaves": 4}
    assert [(o.path, o.sha256, o.size_bytes) for o in manifest.outputs] == [
        ("codebooks/codebook-1/a", sha256(b"1"), 1), ("codebooks/codebook-1/b", sha256(b"22"), 2)
    ]  # fmt: skip
    assert [store.read(output.path) for output in manifest.outputs] == [b"1", b"22"]


def test_a_commit_with_a_file_missing_or_short_is_none(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    _commit(store, a=b"123")
    store.write("codebooks/codebook-1/a", b"12")
    assert committed(store, STAGE, "codebook-1") is None
    store.delete(["codebooks/codebook-1/a"])
    assert committed(store, STAGE, "codebook-1") is None


def test_what_was_written_before_is_part_of_the_commit(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "root"))
    store.write("models/pretrain-1/step-1/weights", b"w")
    early = Output(
        shard=0, input_digest="", path="models/pretrain-1/step-1/weights", sha256=sha256(b"w"), size_bytes=1, counts={}
    )
    manifest = commit_files(
        Inputs(store=store), get_stage("pretrain"), "pretrain-1", {"card": b"c"}, config={}, facts={}, written=(early,)
    )
    assert [output.shard for output in manifest.outputs] == [0, 1]
    assert [store.read(output.path) for output in manifest.outputs] == [b"w", b"c"]
