"""The KubeRay backend against HTTP that answers as a Kubernetes API server does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from airflow.sdk.exceptions import TaskDeferred

from airflow_ray_jobs.backend import JobSpec, JobStatus
from airflow_ray_jobs.endpoint import Endpoint
from airflow_ray_jobs.errors import RayJobBadInput, RayJobSetupError, RayUnavailable, SubmissionExists, error_of
from airflow_ray_jobs.kuberay import KubeRay, KubeRayJobs
from airflow_ray_jobs.ray_job import RayJobOperator
from tests.airflow_ray_jobs.fakes import TOKEN, FakeApiServer, FakeTaskInstance, serve

T = TypeVar("T")
SPEC: dict[str, Any] = {"rayVersion": "2.60.0", "headGroupSpec": {"template": {"spec": {"containers": [{}]}}}}
TEMPLATE = KubeRay(ray_cluster_spec=SPEC, namespace="ray", ttl_seconds=30, labels={"group": "video"})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApiServer]:
    found = FakeApiServer()
    for url in serve(found.application()):
        found.url = url
        connection = {"conn_type": "ray", "host": url, "password": TOKEN, "extra": {"ray_token": "ray-" + TOKEN}}
        monkeypatch.setenv("AIRFLOW_CONN_KUBE", json.dumps(connection))
        yield found


def ask(server: FakeApiServer, work: Callable[[KubeRayJobs], Awaitable[T]], **endpoint: Any) -> T:
    async def whole() -> T:
        settings: dict[str, Any] = {"url": server.url, "token": TOKEN} | endpoint
        async with KubeRayJobs(Endpoint(**settings), "ray", TEMPLATE) as jobs:
            return await work(jobs)

    return asyncio.run(whole())


def add(server: FakeApiServer, **status: Any) -> dict[str, Any]:
    metadata = {"name": "job-base-a1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    found: dict[str, Any] = {"metadata": metadata, "spec": {}, "status": status}
    server.objects["ray", "job-base-a1"] = found
    return found


def test_a_submission_is_a_rayjob_with_a_name_that_kuberay_accepts(server: FakeApiServer) -> None:
    spec = JobSpec(
        entrypoint="run", runtime_env={"env_vars": {"A": "1"}}, metadata={"dag_id": "d"}, num_cpus=0.5,
        resources={"big": 1.0}, limit_seconds=90.5,
    )  # fmt: skip
    ask(server, lambda jobs: jobs.submit("0a1b2c3d4e5f6071-a1", spec))
    [((namespace, name), found)] = server.objects.items()
    assert (namespace, name) == ("ray", "job-0a1b2c3d4e5f6071-a1")
    assert found["metadata"]["labels"] == {"group": "video"}
    assert found["spec"] == {
        "entrypoint": "run",
        "jobId": "0a1b2c3d4e5f6071-a1",
        "runtimeEnvYAML": '{"env_vars": {"A": "1"}}',
        "metadata": {"dag_id": "d"},
        "submissionMode": "HTTPMode",
        "backoffLimit": 0,
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": 30,
        "rayClusterSpec": SPEC,
        "entrypointNumCpus": 0.5,
        "entrypointResources": '{"big": 1.0}',
        "activeDeadlineSeconds": 691,
    }


def test_a_second_submission_is_a_conflict(server: FakeApiServer) -> None:
    ask(server, lambda jobs: jobs.submit("base-a1", JobSpec(entrypoint="run")))
    with pytest.raises(SubmissionExists):
        ask(server, lambda jobs: jobs.submit("base-a1", JobSpec(entrypoint="run")))


def test_what_kubernetes_refuses_is_bad_input_and_a_wrong_token_is_not(server: FakeApiServer) -> None:
    with pytest.raises(RayJobBadInput, match="is invalid"):
        ask(server, lambda jobs: jobs.submit("UPPER_CASE", JobSpec(entrypoint="run")))
    with pytest.raises(RayJobBadInput, match="entrypoint_memory"):
        ask(server, lambda jobs: jobs.submit("base-a1", JobSpec(entrypoint="run", memory=1)))
    with pytest.raises(RayUnavailable) as wrong:
        ask(server, lambda jobs: jobs.state("base-a1"), token="wrong")
    assert wrong.value.unauthorized


@pytest.mark.parametrize(
    ("deployment", "job", "judged"),
    [
        (None, None, JobStatus.PENDING),
        ("Initializing", "", JobStatus.PENDING),
        ("Running", "", JobStatus.PENDING),
        ("Running", "PENDING", JobStatus.RUNNING),
        ("Running", "RUNNING", JobStatus.RUNNING),
        ("Running", "SUCCEEDED", JobStatus.RUNNING),  # KubeRay has not drawn the line yet
        ("Retrying", "FAILED", JobStatus.PENDING),
        ("Complete", "SUCCEEDED", JobStatus.SUCCEEDED),
        ("Complete", "STOPPED", JobStatus.STOPPED),
        ("Complete", "", JobStatus.FAILED),
        ("Failed", "FAILED", JobStatus.FAILED),
        ("Failed", "RUNNING", JobStatus.FAILED),  # DeadlineExceeded: Ray's word is old
        ("Failed", "SUCCEEDED", JobStatus.FAILED),
        ("ValidationFailed", "", JobStatus.FAILED),
        ("Suspended", "", JobStatus.PENDING),  # Kueue holds it back
    ],
)
def test_both_statuses_are_judged(
    server: FakeApiServer, deployment: str | None, job: str | None, judged: JobStatus
) -> None:
    add(server, **({} if deployment is None else {"jobDeploymentStatus": deployment, "jobStatus": job}))
    state = ask(server, lambda jobs: jobs.state("base-a1"))
    assert state is not None and state.status is judged
    assert state.start_seconds == 1_767_225_600


def test_an_unknown_rayjob_is_absent_and_stopping_it_is_harmless(server: FakeApiServer) -> None:
    assert ask(server, lambda jobs: jobs.state("never-a1")) is None
    assert ask(server, lambda jobs: jobs.logs("never-a1")) == ""
    ask(server, lambda jobs: jobs.stop("never-a1"))


def test_a_stop_suspends_and_leaves_a_mark(server: FakeApiServer) -> None:
    found = add(server, jobDeploymentStatus="Running", jobStatus="RUNNING")
    ask(server, lambda jobs: jobs.stop("base-a1"))
    assert found["spec"]["suspend"] is True
    state = ask(server, lambda jobs: jobs.state("base-a1"))
    assert state is not None and state.status is JobStatus.RUNNING  # until its cluster is gone
    found["status"] = {"jobDeploymentStatus": "Suspended", "jobStatus": ""}
    state = ask(server, lambda jobs: jobs.state("base-a1"))
    assert state is not None and state.status is JobStatus.STOPPED


def test_messages_of_ray_tell_bad_input_and_broken_environments(server: FakeApiServer) -> None:
    for message, reason, kind in [
        ("Job entrypoint command failed with exit code 2, last available logs ...", "AppFailed", RayJobBadInput),
        ("runtime_env setup failed: no such package", "AppFailed", RayJobSetupError),
        ("The RayJob spec is invalid", "ValidationFailed", RayJobBadInput),
    ]:
        add(server, jobDeploymentStatus="Failed", jobStatus="FAILED", message=message, reason=reason)
        state = ask(server, lambda jobs: jobs.state("base-a1"))
        assert state is not None
        event = {"submission_id": "base-a1", "status": "FAILED", "message": state.message}
        assert type(error_of(event | {"error_type": state.error_type})) is kind


def test_logs_come_through_the_service_proxy_with_the_token_of_ray(server: FakeApiServer) -> None:
    found = add(server, jobDeploymentStatus="Running", jobStatus="RUNNING")
    assert ask(server, lambda jobs: jobs.logs("base-a1")) == ""
    found["status"]["rayClusterStatus"] = {"head": {"serviceName": "head-svc"}}
    assert ask(server, lambda jobs: jobs.logs("base-a1"), ray_token="r") == "log of base-a1\n"
    assert ask(server, lambda jobs: jobs.logs("base-a1")) == "log of base-a1\n"
    assert server.proxy_headers == ["Bearer r", None]
    server.proxy_status = 503  # the cluster is gone, its resource is not
    assert ask(server, lambda jobs: jobs.logs("base-a1")) == ""


@pytest.mark.slow
def test_the_operator_defers_on_a_rayjob_and_the_trigger_ends_it(server: FakeApiServer, tmp_path: Path) -> None:
    operator = RayJobOperator(
        task_id="task", entrypoint="run", conn_id="kube", kuberay=TEMPLATE, deadline=timedelta(minutes=1),
        poll_seconds=0.05, result_uri=f"{tmp_path}/{{submission_id}}.json", defer_after=timedelta(0),
    )  # fmt: skip
    context: Any = {"ti": FakeTaskInstance()}
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context)
    [((_, name), found)] = server.objects.items()
    submission_id = name.removeprefix("job-")
    trigger: Any = caught.value.trigger
    assert trigger.namespace == "ray" and TOKEN not in repr(trigger)
    assert context["ti"].pushed["ray_job_link"] == f"{server.url}/apis/ray.io/v1/namespaces/ray/rayjobs/{name}"
    found["status"] = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"}
    (tmp_path / f"{submission_id}.json").write_text(json.dumps({"submission_id": submission_id, "rows": 5}))
    rebuilt = type(trigger)(**trigger.serialize()[1])
    event = asyncio.run(anext(rebuilt.run()))
    assert operator.execute_complete(context, event.payload)["rows"] == 5
    assert operator.execute(context)["rows"] == 5 and len(server.objects) == 1  # reused


def test_a_template_without_a_head_is_refused() -> None:
    with pytest.raises(RayJobBadInput, match="headGroupSpec"):
        KubeRay(ray_cluster_spec={})
    with pytest.raises(RayJobBadInput, match="ttl_seconds=-1"):
        KubeRay(ray_cluster_spec=SPEC, ttl_seconds=-1)
