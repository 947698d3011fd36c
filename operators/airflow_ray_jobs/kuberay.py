"""Jobs that each bring their own cluster: KubeRay's RayJob resource, over the HTTP of the Kubernetes API server."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any

from airflow_ray_jobs.backend import JobSpec, JobState, JobStatus
from airflow_ray_jobs.endpoint import Endpoint, HttpClient, parse_object
from airflow_ray_jobs.errors import RayJobBadInput, RayUnavailable, SubmissionExists

__all__ = ["KubeRay", "KubeRayJobs", "resource_name"]

STOPPED_ANNOTATION = "ray-job-operator/stopped"
_GRACE_SECONDS = 600
"""KubeRay ends the job this long after the operator's deadline: only where Airflow itself is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeRay:
    """The cluster that each job gets for itself."""

    ray_cluster_spec: dict[str, Any]
    """KubeRay's `rayClusterSpec`: image, head group, worker groups."""
    namespace: str = "default"
    """Kubernetes namespace of the RayJob."""
    ttl_seconds: int = 60
    """How long the cluster outlives its job, for a look at its logs."""
    labels: dict[str, str] = field(default_factory=dict)
    """Labels of the RayJob, such as Kueue's `kueue.x-k8s.io/queue-name`."""

    def __post_init__(self) -> None:
        if self.ttl_seconds < 0:
            raise RayJobBadInput(f"ttl_seconds={self.ttl_seconds} is negative; give 0 or more seconds")
        if "headGroupSpec" not in self.ray_cluster_spec:
            raise RayJobBadInput("ray_cluster_spec has no headGroupSpec; give the `rayClusterSpec` of a RayJob")


class KubeRayJobs(HttpClient):
    """RayJobs of one namespace. `template` is needed to submit, not to watch or to stop."""

    def __init__(self, endpoint: Endpoint, namespace: str, template: KubeRay | None = None) -> None:
        super().__init__(endpoint)
        self._namespace = namespace
        self._template = template

    async def state(self, submission_id: str) -> JobState | None:
        """State of the job, or None where there is no such RayJob."""
        found = await self._get(submission_id)
        return None if found is None else _state_of(found)

    async def submit(self, submission_id: str, spec: JobSpec) -> None:
        """Create the RayJob; its name makes a second creation a conflict."""
        status, text = await self._send("POST", self._path(), self._manifest(submission_id, spec))
        if status == HTTPStatus.CONFLICT:
            raise SubmissionExists(f"RayJob {resource_name(submission_id)} already exists")
        if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY):
            raise RayJobBadInput(f"Kubernetes refused RayJob {resource_name(submission_id)}: {text[-2000:]}")
        parse_object(status, text, f"creation of RayJob {resource_name(submission_id)}")

    async def stop(self, submission_id: str) -> None:
        """Suspend the RayJob, which ends its cluster, and mark it: a deleted one would look as if it never was."""
        patch = {"metadata": {"annotations": {STOPPED_ANNOTATION: "true"}}, "spec": {"suspend": True}}
        headers = {"Content-Type": "application/merge-patch+json"}
        status, text = await self._send("PATCH", self._path(submission_id), patch, headers)
        if status != HTTPStatus.NOT_FOUND:
            parse_object(status, text, f"suspension of RayJob {resource_name(submission_id)}")

    async def logs(self, submission_id: str) -> str:
        """The driver's output through the API server's service proxy; empty while or once there is no cluster."""
        found = await self._get(submission_id)
        status_of = (found or {}).get("status") or {}
        service = ((status_of.get("rayClusterStatus") or {}).get("head") or {}).get("serviceName")
        if not service:
            return ""
        path = f"/api/v1/namespaces/{self._namespace}/services/{service}:8265/proxy/api/jobs/{submission_id}/logs"
        # The API server keeps `Authorization` for itself; Ray reads this header as its second choice.
        token = self._endpoint.ray_token
        headers = {"X-Ray-Authorization": f"Bearer {token}"} if token else None
        status, text = await self._send("GET", path, headers=headers)
        if status != HTTPStatus.OK:
            return ""
        return str(parse_object(status, text, f"logs of {submission_id}").get("logs") or "")

    def link(self, submission_id: str) -> str:
        """`link_url` of the connection with the RayJob's name, or the resource itself: the dashboard is short-lived."""
        if self._endpoint.link_url:
            return f"{self._endpoint.link_url}/{self._namespace}/{resource_name(submission_id)}"
        return f"{self._endpoint.url}{self._path(submission_id)}"

    def _path(self, submission_id: str | None = None) -> str:
        base = f"/apis/ray.io/v1/namespaces/{self._namespace}/rayjobs"
        return base if submission_id is None else f"{base}/{resource_name(submission_id)}"

    async def _get(self, submission_id: str) -> dict[str, Any] | None:
        status, text = await self._send("GET", self._path(submission_id))
        if status == HTTPStatus.NOT_FOUND:
            return None
        return parse_object(status, text, f"RayJob {resource_name(submission_id)}")

    def _manifest(self, submission_id: str, spec: JobSpec) -> dict[str, Any]:
        if self._template is None:
            raise RuntimeError("a RayJob cannot be created without its cluster's template")
        if spec.memory is not None:
            raise RayJobBadInput(
                f"entrypoint_memory={spec.memory} has no field in a RayJob; set the head's memory in ray_cluster_spec"
            )
        content: dict[str, Any] = {
            "entrypoint": spec.entrypoint,
            "jobId": submission_id,
            "runtimeEnvYAML": json.dumps(spec.runtime_env, sort_keys=True),  # JSON is YAML
            "metadata": spec.metadata,
            "submissionMode": "HTTPMode",
            "backoffLimit": 0,  # attempts are ours to count
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": self._template.ttl_seconds,
            "rayClusterSpec": self._template.ray_cluster_spec,
        }
        if spec.num_cpus is not None:
            content["entrypointNumCpus"] = spec.num_cpus
        if spec.num_gpus is not None:
            content["entrypointNumGpus"] = spec.num_gpus
        if spec.resources:
            content["entrypointResources"] = json.dumps(spec.resources, sort_keys=True)
        if spec.limit_seconds is not None:
            content["activeDeadlineSeconds"] = math.ceil(spec.limit_seconds) + _GRACE_SECONDS
        return {
            "apiVersion": "ray.io/v1",
            "kind": "RayJob",
            "metadata": {"name": resource_name(submission_id), "labels": self._template.labels},
            "spec": content,
        }


