"""A Ray cluster of one DAG run: a setup task that creates it, a teardown task that removes it, whatever happened.

    cluster = CreateRayCluster(task_id="cluster", spec=KubeRay(ray_cluster_spec=...), conn_id="kube").as_setup()
    job = RayJobOperator(task_id="features", address=cluster.address, ...)
    removal = DeleteRayCluster(task_id="removal", conn_id="kube").as_teardown(setups=cluster)
    cluster >> job >> removal

The name comes from DAG and run, so that a retried setup finds the cluster of its former try.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, BaseSensorOperator, PokeReturnValue

from airflow_ray_jobs.attempts import base_id
from airflow_ray_jobs.endpoint import HttpClient, parse_object
from airflow_ray_jobs.errors import RayJobBadInput
from airflow_ray_jobs.hook import RayHook
from airflow_ray_jobs.kuberay import KubeRay

if TYPE_CHECKING:
    from airflow.sdk import Context

__all__ = ["CreateRayCluster", "DeleteRayCluster", "KubeRayClusters", "cluster_name"]

_PORT = 8265


class KubeRayClusters(HttpClient):
    """RayCluster resources of one namespace."""

    async def ready(self, namespace: str, name: str) -> bool | None:
        """Whether head and workers are up; None where there is no such cluster."""
        status, text = await self._send("GET", f"{_path(namespace)}/{name}")
        if status == HTTPStatus.NOT_FOUND:
            return None
        found = parse_object(status, text, f"RayCluster {name}")
        return bool((found.get("status") or {}).get("state") == "ready")

    async def create(self, name: str, template: KubeRay) -> None:
        """Create it; an existing one of that name is left as it is."""
        body = {
            "apiVersion": "ray.io/v1",
            "kind": "RayCluster",
            "metadata": {"name": name, "labels": template.labels},
            "spec": template.ray_cluster_spec,
        }
        status, text = await self._send("POST", _path(template.namespace), body)
        if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
            raise RayJobBadInput(f"Kubernetes refused RayCluster {name}: {text[-2000:]}")
        if status != HTTPStatus.CONFLICT:
            parse_object(status, text, f"creation of RayCluster {name}")

    async def delete(self, namespace: str, name: str) -> None:
        """Remove it; one that is gone is no error."""
        status, text = await self._send("DELETE", f"{_path(namespace)}/{name}")
        if status != HTTPStatus.NOT_FOUND:
            parse_object(status, text, f"deletion of RayCluster {name}")


class CreateRayCluster(BaseSensorOperator):
    """Create the cluster of this DAG run and wait until it is ready, without holding a worker in between.

    Returns its `name` and dashboard `address`. `timeout` bounds the wait; the teardown removes a cluster that never
    came up.

    :param spec: the cluster's `rayClusterSpec`, namespace and labels; `ttl_seconds` has no part in it.
    :param conn_id: connection to the Kubernetes API server, as for `RayJobOperator(kuberay=...)`.
    """

    def __init__(self, *, spec: KubeRay, conn_id: str = RayHook.default_conn_name, **kwargs: Any) -> None:
        settings: dict[str, Any] = {"mode": "reschedule", "poke_interval": 15.0, "timeout": 1800.0}
        super().__init__(**settings | kwargs)
        self.spec = spec
        self.conn_id = conn_id

    @property
    def address(self) -> str:
        """Template for the `address` of the jobs that run on it."""
        return "{{ ti.xcom_pull(task_ids='" + self.task_id + "')['address'] }}"

    def poke(self, context: Context) -> PokeReturnValue:
        """Create it if it is not there, and look whether it is ready."""
        name = cluster_name(context)
        ready = asyncio.run(self._look(name))
        address = f"http://{name}-head-svc.{self.spec.namespace}.svc:{_PORT}"
        return PokeReturnValue(is_done=ready, xcom_value={"name": name, "address": address})

    async def _look(self, name: str) -> bool:
        async with KubeRayClusters(RayHook(conn_id=self.conn_id).endpoint()) as clusters:
            ready = await clusters.ready(self.spec.namespace, name)
            if ready is None:
                self.log.info("Creating RayCluster %s in namespace %s", name, self.spec.namespace)
                await clusters.create(name, self.spec)
            return bool(ready)


class DeleteRayCluster(BaseOperator):
    """Remove the cluster of this DAG run. Use as teardown: `.as_teardown(setups=cluster)`.

    :param namespace: namespace of the cluster.
    :param conn_id: connection to the Kubernetes API server.
    """

    def __init__(self, *, namespace: str = "default", conn_id: str = RayHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.namespace = namespace
        self.conn_id = conn_id

    def execute(self, context: Context) -> None:
        """Remove it."""
        asyncio.run(self._delete(cluster_name(context)))

    async def _delete(self, name: str) -> None:
        async with KubeRayClusters(RayHook(conn_id=self.conn_id).endpoint()) as clusters:
            await clusters.delete(self.namespace, name)
        self.log.info("RayCluster %s in namespace %s is removed", name, self.namespace)


def cluster_name(context: Context) -> str:
    """Name of the cluster of this DAG run; begins with a letter, as the services named after it must."""
    ti = context["ti"]
    return f"ray-{base_id(ti.dag_id, ti.run_id)}"


def _path(namespace: str) -> str:
    return f"/apis/ray.io/v1/namespaces/{namespace}/rayclusters"
