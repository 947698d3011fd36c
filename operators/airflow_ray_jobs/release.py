"""Let go of a job: the last task instance that follows it stops it. And find the jobs that everybody has left."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Iterable

from airflow_ray_jobs.backend import JobBackend
from airflow_ray_jobs.errors import RayJobError
from airflow_ray_jobs.hook import RayHook
from airflow_ray_jobs.watchers import Watcher, Watchers

__all__ = ["has_ended", "release", "sweep"]

_LOOK_SECONDS = 0.5

_log = logging.getLogger("airflow.task.ray_job")


async def release(
    backend: JobBackend,
    watchers: Watchers,
    submission_id: str,
    who: Watcher,
    *,
    leaving: Iterable[Watcher],
    mark: str = "",
) -> bool:
    """Take `leaving` off the job, and stop it unless another task instance follows it; returns whether it was stopped.

    Raises `RayUnavailable` when the cluster does not answer. The mark then stays: whoever meets the job next stops it.
    Who tries again gives the same `mark`; of two that stop a job at once, neither may take the mark of the other away.
    """
    mark = mark or uuid.uuid4().hex
    await asyncio.to_thread(watchers.mark, submission_id, who, mark)
    for watcher in leaving:
        await asyncio.to_thread(watchers.remove, submission_id, watcher)
    if await asyncio.to_thread(_is_followed, watchers, submission_id):
        await asyncio.to_thread(watchers.unmark, submission_id, mark)
        return False
    await backend.stop(submission_id)
    return True


def _is_followed(watchers: Watchers, submission_id: str) -> bool:
    return any(watchers.is_wanted(watcher) for watcher in watchers.of(submission_id)[0])


async def has_ended(backend: JobBackend, submission_id: str, *, seconds: float) -> bool:
    """Wait for the end of a job that was told to stop; False when it still runs after that time."""
    until = time.monotonic() + seconds
    while True:
        state = await backend.state(submission_id)
        if state is None or state.status.is_final:
            return True
        if time.monotonic() >= until:
            return False
        await asyncio.sleep(_LOOK_SECONDS)


async def sweep(watchers: Watchers) -> list[str]:
    """Stop every job that no task instance wants any more, and forget those that have ended; returns the stopped ones.

    A task that was marked failed while its worker submitted, or whose triggerer died before it could stop the job,
    leaves such a job. A cluster that does not answer is left for the next time.
    """
    stopped = []
    for submission_id in await asyncio.to_thread(watchers.submission_ids):
        try:
            if await _sweep_one(watchers, submission_id):
                _log.warning("No task instance wants Ray job %s any more; it was told to stop", submission_id)
                stopped.append(submission_id)
        except RayJobError as error:
            _log.warning("Ray job %s is left for the next sweep: %s", submission_id, error)
    return stopped


async def _sweep_one(watchers: Watchers, submission_id: str) -> bool:
    entries, stopping = await asyncio.to_thread(watchers.of, submission_id)
    if any([await asyncio.to_thread(watchers.is_wanted, entry) for entry in entries]):
        return False
    if not (entries or stopping):
        return False  # all of it was removed since it was listed
    place = [*entries, *stopping.values()][0]
    hook = RayHook(conn_id=place.conn_id, address=place.address, namespace=place.namespace)
    async with await hook.abackend() as backend:
        state = await backend.state(submission_id)
        if state is not None and not state.status.is_final:
            return await release(backend, watchers, submission_id, place, leaving=())
    for entry in entries:  # these and no others: somebody may begin to follow a job of that id
        await asyncio.to_thread(watchers.remove, submission_id, entry)
    for mark in stopping:
        await asyncio.to_thread(watchers.unmark, submission_id, mark)
    return False
