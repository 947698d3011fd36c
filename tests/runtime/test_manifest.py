"""Manifests: what is saved is what is loaded, equal commits have equal bytes, unbalanced ones are refused."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videobert.errors import BalanceError, InputError
from videobert.runtime.manifest import (
    Manifest,
    Output,
    Reject,
    Source,
    batches_of,
    check_balance,
    folder_of,
    groups_by_bytes,
    library_versions,
    load_manifest,
    load_manifests,
    manifest_path,
    save_manifest,
    specs_of,
)
from videobert.runtime.storage import Store
from videobert.stages import all_stages, get_stage

TEXT = st.text(max_size=12)
REJECTS = st.builds(Reject, video_id=TEXT, uri=TEXT, reason=TEXT, message=TEXT)
OUTPUTS = st.builds(
    Output, shard=st.integers(0, 99), input_digest=TEXT, path=TEXT, sha256=TEXT, size_bytes=st.integers(0, 1 << 40),
    counts=st.dictionaries(TEXT, st.integers(0, 1 << 40), max_size=3), rejects=st.lists(REJECTS, max_size=2).map(tuple),
)  # fmt: skip
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
MANIFESTS = st.builds(
    Manifest, stage=TEXT, spec=TEXT, batch=TEXT, config=st.dictionaries(TEXT, VALUES, max_size=3),
    sources=st.lists(st.builds(Source, stage=TEXT, spec=TEXT, batch=TEXT, digest=TEXT), max_size=2).map(tuple),
    outputs=st.lists(OUTPUTS, max_size=3).map(tuple), facts=st.dictionaries(TEXT, VALUES, max_size=3),
    versions=st.dictionaries(TEXT, TEXT, max_size=2),
)  # fmt: skip


def _output(number: int, *, videos: int, rejects: int = 0) -> Output:
    lost = tuple(Reject(video_id="v", uri=f"u{n}", reason="empty", message="no bytes") for n in range(rejects))
    return Output(
        shard=number,
        input_digest="d",
        path=f"{number}",
        sha256="s",
        size_bytes=1,
        counts={"videos": videos},
        rejects=lost,
    )


def _manifest(stage: str = "shard", spec: str = "shard-1", batch: str = "b", *outputs: Output) -> Manifest:
    return Manifest(stage=stage, spec=spec, batch=batch, config={"a": 1}, sources=(), outputs=outputs)


@given(manifest=MANIFESTS)
def test_a_manifest_survives_its_bytes(manifest: Manifest) -> None:
    read = Manifest.from_bytes(manifest.to_bytes())
    assert read == manifest
    assert read.to_bytes() == manifest.to_bytes() and read.digest == manifest.digest


@given(manifest=MANIFESTS, versions=st.dictionaries(TEXT, TEXT, max_size=2))
def test_the_digest_leaves_the_library_versions_out(manifest: Manifest, versions: dict[str, str]) -> None:
    assert dataclasses.replace(manifest, versions=versions).digest == manifest.digest


@pytest.mark.parametrize(
    "change", [{"spec": "x"}, {"batch": "x"}, {"config": {}}, {"facts": {"x": 1}}, {"outputs": ()}]
)
def test_the_digest_follows_what_was_made(change: dict[str, object]) -> None:
    manifest = _manifest("shard", "shard-1", "b", _output(0, videos=1))
    assert dataclasses.replace(manifest, **change).digest != manifest.digest  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"{}", b'{"outputs": 3}', b'{"outputs": [], "sources": [{}]}', b"\xff"]
)
def test_what_is_no_manifest_is_an_input_error(data: bytes) -> None:
    with pytest.raises(InputError, match="not a manifest"):
        Manifest.from_bytes(data)


CASES = 3_000


def test_thousands_of_mutated_manifests_are_manifests_or_an_input_error() -> None:
    """`CASES` with bytes turned over, cut out, doubled and replaced, seeded; `CASES` with a value of another kind."""
    output = Output(
        shard=0, input_digest="d", path="a/00000.tar", sha256="e", size_bytes=3, counts={"videos": 1},
        rejects=(Reject(video_id="v", uri="u", reason="r", message="m"),),
    )  # fmt: skip
    source = Source(stage="ingest", spec="s", batch="b", digest="d")
    data = Manifest(
        stage="shard", spec="s", batch="b", config={"x": 1}, sources=(source,), outputs=(output,)
    ).to_bytes()
    read = 0
    for case in range(2 * CASES):
        rng = np.random.default_rng([case, 1])
        try:
            manifest = Manifest.from_bytes(_turned(data, rng) if case < CASES else _of_another_kind(data, rng))
        except InputError:
            continue
        read += 1
        assert manifest.digest and manifest.to_bytes() and manifest.counts["rejects"] == len(manifest.rejects)
    assert CASES // 10 < read < CASES


def _turned(data: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at, length = int(rng.integers(len(changed))), int(rng.integers(1, 9))
        way = int(rng.integers(4))
        if way == 0:
            changed[at] = int(rng.integers(256))
        elif way == 1:
            del changed[at : at + length]
        elif way == 2:
            changed[at:at] = changed[at : at + length] * int(rng.integers(1, 4))
        else:
            changed[at : at + length] = rng.bytes(length)
    return bytes(changed)


def _of_another_kind(data: bytes, rng: np.random.Generator) -> bytes:
    """One value of the manifest, or of a record in it, becomes another."""
    manifest = json.loads(data)
    record = [manifest, manifest["outputs"][0], manifest["outputs"][0]["rejects"][0], manifest["sources"][0]][
        int(rng.integers(4))
    ]
    record[sorted(record)[int(rng.integers(len(record)))]] = [
        None, -1, 1.5, "x", True, [], {}, [1], [[]], {"videos": "1"}, {"x": None}, [{}]
    ][int(rng.integers(12))]  # fmt: skip
    return json.dumps(manifest).encode()


def test_nesting_without_end_is_no_manifest() -> None:
    with pytest.raises(InputError, match="not a manifest"):
        Manifest.from_bytes(b"[" * 100_000)


def test_counts_add_up() -> None:
    manifest = _manifest("shard", "shard-1", "b", _output(0, videos=2, rejects=1), _output(1, videos=3))
    assert manifest.counts == {"videos": 5, "rejects": 1}
    assert [reject.uri for reject in manifest.rejects] == ["u0"]
    check_balance(manifest, 6)


@given(sizes=st.lists(st.integers(0, 30), max_size=12), limit=st.integers(1, 40))
def test_groups_keep_order_and_limit_and_none_could_take_its_follower(sizes: list[int], limit: int) -> None:
    outputs = [dataclasses.replace(_output(n, videos=1), size_bytes=size) for n, size in enumerate(sizes)]
    groups = list(groups_by_bytes(outputs, limit=limit))
    assert [output for group in groups for output in group] == outputs
    totals = [sum(output.size_bytes for output in group) for group in groups]
    assert all(total <= limit or len(group) == 1 for group, total in zip(groups, totals, strict=True))
    assert all(a + b[0].size_bytes > limit for a, b in zip(totals, groups[1:], strict=False))


@pytest.mark.parametrize("expected", [5, 7, 0])
def test_a_commit_that_loses_or_invents_a_video_is_refused(expected: int) -> None:
    manifest = _manifest("shard", "shard-1", "b", _output(0, videos=5, rejects=1))
    with pytest.raises(BalanceError, match=f"{expected} videos went in, 5 came out and 1 were rejected"):
        check_balance(manifest, expected)


def test_saved_manifests_are_found(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for batch in ("b", "a"):
        save_manifest(store, _manifest("shard", "shard-1", batch))
    save_manifest(store, _manifest("shard", "shard-2", "c"))
    save_manifest(store, _manifest("embed", "pretrain-1.abcd", "a"))
    assert specs_of(store, "shard") == ["shard-1", "shard-2"]
    assert batches_of(store, "shard", "shard-1") == ["a", "b"]
    assert specs_of(store, "embed") == ["pretrain-1.abcd"]
    assert load_manifest(store, "shard", "shard-1", "a") == _manifest("shard", "shard-1", "a")
    assert load_manifest(store, "shard", "shard-1", "c") is None
    assert dict(load_manifests(store, "shard", "shard-1", ["b", "c", "a"])) == {
        "b": _manifest("shard", "shard-1", "b"), "c": None, "a": _manifest("shard", "shard-1", "a")
    }  # fmt: skip
    assert specs_of(store, "features") == [] and batches_of(store, "features", "x") == []


def test_a_catalog_of_another_configuration_is_not_the_one_asked_for(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    save_manifest(store, _manifest("ingest", "ingest-1", "b"))
    assert load_manifest(store, "ingest", "ingest-2", "b") is None
    assert load_manifest(store, "ingest", "", "b") == load_manifest(store, "ingest", "ingest-1", "b") is not None


@pytest.mark.parametrize("stage", all_stages(), ids=lambda stage: stage.name)
def test_a_batch_is_a_hive_partition_and_a_corpus_none(stage: object) -> None:
    stage = get_stage(getattr(stage, "name", ""))
    folder = folder_of(stage, "spec-1", "2026-01-01")
    assert folder.endswith("/batch=2026-01-01") == (stage.scope == "batch")
    assert ("spec-1" in folder) == (stage.name != "ingest")
    assert manifest_path(stage, "spec-1", "2026-01-01") == f"{folder}/_manifest.json"  # readers skip a leading _


def test_versions_name_what_decides_bytes() -> None:
    assert {"python", "numpy", "pyarrow"} <= set(library_versions())
