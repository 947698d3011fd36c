"""The Ray Jobs REST API over aiohttp. `JobSubmissionClient` is not used: it blocks, and needs Ray beside Airflow."""

from __future__ import annotations

import json
import ssl
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from operators.backend import JobSpec, JobState, JobStatus
from operators.errors import RayJobBadInput, RayUnavailable, SubmissionExists
from operators.hook import Endpoint

__all__ = ["JobsApi", "open_session", "send"]

_TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10)


def open_session(endpoint: Endpoint) -> aiohttp.ClientSession:
    """A session that sends the token with every request and trusts the endpoint's certificate authority."""
    headers = {"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}
    trust: ssl.SSLContext | bool = ssl.create_default_context(cafile=endpoint.ca_file) if endpoint.ca_file else True
    return aiohttp.ClientSession(headers=headers, timeout=_TIMEOUT, connector=aiohttp.TCPConnector(ssl=trust))


async def send(session: aiohttp.ClientSession, method: str, url: str, body: Any = None) -> tuple[int, str]:
    """One request; returns HTTP status and body. Raises `RayUnavailable` when no answer comes or access is refused."""
    try:
        async with session.request(method, url, json=body) as response:
            text = await response.text()
            if response.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
                raise RayUnavailable(
                    f"{method} {url} answered {response.status}: {text[:300]}; check the token of the connection "
                    "(password), or RAY_AUTH_TOKEN where an address is given",
                    unauthorized=True,
                )
            return response.status, text
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise RayUnavailable(f"{method} {url} got no answer ({type(error).__name__}: {error})") from error


class JobsApi:
    """Jobs of one long-running Ray cluster. Use as `async with JobsApi(endpoint) as jobs`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = open_session(self._endpoint)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def _send(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        if self._session is None:
            raise RuntimeError("JobsApi is used outside `async with`")
        return await send(self._session, method, f"{self._endpoint.url}/api/jobs/{path}", body)

    async def state(self, submission_id: str) -> JobState | None:
        """State of the job, or None where the cluster does not know the id."""
        status, text = await self._send("GET", quote(submission_id, safe=""))
        if status == HTTPStatus.NOT_FOUND:
            return None
        found = _parse(status, text, f"status of {submission_id}")
        started = found.get("start_time")
        return JobState(
            status=JobStatus(found["status"]),
            message=found.get("message") or "",
            error_type=found.get("error_type"),
            exit_code=found.get("driver_exit_code"),
            start_seconds=started / 1000 if started else None,
        )

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
        status, text = await self._send("POST", "", body)
        # Ray 2.60 answers 500 (not 409) with a traceback for a used id; 400 covers a later release that types it.
        if status >= HTTPStatus.BAD_REQUEST and f"{submission_id} already exists" in text:
            raise SubmissionExists(f"submission {submission_id} already exists")
        if status == HTTPStatus.BAD_REQUEST:
            raise RayJobBadInput(f"the cluster refused submission {submission_id}: {text[-2000:]}")
        _parse(status, text, f"submission of {submission_id}")

    async def stop(self, submission_id: str) -> None:
        """Ask the job to stop. Not `delete`: that raises on a job that still runs and forgets its history."""
        status, text = await self._send("POST", f"{quote(submission_id, safe='')}/stop")
        if status != HTTPStatus.NOT_FOUND:
            _parse(status, text, f"stop of {submission_id}")

    async def logs(self, submission_id: str) -> str:
        """Everything the driver has printed so far; empty for an unknown job or one not yet started."""
        status, text = await self._send("GET", f"{quote(submission_id, safe='')}/logs")
        if status == HTTPStatus.NOT_FOUND:
            return ""
        return str(_parse(status, text, f"logs of {submission_id}").get("logs") or "")

    def link(self, submission_id: str) -> str:
        """Page of the job in the Ray dashboard."""
        return f"{self._endpoint.link_url or self._endpoint.url}/#/jobs/{submission_id}"


def _parse(status: int, text: str, what: str) -> dict[str, Any]:
    if status != HTTPStatus.OK:
        raise RayUnavailable(f"{what} answered HTTP {status}: {text[-500:]}")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise RayUnavailable(f"{what} answered no JSON but {text[:200]!r}; is this the Ray dashboard?") from error
    if not isinstance(found, dict):
        raise RayUnavailable(f"{what} answered {type(found).__name__}, not an object; is this the Ray dashboard?")
    return found
