"""Where Ray jobs run and how to speak to it: from an Airflow connection, or from an address and the environment."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from airflow_ray_jobs.backend import JobBackend
from airflow_ray_jobs.endpoint import Endpoint
from airflow_ray_jobs.errors import RayJobBadInput, RayJobError
from airflow_ray_jobs.jobs_api import JobsApi
from airflow_ray_jobs.kuberay import KubeRay, KubeRayJobs

if TYPE_CHECKING:
    from airflow.sdk import Connection

__all__ = ["RayHook"]


class RayHook(BaseHook):
    """Resolves a backend in a worker (`endpoint`, `backend_at`) or a triggerer (`abackend`); masks tokens in logs.

    Without a namespace it is the Jobs API of a running cluster; with one it is KubeRay in that namespace.
    """

    conn_name_attr = "conn_id"
    default_conn_name = "ray_default"
    conn_type = "ray"
    hook_name = "Ray"

    def __init__(
        self, *, conn_id: str = default_conn_name, address: str | None = None, namespace: str | None = None
    ) -> None:
        super().__init__()
        self.conn_id = conn_id
        self.address = address
        self.namespace = namespace

    def endpoint(self) -> Endpoint:
        """Ask Airflow, or the environment where an address is given; blocks."""
        found = Endpoint.of_address(self.address) if self.address else Endpoint.of_connection(self._connection())
        for secret in found.secrets:
            mask_secret(secret)
        return found

    def _connection(self) -> Connection:
        try:
            return self.get_connection(self.conn_id)
        except AirflowNotFoundException as error:
            raise RayJobBadInput(
                f"there is no connection {self.conn_id!r}, which says where Ray runs; add it with `airflow connections "
                f"add {self.conn_id} --conn-type ray --conn-host http://HEAD:8265 --conn-password TOKEN`, or give the "
                "operator an address"
            ) from error

    def backend_at(self, endpoint: Endpoint, template: KubeRay | None = None) -> JobBackend:
        """The backend at a resolved endpoint."""
        if self.namespace is None:
            return JobsApi(endpoint)
        return KubeRayJobs(endpoint, self.namespace, template)

    def test_connection(self) -> tuple[bool, str]:
        """For the button of Airflow's connection form: does the Jobs API answer, and take the token?"""
        try:
            asyncio.run(self._look())
        except RayJobError as error:
            return False, str(error)
        return True, "The Ray Jobs API answers."

    async def _look(self) -> None:
        async with JobsApi(self.endpoint()) as jobs:
            await jobs.state("test-connection")

    async def abackend(self) -> JobBackend:
        """Resolve on an event loop without blocking it, and return the backend.

        In a thread rather than by `aget_connection`: that one does not find stored connections under `dag.test()`.
        """
        return self.backend_at(await asyncio.to_thread(self.endpoint))
