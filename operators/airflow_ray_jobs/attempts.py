"""Which attempt of a job this run shall watch: the reconnect table.

The server is the only truth about a job. The newest attempt that it knows is
    PENDING, RUNNING            watched, whoever submitted it. Where this task was cleared since it followed that job,
                                or somebody is stopping it, it is stopped, unless another task instance follows it
    SUCCEEDED                   reused, it or an older one, when its result is valid and nothing forces a new run
    FAILED, STOPPED             followed by the next number: Ray never lets an id be used again
    absent                      submitted, unless the result that it left before the server forgot it proves to stand
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
from airflow_ray_jobs.errors import RayJobStopped, RayNotReady, RayUnavailable, SubmissionExists
from airflow_ray_jobs.release import has_ended, release
from airflow_ray_jobs.watchers import Watcher, Watchers

__all__ = ["Attempt", "Claim", "Origin", "base_id", "digest_of"]

_ROUNDS = 50
"""Looks at a server that changes under our eyes, before we call it unavailable."""
_REUSED_AT_MOST = 20
"""Newest successes whose results are looked at: each costs a read of the storage."""
_STOP_SECONDS = 60.0
"""How long a job that was told to stop may take to end, and how long another may take to tell it so."""
_STOP_PAUSE_SECONDS = 1.0

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Find or start the attempt of one job that one task instance shall watch."""

    backend: JobBackend
    """Where the job runs."""
    watchers: Watchers
    """Who follows which job."""
    me: Watcher
    """The task instance that asks."""
    base: str
    """What the ids of all attempts begin with."""
    make_spec: Callable[[str], JobSpec]
    """The submission under a given id."""
    reusable: Callable[[str], dict[str, Any] | None]
    """The result of a former success, or None when it does not stand."""
    proves_itself: bool = False
    """That result needs no server that remembers the success: a head that restarts forgets its jobs."""
    force: bool = False
    """Start a new attempt even where a success could be reused."""
    is_killed: Callable[[], bool] = lambda: False
    """Whether the task was ended meanwhile; nothing is submitted then."""

    async def make(self) -> Attempt:
        """The attempt. Raises RayUnavailable, RayJobBadInput, RayJobStopped."""
        for _ in range(_ROUNDS):
            number, state = await self._newest()
            if state is not None and not state.status.is_final:
                if await self._follow(self._id(number)):
                    return Attempt(
                        submission_id=self._id(number), origin=Origin.ATTACHED, start_seconds=state.start_seconds
                    )
                continue
            if not self.force and (former := await self._former(number)):
                return former
            if await self._submit(self._id(number + 1)):
                return Attempt(submission_id=self._id(number + 1), origin=Origin.SUBMITTED)
        raise RayUnavailable(f"the attempts of {self.base} change faster than they can be looked at")

    def _id(self, number: int) -> str:
        return f"{self.base}-a{number}"

    async def _newest(self) -> tuple[int, JobState | None]:
        """Number and state of the newest attempt; 0 when there is none. A few looks: attempts have no gaps."""
        low, newest, high = 0, None, 1
        while (state := await self.backend.state(self._id(high))) is not None:
            low, newest, high = high, state, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            state = await self.backend.state(self._id(middle))
            low, newest, high = (low, newest, middle) if state is None else (middle, state, high)
        return low, newest

    async def _former(self, newest: int) -> Attempt | None:
        """A success whose result is valid: what the server forgot first, then what it knows, newest first."""
        if self.proves_itself and (result := self.reusable(self._id(newest + 1))) is not None:
            return Attempt(submission_id=self._id(newest + 1), origin=Origin.REUSED, result=result)
        for number in range(newest, max(0, newest - _REUSED_AT_MOST), -1):
            state = await self.backend.state(self._id(number))
            if state is None or state.status is not JobStatus.SUCCEEDED:
                continue
            if (result := self.reusable(self._id(number))) is not None:
                return Attempt(submission_id=self._id(number), origin=Origin.REUSED, result=result)
        return None

    async def _follow(self, submission_id: str) -> bool:
        """Follow a live job; False when it had to end instead, or has ended by itself."""
        until = time.monotonic() + _STOP_SECONDS
        while True:
            await asyncio.to_thread(self.watchers.add, submission_id, self.me)
            entries, stopping = await asyncio.to_thread(self.watchers.of, submission_id)
            cleared = [one for one in entries if one.is_former(self.me)]
            if not (cleared or stopping):
                return True
            if cleared or time.monotonic() >= until:  # after that time whoever was about to stop it is gone
                if await self._end(submission_id, cleared):
                    return False
                if not cleared:
                    return True
                continue  # whoever follows it as well may have left meanwhile
            await asyncio.to_thread(self.watchers.remove, submission_id, self.me)
            if await has_ended(self.backend, submission_id, seconds=_STOP_PAUSE_SECONDS):
                return False

    async def _end(self, submission_id: str, cleared: list[Watcher]) -> bool:
        """Stop the job, unless another task instance follows it: then follow it as well, and return False."""
        if not await release(self.backend, self.watchers, submission_id, self.me, leaving=[self.me, *cleared]):
            _log.info("Ray job %s should end, but another task instance follows it: it goes on", submission_id)
            await asyncio.to_thread(self.watchers.add, submission_id, self.me)
            return False
        _log.info("Ray job %s was told to stop, since the task that followed it was cleared or ended", submission_id)
        if not await has_ended(self.backend, submission_id, seconds=_STOP_SECONDS):
            raise RayUnavailable(f"Ray job {submission_id} was told to stop and has not ended in {_STOP_SECONDS:.0f} s")
        return True

    async def _submit(self, submission_id: str) -> bool:
        """Submit; False when another job has taken the id."""
        if self.is_killed():
            raise RayJobStopped(f"the task was ended before Ray job {submission_id} was submitted")
        await asyncio.to_thread(self.watchers.add, submission_id, self.me)
        try:
            await _submit_when_ready(self.backend, submission_id, self.make_spec(submission_id))
        except RayUnavailable as error:
            # The answer may be lost, not the request: what the server holds under this id decides.
            state = await self.backend.state(submission_id)
            if state is None:
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
