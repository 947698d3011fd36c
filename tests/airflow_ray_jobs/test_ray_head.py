"""The operator against a real Ray head with token authentication."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import TriggerEvent

from airflow_ray_jobs.backend import JobSpec, JobStatus
from airflow_ray_jobs.endpoint import Endpoint
from airflow_ray_jobs.errors import RayJobBadInput, RayJobFailed, RayJobTimeout, RayUnavailable, SubmissionExists
from airflow_ray_jobs.jobs_api import JobsApi
from airflow_ray_jobs.ray_job import RayJobOperator
from airflow_ray_jobs.trigger import RayJobTrigger
from infra.local.ray_head import RayHead, inherited_env
from tests.airflow_ray_jobs.fakes import FakeTaskInstance

pytestmark = pytest.mark.ray

WRITE_RESULT = (
    "python -c \"import json,os; json.dump({'submission_id': os.environ['RAY_JOB_SUBMISSION_ID'], 'rows': 3}, "
    "open(os.environ['RAY_JOB_RESULT_URI'], 'w')); print('rows written')\""
)


@pytest.fixture
def head(ray_head: RayHead, monkeypatch: pytest.MonkeyPatch) -> RayHead:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", ray_head.token)
    return ray_head


def operator_on(head: RayHead, tmp_path: Path, entrypoint: str, **kwargs: Any) -> RayJobOperator:
    kwargs.setdefault("result_uri", f"{tmp_path}/{{submission_id}}.json")
    kwargs.setdefault("deferrable", False)
    kwargs.setdefault("defer_after", timedelta(0))
    return RayJobOperator(task_id="task", entrypoint=entrypoint, address=head.url, poll_seconds=0.3, **kwargs)


def run(operator: RayJobOperator, run_id: str) -> Any:
    return operator.execute({"ti": FakeTaskInstance(run_id)})  # type: ignore[typeddict-item]


def test_a_finished_job_is_reused_and_its_result_returned(head: RayHead, tmp_path: Path) -> None:
    first = run(operator_on(head, tmp_path, WRITE_RESULT), "twice")
    written = [p.stat().st_mtime_ns for p in tmp_path.glob("*.json")]
    second = run(operator_on(head, tmp_path, WRITE_RESULT), "twice")
    assert second == first | {"reused": True} and first["rows"] == 3 and first["submission_id"].endswith("-a1")
    assert [p.stat().st_mtime_ns for p in tmp_path.glob("*.json")] == written
    again = run(operator_on(head, tmp_path, WRITE_RESULT, force="True"), "twice")
    assert again["submission_id"].endswith("-a2")
    assert json.loads(next(tmp_path.glob("*-a2.json")).read_text())["rows"] == 3


def test_exit_code_2_is_bad_input_and_carries_the_log_tail(head: RayHead, tmp_path: Path) -> None:
    with pytest.raises(RayJobBadInput, match="no such batch") as caught:
        run(operator_on(head, tmp_path, "echo no such batch; exit 2"), "bad")
    assert head.token not in str(caught.value)


def test_a_job_over_its_deadline_is_stopped(head: RayHead, tmp_path: Path) -> None:
    with pytest.raises(RayJobTimeout):
        run(operator_on(head, tmp_path, "sleep 600", deadline=timedelta(seconds=4)), "slow")

    async def states() -> list[JobStatus]:
        found = [
            job["submission_id"] for job in json.loads(head.get("/api/jobs/")) if job["entrypoint"].endswith("600")
        ]
        async with JobsApi(Endpoint(url=head.url, token=head.token)) as jobs:
            return [state.status for name in found if (state := await jobs.state(name))]

    assert asyncio.run(states()) == [JobStatus.STOPPED]


SUBMIT_AND_DIE = """
import os, sys
from datetime import timedelta
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.execution_time import task_runner
from airflow_ray_jobs.ray_job import RayJobOperator
from tests.airflow_ray_jobs.fakes import FakeSupervisor, FakeTaskInstance
task_runner.SUPERVISOR_COMMS = FakeSupervisor()
operator = RayJobOperator(task_id="task", entrypoint=sys.argv[2], address=sys.argv[1], defer_after=timedelta(0))
try:
    operator.execute({"ti": FakeTaskInstance("killed")})
except TaskDeferred:
    os.kill(os.getpid(), 9)
