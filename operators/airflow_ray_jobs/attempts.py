"""Which attempt of a job this run shall watch: the reconnect table.

The server is the only truth. Attempts of one job are numbered from 1 without a gap, and only the last can be live:
    the last is PENDING or RUNNING      watch it, whoever submitted it
    one of the last SUCCEEDED           reuse it when its result stands and nothing forces a new run
    else                                submit the next number, for Ray never lets an id be used again; but first see
                                        whether an attempt of that number left a result that proves to stand, before
                                        the server forgot it. Where another worker was faster, look again
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

__all__ = ["Attempt", "Origin", "base_id", "claim_attempt", "digest_of"]

_LOOK_BACK = 20
"""Ended attempts, newest first, whose results are considered; each costs a request and perhaps an object."""
_MAX_LOST_RACES = 20
"""Submissions in a row that other workers may win with jobs that ended at once."""

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
    There is no limit to the attempts of one job: a call submits at most one, and forced runs may go on for years.
    """
    last = 0
    for _ in range(_MAX_LOST_RACES):
        last, state = await _last_attempt(backend, base, after=last)
        if state is not None and not state.status.is_final:
            live_id = _id(base, last)
            return Attempt(submission_id=live_id, origin=Origin.ATTACHED, start_seconds=state.start_seconds)
        if not force and (attempt := await _former_success(backend, base, last, reusable)) is not None:
            return attempt
        submission_id = _id(base, last + 1)
        if proves_itself and not force and (result := reusable(submission_id)) is not None:
            return Attempt(submission_id=submission_id, origin=Origin.REUSED, result=result)
        if await _submit(backend, submission_id, make_spec(submission_id)):
            return Attempt(submission_id=submission_id, origin=Origin.SUBMITTED)
    raise RayJobError(
        f"{_MAX_LOST_RACES} submissions of {base} up to attempt {last} were won by others whose jobs ended at once; "
        "see the logs of those jobs"
    )


def _id(base: str, number: int) -> str:
    return f"{base}-a{number}"


async def _last_attempt(backend: JobBackend, base: str, *, after: int) -> tuple[int, JobState | None]:
    """Number and state of the last attempt that the server knows; (after, None) where there is none behind `after`.

    Doubles the step, then halves: at most 2 log2(n) + 2 requests over n attempts. One that is live is the last.
    """
    last, found, absent = after, None, after + 1
    while (state := await backend.state(_id(base, absent))) is not None:
        last, found, absent = absent, state, after + 2 * (absent - after)
        if not state.status.is_final:
            return last, found
    while absent - last > 1:
        middle = (last + absent) // 2
        state = await backend.state(_id(base, middle))
        if state is None:
            absent = middle
        elif state.status.is_final:
            last, found = middle, state
        else:
            return middle, state
    return last, found


async def _former_success(
    backend: JobBackend, base: str, last: int, reusable: Callable[[str], dict[str, Any] | None]
) -> Attempt | None:
    """The newest of the last attempts that succeeded and whose result is still of use."""
    for number in range(last, max(0, last - _LOOK_BACK), -1):
        submission_id = _id(base, number)
        state = await backend.state(submission_id)
        if state is not None and state.status is JobStatus.SUCCEEDED:
            result = reusable(submission_id)
            if result is not None:
                return Attempt(submission_id=submission_id, origin=Origin.REUSED, result=result)
        _log.info(
            "Attempt %s is %s and gives no result to use", submission_id, "gone" if state is None else state.status
        )
    return None


async def _submit(backend: JobBackend, submission_id: str, spec: JobSpec) -> bool:
    """Submit; False where a job already has the id: another worker's, or ours, whose answer was lost."""
    try:
        await _submit_when_ready(backend, submission_id, spec)
    except RayUnavailable as error:
        # The answer may be lost, not the request: what the server holds under this id decides.
        if await backend.state(submission_id) is None:
            raise
        if not isinstance(error, SubmissionExists):
            _log.warning("Submission of %s got no clear answer, but the job is there (%s)", submission_id, error)
        return False
    return True


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
