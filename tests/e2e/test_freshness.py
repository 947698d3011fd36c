"""A finished job need not run again while all that it looked at and made is as it was; it must when anything is not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import BATCHES, Run
from videobert.admin.freshness import is_up_to_date
from videobert.cli.ray_job import RayJob
from videobert.flow import run_stage
from videobert.recipes import RECIPES
from videobert.resolve import Selection
from videobert.runtime.executor import LocalExecutor
from videobert.runtime.manifest import load_manifest, save_manifest
from videobert.runtime.pointer import move_pointer, read_pointer
from videobert.stages import flow_of

BATCH = BATCHES[0]


def result_of(run: Run, stage: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the Ray job of a stage over one batch leaves for the operator."""
    url = run.root.parent / f"{stage}.json"
    monkeypatch.setenv("RAY_JOB_RESULT_URI", str(url))
    model = "current" if stage in flow_of("embed") else ""
    job = RayJob.ours(run.recipe, run.store, stage, recipe="demo", batches=(BATCH,), model=model)
    assert job is not None
    done = run_stage(
        run.recipe, run.store, stage, batches=(BATCH,), selection=Selection(model=model), executor=LocalExecutor()
    )
    job.write_result(done)
    return dict(json.loads(url.read_bytes()))


@pytest.mark.parametrize("stage", [*flow_of("ingest"), *flow_of("embed")])
def test_a_result_is_up_to_date_until_its_code_or_a_file_of_it_changes(
    copied: Run, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = result_of(copied, stage, monkeypatch)
    assert is_up_to_date(result)
    assert not is_up_to_date(result | {"fingerprint": result["fingerprint"] | {"code": "another version"}})
    assert not is_up_to_date(result | {"fingerprint": None})
    manifest = load_manifest(copied.store, stage, result["spec"], BATCH)
    assert manifest is not None
    (copied.root / manifest.outputs[-1].path).unlink()
    assert not is_up_to_date(result)


def test_a_recipe_that_changes_under_its_name_is_noticed(copied: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    result = result_of(copied, "features", monkeypatch)
    other = dataclasses.replace(copied.recipe, shard=dataclasses.replace(copied.recipe.shard, shard_bytes=700_000))
    monkeypatch.setitem(RECIPES, "demo", lambda: other)
    assert not is_up_to_date(result)


def test_a_share_is_up_to_date_when_the_batch_is(copied: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    result = result_of(copied, "features", monkeypatch)
    [one] = result["results"]
    partial = result | {"results": [one | {"manifest": "", "digest": "of a part"}]}
    assert is_up_to_date(partial)
    assert not is_up_to_date(result | {"results": [one | {"digest": "of another"}]})
    (copied.root / "shards" / copied.spec("shard") / f"batch={BATCH}" / "_manifest.json").unlink()
    assert not is_up_to_date(partial)


def test_a_new_video_and_a_batch_that_is_gone(copied: Run, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = {stage: result_of(copied, stage, monkeypatch) for stage in flow_of("ingest")}
    late = corpus / "videos" / BATCH / "late.mp4"
    late.write_bytes(b"late")
    try:
        assert [is_up_to_date(result) for result in results.values()] == [False, True, True]
    finally:
        late.unlink()
    assert all(is_up_to_date(result) for result in results.values())
    gone = results["ingest"] | {
        "fingerprint": results["ingest"]["fingerprint"] | {"outside": f"{corpus}/videos/no-such-batch"}
    }
    assert not is_up_to_date(gone)


@pytest.mark.parametrize(("stage", "reader"), [("ingest", "shard"), ("shard", "features"), ("tokens", "embed")])
def test_a_source_that_was_committed_anew(
    copied: Run, stage: str, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = result_of(copied, reader, monkeypatch)
    manifest = load_manifest(copied.store, stage, copied.spec(stage), BATCH)
    assert manifest is not None
    save_manifest(copied.store, dataclasses.replace(manifest, facts=manifest.facts | {"anew": True}))
    assert not is_up_to_date(result)


def test_another_model_is_promoted(copied: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    results = [result_of(copied, stage, monkeypatch) for stage in flow_of("embed")]
    pointer = read_pointer(copied.store)
    assert pointer is not None
    other = dataclasses.replace(pointer, embed_spec="embed-other")
    move_pointer(copied.store, other, former=pointer)
    # Other vectors of the same model: the tokens are those that readers' vectors are made of, the vectors are not.
    assert [is_up_to_date(result) for result in results] == [True, False]
    move_pointer(copied.store, dataclasses.replace(pointer, model_spec="pretrain-other"), former=other)
    assert not any(is_up_to_date(result) for result in results)
