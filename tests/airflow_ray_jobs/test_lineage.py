"""What OpenLineage hears of a job, through the provider's own classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_ray_jobs.lineage import lineage_of
from airflow_ray_jobs.ray_job import RayJobOperator
from tests.airflow_ray_jobs.fakes import FakeJob, FakeJobsApi, FakeTaskInstance

pytest.importorskip("airflow.providers.openlineage")


def names(datasets: list[Any]) -> list[tuple[str, str]]:
    return [(dataset.namespace, dataset.name) for dataset in datasets]


def test_urls_become_datasets_with_openlineages_names() -> None:
    found = lineage_of({"inputs": ["s3://bucket/shards/a/_manifest.json"], "outputs": ["file:///data/x", "/data/y"]})
    assert names(found.inputs) == [("s3://bucket", "shards/a/_manifest.json")]
    assert names(found.outputs) == [("file", "/data/x"), ("file", "/data/y")]
    assert names(lineage_of({}).outputs) == []


def test_the_operator_tells_what_its_job_wrote(
    fake: FakeJobsApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", fake.token or "")
    fake.jobs["job-a1"] = FakeJob("SUCCEEDED")
    (tmp_path / "job-a1.json").write_text('{"submission_id": "job-a1", "outputs": ["s3://bucket/out"]}')
    task = RayJobOperator(
        task_id="t", entrypoint="true", address=fake.url, result_uri=str(tmp_path / "{submission_id}.json")
    )
    task.execute_complete({"ti": FakeTaskInstance()}, {"submission_id": "job-a1", "status": "SUCCEEDED"})  # type: ignore[typeddict-item]
    assert names(task.get_openlineage_facets_on_complete(None).outputs) == [("s3://bucket", "out")]
