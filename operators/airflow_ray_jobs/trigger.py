"""Waits for a Ray job in the triggerer, where one process watches hundreds of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_ray_jobs.backend import JobBackend
from airflow_ray_jobs.errors import RayUnavailable
from airflow_ray_jobs.hook import RayHook
from airflow_ray_jobs.watch import WatchSettings, watch

__all__ = ["RayJobTrigger"]


class RayJobTrigger(BaseTrigger):
    """Yields one event with the final status of the job (see `airflow_ray_jobs.watch.watch`).

    All arguments are stored in Airflow's database; the token is not among them and is resolved here, in the triggerer.
    """

    def __init__(
        self,
        *,
        submission_id: str,
        conn_id: str,
        address: str | None,
        namespace: str | None,
        poll_seconds: float,
        deadline_seconds: float | None,
        max_errors: int,
        log_lines_per_poll: int,
        least_seconds: float = 0.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's base has no annotations
        self.submission_id = submission_id
        self.conn_id = conn_id
        self.address = address
        self.namespace = namespace
        self.least_seconds = least_seconds
        self.settings = WatchSettings(
            poll_seconds=poll_seconds,
            deadline_seconds=deadline_seconds,
            max_errors=max_errors,
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
                "poll_seconds": self.settings.poll_seconds,
                "deadline_seconds": self.settings.deadline_seconds,
                "max_errors": self.settings.max_errors,
                "log_lines_per_poll": self.settings.log_lines_per_poll,
                "least_seconds": self.least_seconds,
            },
        )

    async def connect(self) -> JobBackend:
        """A backend with the connection and the token of this moment."""
        return await RayHook(conn_id=self.conn_id, address=self.address, namespace=self.namespace).abackend()

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Follow the job to its end, and take `least_seconds` for it."""
        until = time.monotonic() + self.least_seconds
        event = await watch(self.connect, self.submission_id, self.settings, self.log.info)
        await asyncio.sleep(max(0.0, until - time.monotonic()))
        yield TriggerEvent(event)  # type: ignore[no-untyped-call]

    async def on_kill(self) -> None:
        """Stop the job when a person ended the task; leave it alone when only the trigger moves.

        Airflow 3.3.2 also calls this when a triggerer that was thought dead comes back and its triggers have gone to
        another: the task is then still deferred, and its job must live. `cleanup` is left empty for the same reason.
        """
        if await self._is_still_deferred():
            self.log.info("Task is still deferred; job %s goes on under another triggerer", self.submission_id)
            return
        try:
            async with await self.connect() as backend:
                await backend.stop(self.submission_id)
        except RayUnavailable as error:
            self.log.error("Job %s could not be stopped: %s", self.submission_id, error)
        else:
            self.log.info("Job %s was told to stop", self.submission_id)

    async def _is_still_deferred(self) -> bool:
        ti = self.task_instance
        if ti is None:
            return False
        mapped = ti.map_index is not None and ti.map_index >= 0
        states = await asyncio.to_thread(
            RuntimeTaskInstance.get_task_states,
            dag_id=ti.dag_id,
            task_ids=[ti.task_id],
            run_ids=[ti.run_id],
            map_index=ti.map_index if mapped else None,
        )
        key = f"{ti.task_id}_{ti.map_index}" if mapped else ti.task_id
        return bool(states.get(ti.run_id, {}).get(key) == "deferred")