def resource_name(submission_id: str) -> str:
    """Name of the RayJob: services are named after it, and those must begin with a letter."""
    return f"job-{submission_id}"


def _state_of(found: dict[str, Any]) -> JobState:
    try:
        return _judged(found)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RayUnavailable(
            f"a RayJob makes no sense ({type(error).__name__}: {error}); is the address right?"
        ) from error


def _judged(found: dict[str, Any]) -> JobState:
    """Judge both statuses: KubeRay's says whether it is over, Ray's says how it ended."""
    status = found.get("status") or {}
    deployment, job = status.get("jobDeploymentStatus") or "", status.get("jobStatus") or ""
    stopped = (found["metadata"].get("annotations") or {}).get(STOPPED_ANNOTATION) == "true"
    if deployment == "Complete" and job == "SUCCEEDED":
        judged = JobStatus.SUCCEEDED
    elif deployment in ("Complete", "Failed") and job == "STOPPED":
        judged = JobStatus.STOPPED
    elif deployment in ("Complete", "Failed", "ValidationFailed"):
        judged = JobStatus.FAILED
    elif deployment == "Suspended" and stopped:
        judged = JobStatus.STOPPED
    elif deployment == "Running" and job:
        judged = JobStatus.RUNNING
    else:  # also Suspended without our mark: a queue such as Kueue has not admitted it yet
        judged = JobStatus.PENDING
    created = found["metadata"].get("creationTimestamp")
    return JobState(
        status=judged,
        message=status.get("message") or f"jobDeploymentStatus {deployment or 'New'}, jobStatus {job or 'New'}",
        error_type=status.get("reason") or (deployment if deployment == "ValidationFailed" else None),
        start_seconds=datetime.fromisoformat(created).timestamp() if created else None,
    )
