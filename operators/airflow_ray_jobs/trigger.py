"""Waits for Ray jobs, and for Ray itself, in the triggerer, where one process watches hundreds of them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_ray_jobs.backend import JobBackend
from airflow_ray_jobs.errors import RayUnavailable
from airflow_ray_jobs.hook import RayHook
from airflow_ray_jobs.release import release, sweep
from airflow_ray_jobs.watch import Watch, WatchSettings
from airflow_ray_jobs.watchers import Watcher, Watchers

__all__ = ["RayHeadTrigger", "RayJobTrigger"]

_STOP_PATIENCE_SECONDS = 600.0
"""How long a head that does not answer is asked to stop a job; then `sweep` finds it."""
_STOP_PAUSE_SECONDS = 5.0
_SWEEP_SECONDS = 60.0
"""A triggerer looks for abandoned jobs when it starts to watch one, at most this often."""

_background: set[asyncio.Task[Any]] = set()
_last_sweep = float("-inf")


class RayJobTrigger(BaseTrigger):
    """Yields one event with the final status of the job (see `airflow_ray_jobs.watch.Watch`).

    All arguments are stored in Airflow's database; the token is not among them and is resolved here, in the triggerer.
    """

    def __init__(
        self,
        *,
        submission_id: str,
        conn_id: str,
        address: str | None,
        namespace: str | None,
        clears: int,
        poll_seconds: float,
        deadline_seconds: float | None,
        patience_seconds: float,
        lost_seconds: float,
        log_lines_per_poll: int,
        log_offset: int = 0,
        least_seconds: float = 0.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's base has no annotations
        self.submission_id = submission_id
        self.conn_id = conn_id
        self.address = address
        self.namespace = namespace
        self.clears = clears
        self.log_offset = log_offset
        self.least_seconds = least_seconds
        self.settings = WatchSettings(
            poll_seconds=poll_seconds,
            deadline_seconds=deadline_seconds,
            patience_seconds=patience_seconds,
            lost_seconds=lost_seconds,
            log_lines_per_poll=log_lines_per_poll,
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and every argument."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "submission_id": self.submission_id,
                "conn_id": self.conn_id,
                "address": self.address,
                "namespace": self.namespace,
                "clears": self.clears,
                "poll_seconds": self.settings.poll_seconds,
                "deadline_seconds": self.settings.deadline_seconds,
                "patience_seconds": self.settings.patience_seconds,
                "lost_seconds": self.settings.lost_seconds,
                "log_lines_per_poll": self.settings.log_lines_per_poll,
                "log_offset": self.log_offset,
                "least_seconds": self.least_seconds,
            },
        )

    async def connect(self) -> JobBackend:
        """A backend with the connection and the token of this moment."""
        return await RayHook(conn_id=self.conn_id, address=self.address, namespace=self.namespace).abackend()

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Follow the job to its end, and take `least_seconds` for it."""
        until = time.monotonic() + self.least_seconds
        self._sweep_now_and_then()
        watch = Watch(self.submission_id, self.settings, self.log.info, log_offset=self.log_offset)
        event = await watch.run(self.connect)
        await asyncio.sleep(max(0.0, until - time.monotonic()))
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Let go of the job when a person ended the task; leave it alone when only the trigger moves.

        Airflow 3.3.2 cancels this again at every sync, about once a second, so the work is done by a task of its own
        that no such cancellation reaches. It also calls this when a triggerer that was thought dead comes back and its
        triggers have gone to another: the task is then still deferred, and its job must live. `cleanup` is left empty
        for the same reason.
        """
        await asyncio.shield(_in_background(self._let_go()))

    async def _let_go(self) -> None:
        ti = self.task_instance
        if ti is None:
            raise RuntimeError(f"the trigger of Ray job {self.submission_id} has no task instance to act for")
        me = Watcher(
            dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id,
            map_index=-1 if ti.map_index is None else ti.map_index,
            clears=self.clears, conn_id=self.conn_id, address=self.address, namespace=self.namespace,
        )  # fmt: skip
        if await asyncio.to_thread(Watchers.is_deferred, me):
            self.log.info("Task is still deferred; job %s goes on under another triggerer", self.submission_id)
            return
        until, mark = time.monotonic() + _STOP_PATIENCE_SECONDS, uuid.uuid4().hex
        while True:
            try:
                async with await self.connect() as backend:
                    stopped = await release(backend, Watchers(), self.submission_id, me, leaving=[me], mark=mark)
            except RayUnavailable as error:
                self.log.warning("Job %s could not be told to stop yet: %s", self.submission_id, error)
                if time.monotonic() >= until:
                    return
                await asyncio.sleep(_STOP_PAUSE_SECONDS)
            else:
                done = "was told to stop" if stopped else "goes on: another task instance follows it"
                self.log.info("Job %s %s", self.submission_id, done)
                return

    @staticmethod
    def _sweep_now_and_then() -> None:
        global _last_sweep
        if time.monotonic() - _last_sweep >= _SWEEP_SECONDS:
            _last_sweep = time.monotonic()
            _in_background(sweep(Watchers()))


class RayHeadTrigger(BaseTrigger):
    """Yields one event when Ray answers: `answered`, and without an answer in time the last `message`."""

    def __init__(
        self, *, conn_id: str, address: str | None, namespace: str | None, until_seconds: float, pause_seconds: float
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's base has no annotations
        self.conn_id = conn_id
        self.address = address
        self.namespace = namespace
        self.until_seconds = until_seconds
        self.pause_seconds = pause_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path and every argument."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "conn_id": self.conn_id,
                "address": self.address,
                "namespace": self.namespace,
                "until_seconds": self.until_seconds,
                "pause_seconds": self.pause_seconds,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask for a job that is not there until Ray answers that it is not."""
        hook = RayHook(conn_id=self.conn_id, address=self.address, namespace=self.namespace)
        event: dict[str, Any] = {"answered": False}
        while not event["answered"] and time.time() < self.until_seconds:
            await asyncio.sleep(self.pause_seconds)  # first: Airflow needs some seconds to notice the deferral
            try:
                async with await hook.abackend() as backend:
                    await backend.state("is-anybody-there")
                event = {"answered": True}
            except RayUnavailable as error:
                self.log.info("Waiting for Ray: %s", error)
                event = {"answered": error.unauthorized, "message": str(error)}
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]


def _in_background(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A task that ends by itself, whatever happens to the trigger that began it."""
    task = asyncio.get_running_loop().create_task(work)
    _background.add(task)
    task.add_done_callback(_background.discard)
    return task