"""


def test_a_worker_killed_after_the_submission_leaves_a_job_that_the_next_one_watches(
    head: RayHead, tmp_path: Path
) -> None:
    entrypoint = f"echo once >> {tmp_path}/starts; sleep 3; echo finished"
    dead = subprocess.run([sys.executable, "-W", "ignore", "-c", SUBMIT_AND_DIE, head.url, entrypoint], check=False)
    assert dead.returncode == -9
    assert run(operator_on(head, tmp_path, entrypoint, result_uri=None), "killed")["submission_id"].endswith("-a1")
    assert (tmp_path / "starts").read_text() == "once\n"


def test_the_trigger_brings_log_and_end_and_on_kill_stops(head: RayHead, tmp_path: Path) -> None:
    operator = operator_on(head, tmp_path, "echo hello from the job; sleep 60", deferrable=True)
    with pytest.raises(TaskDeferred) as caught:
        run(operator, "stopped")
    trigger, lines = caught.value.trigger, []
    trigger.task_instance = FakeTaskInstance("stopped")

    async def work() -> dict[str, Any]:
        trigger.log.info = lambda text, *args: lines.append(text % args)
        waiting = asyncio.ensure_future(anext(cast(AsyncIterator[TriggerEvent], trigger.run())))
        async with asyncio.timeout(60):
            while "hello from the job" not in lines:
                await asyncio.sleep(0.1)
        await trigger.on_kill()
        return cast(dict[str, Any], (await waiting).payload)

    event = asyncio.run(work())
    assert event["status"] == "STOPPED" and "hello from the job" in event["log_tail"]
    assert lines.count("hello from the job") == 1


def test_a_failed_job_is_followed_by_the_next_attempt(head: RayHead, tmp_path: Path) -> None:
    entrypoint = f"test -e {tmp_path}/been || {{ touch {tmp_path}/been; echo no luck; exit 1; }}"
    with pytest.raises(RayJobFailed, match="no luck"):
        run(operator_on(head, tmp_path, entrypoint, result_uri=None), "flaky")
    assert run(operator_on(head, tmp_path, entrypoint, result_uri=None), "flaky")["submission_id"].endswith("-a2")


def test_the_server_answers_as_the_fake_pretends(head: RayHead) -> None:
    async def work() -> None:
        async with JobsApi(Endpoint(url=head.url, token=head.token)) as jobs:
            assert await jobs.state("never-submitted") is None
            assert await jobs.logs("never-submitted") == ""
            await jobs.stop("never-submitted")
            began = time.time()
            await jobs.submit("same-id", JobSpec(entrypoint="true"))
            with pytest.raises(SubmissionExists):
                await jobs.submit("same-id", JobSpec(entrypoint="true"))
            with pytest.raises(RayJobBadInput):
                await jobs.submit("bad", JobSpec(entrypoint="true", resources={"x": cast(float, "many")}))
            async with asyncio.timeout(60):
                while not (state := await jobs.state("same-id")) or not state.status.is_final:
                    await asyncio.sleep(0.2)
            assert state.status is JobStatus.SUCCEEDED and state.exit_code == 0
            assert state.start_seconds == pytest.approx(began, abs=30)
            await jobs.stop("same-id")
        for token, answer in [(None, "401"), ("wrong", "403")]:
            async with JobsApi(Endpoint(url=head.url, token=token)) as jobs:
                with pytest.raises(RayUnavailable, match=answer):
                    await jobs.state("same-id")

    asyncio.run(work())


def test_a_head_that_restarts_has_lost_the_job_and_the_next_try_starts_it_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = RayHead(env=inherited_env(), log=tmp_path / "ray.log", num_cpus=1)
    try:
        head.wait()
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        monkeypatch.setenv("RAY_AUTH_TOKEN", head.token)
        with pytest.raises(TaskDeferred) as deferred:
            run(operator_on(head, tmp_path, "sleep 600", deferrable=True), "restart")
        trigger = cast(RayJobTrigger, deferred.value.trigger)

        async def follow() -> dict[str, Any]:
            events = trigger.run()
            ended = asyncio.ensure_future(anext(events))
            await asyncio.sleep(2)
            head.restart()  # in this thread: a child ends with the thread that started it
            return cast(dict[str, Any], (await asyncio.wait_for(ended, 180)).payload)

        event = asyncio.run(follow())
        assert event["status"] == "LOST"
        again = run(operator_on(head, tmp_path, WRITE_RESULT), "restart")
        assert again["rows"] == 3
    finally:
        head.stop()
