"""Asynchronous work for a task, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from airflow_ray_jobs.errors import RayJobStopped

__all__ = ["run_in_thread"]


def run_in_thread(work: Coroutine[Any, Any, Any], *, is_over: Callable[[], bool] = lambda: False) -> Any:
    """Run a coroutine in a thread of its own: `on_kill` interrupts the main thread, which may be inside a loop.

    Raises RayJobStopped as soon as `is_over`.
    """
    outcome: list[Any] = []
    failure: list[BaseException] = []

    def target() -> None:
        try:
            outcome.append(asyncio.run(work))
        except BaseException as error:  # handed over to the caller's thread, where it is raised
            failure.append(error)

    thread = threading.Thread(target=target, name="ray-job", daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.5)
        if thread.is_alive() and is_over():
            raise RayJobStopped("the task was ended while it waited for its Ray job")
    if failure:
        raise failure[0]
    return outcome[0]
