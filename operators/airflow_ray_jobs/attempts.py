"""Which attempt of a job this run shall watch: the reconnect table.

The server is the only truth. From attempt 1 upward:
    absent                      reuse the result that it left before the server forgot it, when that proves to stand;
                                else submit it; where another worker was faster, read again
    PENDING, RUNNING            watch it, whoever submitted it
    SUCCEEDED                   reuse it when its result stands and nothing forces a new run, else look at the next
    FAILED, STOPPED             look at the next: Ray never lets an id be used again
Airflow's `try_number` has no part in it: a retry must find the job that the former try left running.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from airflow_ray_jobs.backend import JobBackend, JobSpec, JobState, JobStatus
from airflow_ray_jobs.errors import RayJobError, RayNotReady, RayUnavailable, SubmissionExists

__all__ = ["MAX_ATTEMPTS", "Attempt", "Origin", "base_id", "claim_attempt", "digest_of"]

MAX_ATTEMPTS = 200
"""An identity with this many ended attempts is in a loop that a person should look at."""

_READY_SECONDS = 180.0
"""How long a submission waits for a head that has just started."""
_READY_PAUSE_SECONDS = 1.0

_log = logging.getLogger("airflow.task.ray_job")


class Origin(StrEnum):
    """How an attempt came to be ours."""

    SUBMITTED = "submitted"
    ATTACHED = "attached"
    REUSED = "reused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """The attempt to watch, or, when `origin` is REUSED, the result to return."""

    submission_id: str
    """Id on the server."""
    origin: Origin
    """How it came to be ours."""
    start_seconds: float | None = None
    """When the server accepted it (seconds since the epoch); None for one submitted just now."""
    result: dict[str, Any] | None = None
    """Its validated result when it is reused."""


def digest_of(*parts: object) -> str:
    """Digest of JSON-like values; the order of keys does not enter."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def base_id(*identity: object) -> str:
    """The part of the submission id that all attempts of one job share: 16 hex digits."""
    return hashlib.sha256("|".join(str(part) for part in identity).encode()).hexdigest()[:16]


async def claim_attempt(
    backend: JobBackend,
    base: str,
    make_spec: Callable[[str], JobSpec],
    *,
    reusable: Callable[[str], dict[str, Any] | None],
    proves_itself: bool = False,
    force: bool = False,
) -> Attempt:
    """Find or start the attempt to watch. `reusable(submission_id)` returns the result of a former success, or None.

    With `proves_itself` that result needs no server that remembers the success: a head that restarts forgets its jobs.
    """
    for number in range(1, MAX_ATTEMPTS + 1):
        submission_id = f"{base}-a{number}"
        state = await backend.state(submission_id)
        if state is None:
            if proves_itself and not force and (result := reusable(submission_id)) is not None:
                return Attempt(submission_id=submission_id, origin=Origin.REUSED, result=result)
            state = await _submit(backend, submission_id, make_spec(submission_id))
            if state is None:
                return Attempt(submission_id=submission_id, origin=Origin.SUBMITTED)
        if not state.status.is_final:
            return Attempt(submission_id=submission_id, origin=Origin.ATTACHED, start_seconds=state.start_seconds)
        if state.status is JobStatus.SUCCEEDED and not force and (result := reusable(submission_id)) is not None:
            return Attempt(submission_id=submission_id, origin=Origin.REUSED, result=result)
        _log.info("Attempt %s is %s and gives no result to use; looking at the next one", submission_id, state.status)
    raise RayJobError(f"{MAX_ATTEMPTS} attempts of {base} have ended without a usable result; see the last ones' logs")


async def _submit(backend: JobBackend, submission_id: str, spec: JobSpec) -> JobState | None:
    """Submit; None when the job is ours, else the state of the job that already has the id."""
    try:
        await _submit_when_ready(backend, submission_id, spec)
    except RayUnavailable as error:
        # The answer may be lost, not the request: what the server holds under this id decides.
        state = await backend.state(submission_id)
        if state is None:
            raise
        if not isinstance(error, SubmissionExists):
            _log.warning("Submission of %s got no clear answer, but the job is there (%s)", submission_id, error)
        return state
    return None


async def _submit_when_ready(backend: JobBackend, submission_id: str, spec: JobSpec) -> None:
    until = time.monotonic() + _READY_SECONDS
    while True:
        try:
            return await backend.submit(submission_id, spec)
        except RayNotReady as error:
            if time.monotonic() >= until:
                raise
            _log.info("Waiting for the Ray cluster: %s", error)
            await asyncio.sleep(_READY_PAUSE_SECONDS)
