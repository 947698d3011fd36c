"""The Ray Jobs REST API over aiohttp. `JobSubmissionClient` is not used: it blocks, and needs Ray in Airflow."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from airflow_ray_jobs.backend import JobSpec, JobState, JobStatus
from airflow_ray_jobs.endpoint import HttpClient, parse_object
from airflow_ray_jobs.errors import RayJobBadInput, RayNotReady, RayUnavailable, SubmissionExists

__all__ = ["JobsApi"]


class JobsApi(HttpClient):
    """Jobs of one long-running Ray cluster. Use as `async with JobsApi(endpoint) as jobs`."""

    async def state(self, submission_id: str) -> JobState | None:
        """State of the job, or None where the cluster does not know the id."""
        status, text = await self._send("GET", _path(submission_id))
        if status == HTTPStatus.NOT_FOUND:
            return None
        return _state_of(submission_id, parse_object(status, text, f"status of {submission_id}"))

    async def submit(self, submission_id: str, spec: JobSpec) -> None:
        """Start the job under the given id."""
        body = {
            "entrypoint": spec.entrypoint,
            "submission_id": submission_id,
            "runtime_env": spec.runtime_env,
            "metadata": spec.metadata,
            "entrypoint_num_cpus": spec.num_cpus,
            "entrypoint_num_gpus": spec.num_gpus,
            "entrypoint_memory": spec.memory,
            "entrypoint_resources": spec.resources or None,
        }
        status, text = await self._send("POST", "/api/jobs/", body)
        # Ray 2.60 answers 500 (not 409) with a traceback for a used id; 400 covers a later release that types it.
        if status >= HTTPStatus.BAD_REQUEST and f"{submission_id} already exists" in text:
            raise SubmissionExists(f"submission {submission_id} already exists")
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR and "No available agent" in text:
            raise RayNotReady(f"the cluster has no agent yet that could take submission {submission_id}")
        if status == HTTPStatus.BAD_REQUEST:
            raise RayJobBadInput(f"the cluster refused submission {submission_id}: {text[-2000:]}")
        parse_object(status, text, f"submission of {submission_id}")

    async def stop(self, submission_id: str) -> None:
        """Ask the job to stop. Not `delete`: that raises on a job that still runs and forgets its history."""
        status, text = await self._send("POST", f"{_path(submission_id)}/stop")
        if status != HTTPStatus.NOT_FOUND:
            parse_object(status, text, f"stop of {submission_id}")

    async def logs(self, submission_id: str) -> str:
        """Everything the driver has printed so far; empty for an unknown job or one not yet started."""
        status, text = await self._send("GET", f"{_path(submission_id)}/logs")
        if status == HTTPStatus.NOT_FOUND:
            return ""
        return str(parse_object(status, text, f"logs of {submission_id}").get("logs") or "")

    def link(self, submission_id: str) -> str:
        """Page of the job in the Ray dashboard."""
        return f"{self._endpoint.link_url or self._endpoint.url}/#/jobs/{submission_id}"


def _state_of(submission_id: str, found: dict[str, Any]) -> JobState:
    try:
        started = found.get("start_time")
        code = found.get("driver_exit_code")
        return JobState(
            status=JobStatus(found["status"]),
            message=str(found.get("message") or ""),
            error_type=found.get("error_type"),
            exit_code=None if code is None else int(code),
            start_seconds=float(started) / 1000 if started else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RayUnavailable(
            f"status of {submission_id} makes no sense ({type(error).__name__}: {error}); is the address right?"
        ) from error


def _path(submission_id: str) -> str:
    return f"/api/jobs/{quote(submission_id, safe='')}"
