"""Any order of events in cluster, network and workers: one live job an identity, and none of its ends is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from airflow.sdk.execution_time import task_runner
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_ray_jobs.attempts import Origin
from airflow_ray_jobs.errors import RayJobError
from tests.airflow_ray_jobs.fakes import FakeJob, FakeJobsApi, FakeSupervisor, serve
from tests.airflow_ray_jobs.test_attempts import claim, write_result

LIVE = ("PENDING", "RUNNING")
EVENTS = (
    "worker claims", "worker forces", "job succeeds", "job succeeds without a result", "job fails", "job is stopped",
    "result is lost", "answer is lost", "status is late", "head forgets everything", "head has no agent", "proxy fails",
)  # fmt: skip


@pytest.fixture(scope="module")
def shared() -> Iterator[FakeJobsApi]:
    api = FakeJobsApi()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_runner, "SUPERVISOR_COMMS", FakeSupervisor(), raising=False)
        patch.setattr("airflow_ray_jobs.attempts._READY_PAUSE_SECONDS", 0.01)
        for url in serve(api.application()):
            api.url = url
            yield api


@given(events=st.lists(st.sampled_from(EVENTS), max_size=14))
@settings(max_examples=150)
def test_there_is_never_a_second_live_job(shared: FakeJobsApi, events: list[str]) -> None:
    shared.jobs.clear()
    shared.hide_once.clear()
    shared.failing_answers, shared.submits_without_agent, shared.lose_submit_answer = 0, 0, False
    with TemporaryDirectory() as folder:
        for event in events:
            happen(shared, event, Path(folder))
            live = [name for name, job in shared.jobs.items() if job.status in LIVE]
            assert len(live) <= 1, f"{live} after {event} in {events}"
        shared.failing_answers, shared.lose_submit_answer = 0, False
        shared.hide_once.clear()
        attempt = claim(shared, Path(folder))
        status = shared.jobs[attempt.submission_id].status
        assert (attempt.origin is Origin.REUSED) == (status == "SUCCEEDED") and status in (*LIVE, "SUCCEEDED")
        assert attempt.origin is not Origin.REUSED or (Path(folder) / f"{attempt.submission_id}.json").exists()


def happen(api: FakeJobsApi, event: str, folder: Path) -> None:
    live = [name for name, job in api.jobs.items() if job.status in LIVE]
    if event.startswith("worker"):
        before = set(api.jobs)
        try:
            attempt = claim(api, folder, force=event == "worker forces")
        except RayJobError:
            return  # the task is retried later; what stands on the server stands
        assert attempt.submission_id in before or attempt.origin is not Origin.REUSED
    elif event.startswith("job") and live:
        ends = {"job fails": "FAILED", "job is stopped": "STOPPED"}
        api.jobs[live[0]].status = ends.get(event, "SUCCEEDED")
        if event == "job succeeds":
            write_result(folder, live[0])
    elif event == "result is lost":
        for path in folder.glob("*.json"):
            path.unlink()
    elif event == "answer is lost":
        api.lose_submit_answer = True
    elif event == "status is late":
        api.hide_once |= set(live)
    elif event == "head forgets everything":
        api.jobs.clear()
    elif event == "head has no agent":
        api.submits_without_agent = 1
    elif event == "proxy fails":
        api.failing_answers = 1


def test_a_used_id_is_never_run_again(shared: FakeJobsApi) -> None:
    shared.jobs.clear()
    shared.jobs["base-a1"] = FakeJob("FAILED")
    shared.jobs["base-a2"] = FakeJob("STOPPED")
    assert claim(shared).submission_id == "base-a3"
    assert shared.jobs["base-a1"].status == "FAILED" and shared.jobs["base-a2"].status == "STOPPED"
