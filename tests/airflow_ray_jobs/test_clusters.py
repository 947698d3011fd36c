"""Clusters of one DAG run, against HTTP that answers as a Kubernetes API server does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk import DAG

from airflow_ray_jobs.clusters import CreateRayCluster, DeleteRayCluster, cluster_name
from airflow_ray_jobs.errors import RayJobBadInput, RayUnavailable
from airflow_ray_jobs.kuberay import KubeRay
from airflow_ray_jobs.ray_job import RayJobOperator
from tests.airflow_ray_jobs.fakes import TOKEN, FakeApiServer, FakeTaskInstance, serve

SPEC = KubeRay(
    ray_cluster_spec={"rayVersion": "2.60.0", "headGroupSpec": {"template": {}}},
    namespace="ray",
    labels={"group": "video"},
)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApiServer]:
    found = FakeApiServer()
    for url in serve(found.application()):
        found.url = url
        monkeypatch.setenv("AIRFLOW_CONN_KUBE", json.dumps({"conn_type": "ray", "host": url, "password": TOKEN}))
        yield found


def context(run_id: str = "manual__1") -> Any:
    return {"ti": FakeTaskInstance(run_id)}


def create(spec: KubeRay = SPEC, conn_id: str = "kube") -> CreateRayCluster:
    return CreateRayCluster(task_id="cluster", spec=spec, conn_id=conn_id)


def test_a_cluster_is_created_once_and_waited_for(server: FakeApiServer) -> None:
    assert not create().poke(context()).is_done
    [((namespace, name), found)] = server.objects.items()
    assert namespace == "ray" and name == cluster_name(context()) and found["metadata"]["labels"] == {"group": "video"}
    found["status"] = {"state": ""}
    assert not create().poke(context()).is_done and len(server.objects) == 1  # a retried setup finds it
    found["status"] = {"state": "ready"}
    done = create().poke(context())
    assert done.is_done and done.xcom_value == {"name": name, "address": f"http://{name}-head-svc.ray.svc:8265"}


def test_two_runs_have_two_clusters_and_each_removes_its_own(server: FakeApiServer) -> None:
    create().poke(context("a"))
    create().poke(context("b"))
    removal = DeleteRayCluster(task_id="removal", namespace="ray", conn_id="kube")
    removal.execute(context("a"))
    assert list(server.objects) == [("ray", cluster_name(context("b")))]
    removal.execute(context("a"))  # gone already: no error


def test_a_cluster_that_kubernetes_refuses_and_a_wrong_token_are_named(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = KubeRay(ray_cluster_spec={"headGroupSpec": {}, "headGroupSpecs": []}, namespace="ray")
    with pytest.raises(RayJobBadInput, match="headGroupSpecs"):
        create(bad).poke(context())
    connection = {"conn_type": "ray", "host": server.url, "password": "another"}
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps(connection))
    with pytest.raises(RayUnavailable, match="403"):
        create(conn_id="other").poke(context())


def test_the_teardown_runs_after_a_failed_job_too() -> None:
    with DAG("with_cluster", schedule=None) as dag:
        cluster = create().as_setup()  # type: ignore[no-untyped-call]
        job = RayJobOperator(task_id="job", entrypoint="true", address=cluster.address)
        removal = DeleteRayCluster(task_id="removal", conn_id="kube").as_teardown(setups=cluster)
        cluster >> job >> removal
    assert cluster.is_setup and removal.is_teardown and removal.trigger_rule == "all_done_setup_success"
    assert "removal" in dag.get_task("cluster").downstream_task_ids
    assert job.address == "{{ ti.xcom_pull(task_ids='cluster')['address'] }}"
